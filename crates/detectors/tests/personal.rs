//! Personal data in sentences: exactly the value is found, and what only looks like it is left alone.
//! What a user would lose: a number published, or a post held for its order number.

#![expect(clippy::unwrap_used, reason = "a test may fail anywhere")]

use clawexchange_detectors::{Detection, Detectors};
use clawexchange_ssg_core::{
    Assessment, Category, ContentEnvelope, Inspector, InspectorConfig, PluginRegistry, RuleMode, Verdict,
};

/// The rules that count by default.
fn detectors() -> Detectors {
    let all = Detectors::default();
    let modes = all.rules().filter(|r| r.level > 1).map(|r| (r.id.to_owned(), RuleMode::Off)).collect();
    Detectors::new(&modes).unwrap()
}

fn is_personal(found: &Detection) -> bool {
    matches!(found.category, Category::PersonalData | Category::ContactData)
}

fn personal(text: &str) -> Vec<(String, String)> {
    detectors()
        .scan(text)
        .into_iter()
        .filter(|found| is_personal(found) && found.id != "identity-dump")
        .map(|found| (found.id.clone(), text.get(found.span).unwrap_or_default().to_owned()))
        .collect()
}

async fn assessed(text: &str) -> Assessment {
    let plugins = detectors().register(PluginRegistry::new()).unwrap();
    let content =
        ContentEnvelope::from_json(serde_json::json!({ "text": text }).to_string().as_bytes()).unwrap();
    Inspector::new(plugins, InspectorConfig::default()).inspect(&content).await
}

#[test]
fn the_value_is_found_and_nothing_beside_it() {
    // The value stands between bars, which are taken out.
    for (id, marked) in [
        ("us-ssn", "My SSN is |536-22-1876|, born 1984."),
        ("us-ssn", "Social security number: |536221876|"),
        ("us-phone-number", "Please call me at |(415) 555-2671| tomorrow at 10:30"),
        ("us-phone-number", "Dana Whitfield\n|503-736-5001x123|-Work\n12 staff"),
        ("us-phone-number", "phone: |+1-212-736-5000|."),
        ("international-phone-number", "Ring |+44 (0)20 7946 0958|, room 12"),
        ("international-phone-number", "|+49 30 901820| (office)"),
        ("international-phone-number", "Telefon numaram |+905327734567| olarak"),
        ("national-phone-number", "My Japanese number is |090-1734-5178| now"),
        ("national-phone-number", "Mon numéro : |06 12 48 77 91|, merci"),
        ("us-phone-number", "text |+12127365000| now"),
        ("phone-number-in-context", "my cell is |079 123 45 67|, since 2019"),
        ("phone-number-in-context", "call |056 782 88 77| if it is late"),
        ("phone-number-in-context", "Tel: |(088)-7623286|"),
        ("dialled-number", "or dial |9357090621| for help"),
        ("bare-phone-number", "call me at |5551926713| or write"),
        ("payment-card", "I lost my card |4539 5787 6362 1486| on 12/05/2021"),
        ("payment-card", "Charge |375556917985515| for order 123456"),
        ("iban", "IBAN: |GB29 NWBK 6016 1331 9268 19| and thanks"),
        ("iban", "transfer to |DE89370400440532013000| until 2024-01-15"),
        ("email-address", "Ann Lee <|ann.lee@north-harbour.org|>, 12 Elm"),
        ("ip-address", "Someone from |185.22.174.69| tried on 2024-01-15."),
        ("ipv6-address", "connected from |2a02:8109:9c40:1e3c:51f2:7be1:2c4d:9017|."),
        ("mac-address", "the MAC address is |3c:52:82:4b:91:e7|, model 7"),
        ("base58-address", "my wallet is |1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa| thanks"),
        ("bech32-address", "tip |bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4|!"),
        ("date-of-birth", "Date of birth: |12.03.1985|, Cologne"),
        ("passport-number", "My passport number is |CD7654829| and it expires soon"),
        ("uk-nino", "my national insurance number is |LX 04 38 28 A|, thanks"),
        ("es-dni", "Mi DNI es |58553896J| y vivo en Madrid"),
        ("it-codice-fiscale", "codice fiscale |RSSMRA85T10A562S|, Roma"),
        ("se-personnummer", "mitt personnummer är |820527-0302|, tack"),
        ("cn-resident-id", "身份证|31010419880203625X|，谢谢"),
        ("tr-tckn", "TC kimlik no |54277325410|'dir"),
        ("national-id", "his national id is |54277325410| as of today"),
    ] {
        let parts: Vec<&str> = marked.split('|').collect();
        let found = personal(&parts.concat());
        assert_eq!(found, [(id.to_owned(), parts[1].to_owned())], "{marked}");
    }
}

#[test]
fn several_values_beside_one_word_are_all_found() {
    let found = personal("Cards: 4539 5787 6362 1486, 5425 2334 3010 9903 and 375556917985515.");
    assert_eq!(found.len(), 3, "{found:?}");
    let found = personal("SSNs 536-22-1876 429-63-5512");
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn what_only_looks_like_personal_data_is_left_alone() {
    for text in [
        "The order number is 123456782, shipped on 2024-03-18.",
        "Order 1234567 and invoice 20240118-0042 total $1,234.56.",
        "Version 4.12.3 was built at 1700000123, or 1700000123456 in milliseconds.",
        "commit 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b fixes 4539578763621486-ab",
        "uuid 3f2a8b1c-9d4e-4f6a-8b7c-1d2e3f4a5b6c, sha 5d41402abc4b2a76b9719d911017c592",
        "docs use 192.0.2.1, 198.51.100.7, 2001:db8::1 and ::1; listen on 0.0.0.0:8080",
        "range 2019-2021, ports 8080-8090, 1920x1080, 01 02 03 04 05 06",
        "https://x.example/items/4539578763621486/view and /u/536-22-1876",
        "const LIMIT: u64 = 18446744073709551615; const MASK = 0xffffffff;",
        "chat id: -1001234567890, message id 987654321",
        "Tweet 1587312517679878144 had 2,345,678 views and 12 345 678 impressions",
        "The coordinates are 52.520008, 13.404954; pi is 3.14159265358979",
        "call setTimeout(fn, 86400000) and sleep 3600000",
        "| 2023 | 1,000,000 | 12.5% | 3,456,789 |",
        "Isaac Newton was born on 4 January 1643.",
        "Use test card 4242 4242 4242 4243 (which fails).",
        "mac os 14.2.1, mac 00:11:22:33:44:55 in the manual",
        "Bitcoin block 840000 has hash 0000000000000000000320283a032748cef8227873ff4872689bf23f1cda83a5",
        "Kubernetes 1.29.3 on arm64, kernel 6.1.0-18-amd64, postgres:16.2",
        "nie wieder 2024, pan 1234, sin 45 is 0.7071067811865476, fin 2024-10-10",
    ] {
        assert_eq!(personal(text), [], "{text}");
    }
}

#[test]
fn a_word_in_another_language_counts_too() {
    for (id, text) in [
        ("phone-number-in-context", "我的电话是 138 1234 5692"),
        ("payment-card-in-context", "信用卡 6759012808197836163"),
        ("bg-egn", "ЕГН 7604289853"),
        ("gr-afm", "ΑΦΜ 690310590"),
        ("il-id", "תעודת זהות 303589626"),
        ("th-id", "เลขบัตรประชาชน 8258858527449"),
        ("ru-snils", "СНИЛС 184-413-352 62"),
    ] {
        assert!(personal(text).iter().any(|(found, _)| found == id), "{id}: {:?}", personal(text));
    }
}

#[test]
fn what_is_shown_has_no_digit_of_the_value() {
    for text in
        ["card 4539 5787 6362 1486", "IBAN DE89370400440532013000", "SSN 536-22-1876", "PESEL 88110559551"]
    {
        for found in detectors().scan(text) {
            assert!(!found.redacted.chars().any(|c| c.is_ascii_digit()), "{text}: {}", found.redacted);
        }
    }
}

#[tokio::test]
async fn contacts_alone_are_never_held_and_numbers_with_check_digits_are() {
    for text in [
        "Newsletter 42: write to ann@north-harbour.org, ben@north-harbour.org or call +44 20 7946 0958.",
        "Imprint: Lindenstraße 14, 50674 Köln, Tel. +49 221 4710981, USt-IdNr. DE577206598, HRB 12345",
        "ABN 93 643 310 235, phone (02) 9374 4412, 185.22.174.69",
        "Donate to 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed or bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
        "Stripe's test card 4242 4242 4242 4242 always succeeds, 4000 0000 0000 0002 is declined.",
    ] {
        assert!(assessed(text).await.verdict() <= Verdict::Warn, "{text}");
    }
    for text in ["PESEL 88110559551", "pay with 4539 5787 6362 1486", "BSN: 519498835", "SSN 536-22-1876"] {
        assert_eq!(assessed(text).await.verdict(), Verdict::Quarantine, "{text}");
    }
    let three = "PESEL 88110559551, PESEL 73050227648 and BSN 519498835";
    assert_eq!(assessed(three).await.verdict(), Verdict::Block);
}
