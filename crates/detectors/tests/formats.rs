//! Credentials by their format: what a check sum proves, what only looks like a token, what is public or made up, and
//! what many of them together are. What a user would lose: a leaked key would pass, or a manual would be held.

#![expect(clippy::unwrap_used, reason = "a test may fail anywhere")]

use clawexchange_detectors::{Detectors, scan};
use clawexchange_ssg_core::{
    Assessment, ContentEnvelope, Inspector, InspectorConfig, PluginRegistry, RiskTier, TierThresholds,
    Verdict,
};

async fn of_text(text: &str) -> Assessment {
    let plugins = Detectors::default().register(PluginRegistry::new()).unwrap();
    Inspector::new(plugins, InspectorConfig::default()).inspect(&ContentEnvelope::post(text).unwrap()).await
}

/// Made up, each with a check sum that holds.
fn proven() -> Vec<(&'static str, String)> {
    vec![
        ("github-token", ["gho", "_FbYqiFPmEc9u", "eyCcnMddDqgIjOX5GW3xJWkt"].concat()),
        ("npm-token", ["npm", "_EJ5085xnFQnP", "9YgPfIHKRpfvYFkl9v4foKeV"].concat()),
        ("claw-token", ["cla", "w_XFtLThxxd9LldIk", "JUdhz2MJBNnisiC1NMm1maOl30dGION"].concat()),
        ("grafana-service-token", ["gls", "a_Z6ELClMZu5JMK", "SHzafb9x5aaX10zeyR0_ad5828b5"].concat()),
        ("gitlab-routable-token", ["glp", "at-bzoxCnU6NXhIb", "moKNUa2bUjRR8sC5wyPEA.0y1gbpyjk"].concat()),
        ("matrix-token", ["syt", "_aGFyYm91cg_BI", "vBsFOREXtNGxcRDgvL_4t6r0h"].concat()),
        ("age-secret-key", ["AGE", "-SECRET-KEY-13CD9GFUDCXX", "ALR5E3MGP7V6GCGFQJJLEMNE6Z5EGES2RHXXH46VSTLXGSE"].concat()),
        ("nostr-secret-key", ["nse", "c13cdgnp94d20ptkj9v0p", "jdjncxnjw9rev2puh3xnx3pwhzge840sqf829jx"].concat()),
        ("pypi-token", ["pyp", "i-AgEIcHlwaS5vcmcCJDzjVfLf5F2pP0m9fqGJLT0fhTrL4Shz__", "Yr6EuDbFuzhnE9uAfvWDblfMwxvX7Ma3BUWO_7gjvu8nq_OtxUEilFcUuzZaBr_Yx1pJyh4Aej45-aU423G-g8ZWny_cbFqftPgKc"].concat()),
        ("bitcoin-private-key", ["xpr", "v9ys5hya8MCseZwpXhMiMXjmtkFeX8YJeAkvL", "KCA7qxjZpgqouVXUmv2jjdeGsgKsPxyPTBZcjYJ9mv5JVbkVNRbfd5z9kCsjBKszCLqvvPJ"].concat()),
    ]
}

/// The same with one character in the middle changed for another of its kind.
fn broken(token: &str) -> String {
    // Of a macaroon the structure is the proof.
    let at = if token.starts_with("pypi-") { 12 } else { token.len() / 2 };
    let kind = |c: char| (c.is_ascii_digit(), c.is_ascii_uppercase());
    let (at, old) = token.char_indices().find(|(i, c)| *i >= at && c.is_ascii_alphabetic()).unwrap();
    let new = ['q', 'p', 'Q', 'P'].into_iter().find(|new| kind(*new) == kind(old) && *new != old).unwrap();
    let (before, rest) = token.split_at(at);
    format!("{before}{new}{}", rest.strip_prefix(old).unwrap())
}

#[tokio::test]
async fn a_check_sum_that_holds_is_proof_and_one_that_does_not_is_only_noticed() {
    for (id, token) in proven() {
        for text in
            [token.clone(), format!("the deploy uses {token} for now"), format!("TOKEN=\"{token}\"\n")]
        {
            let found = of_text(&text).await;
            let tier = TierThresholds::default().tier(found.score());
            assert_eq!((tier, found.verdict()), (RiskTier::Critical, Verdict::Block), "{id}: {text}");
            assert!(found.rules().iter().any(|r| r.pattern_id == id), "{id}: {text}");
        }
        let other = broken(&token);
        for text in [other.clone(), format!("the deploy uses {other} for now")] {
            let found = of_text(&text).await;
            let tier = TierThresholds::default().tier(found.score());
            let rules: Vec<_> = found.rules().iter().map(|r| &r.pattern_id).collect();
            assert!(
                tier >= RiskTier::Moderate && tier < RiskTier::Critical,
                "{id}: {text} {tier:?} {rules:?}"
            );
        }
    }
}

#[test]
fn keys_of_wallets_are_found_alone_and_wrapped() {
    let key = ["L1w", "9oxdwGNX4Xkvwrsnv", "mWwMn8XsPb4VbbLwR2F9gSAedhxG6jw1"].concat();
    let found = scan(&format!("send me dust, {key} is mine"));
    assert_eq!(
        (found[0].id.as_str(), found[0].checks.as_slice()),
        ("wallet-import-key", &["base58check"][..])
    );
    let hex = format!("keep {key} safe").bytes().fold(String::new(), |all, b| format!("{all}{b:02x}"));
    assert!(scan(&hex).iter().any(|d| d.id == "wallet-import-key" && d.views == ["hex"]));
}

#[tokio::test]
async fn placeholders_variables_and_what_manuals_publish_are_not_held() {
    for text in [
        "OPENAI_API_KEY=sk-your-key-here",
        "export GITHUB_TOKEN=${{ secrets.GITHUB_TOKEN }}",
        "token = os.environ[\"SLACK_TOKEN\"]",
        "const key = process.env.STRIPE_SECRET_KEY;",
        "password: <your-password>",
        "curl -H \"Authorization: Bearer $TOKEN\" https://api.acme.io",
        concat!("aws_access_key_id = AKIA", "IOSFODNN7EXAMPLE"),
        concat!("stripe.api_key = \"sk_test_", "4eC39HqLyjWDarjtT1zdp7dc\""),
        concat!("Sec-WebSocket-Key: dGhlIHNhbXBsZSBu", "b25jZQ=="),
        concat!("PRIVATE_KEY=0xac0974bec39a17e36ba4a6b4d238ff94", "4bacb478cbed5efcae784d7bf4f2ff80"),
        concat!("SLACK_TOKEN=\"xoxb-1234567890", "-abcdefghij\""),
        "postgres://user:password@localhost:5432/app",
        "public_key = \"9fK2mQ7xT4vB8nLw3Rz5hJ6c\"",
    ] {
        let found = of_text(text).await;
        let rules: Vec<_> = found.rules().iter().map(|r| &r.pattern_id).collect();
        assert!(found.verdict() <= Verdict::Warn, "{text}: {rules:?}");
    }
}

#[tokio::test]
async fn fifty_credentials_are_a_dump_and_one_fifty_times_is_not() {
    let key = |i: u32| {
        format!("API_KEY_{i}=\"k9Lm{}xQ8v{}Tz4Wp{}\"\n", i * 7919 % 9973, i * 104_729 % 9967, i * 611 % 997)
    };
    let many: String = (1..=60).map(key).collect();
    let found = of_text(&many).await;
    assert!(found.rules().iter().any(|r| r.pattern_id == "credential-dump"));
    assert_eq!(found.verdict(), Verdict::Block);
    let found = of_text(&key(7).repeat(60)).await;
    assert!(found.rules().iter().all(|r| r.pattern_id != "credential-dump"));
}
