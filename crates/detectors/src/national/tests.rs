//! Every kind of number, with some whose check digits were worked out by its rules.

use super::*;

/// Made up: no number here was taken from anywhere.
const VALID: [(&str, [&str; 3]); 90] = [
    ("ae-eid", ["784-1969-0708093-9", "784-1964-8241581-5", "784-1959-9479765-2"]),
    ("ar-cuil", ["20-44168596-4", "20-74934258-8", "20-47849235-9"]),
    ("at-svnr", ["7739 141188", "6032 210798", "6435 011179"]),
    ("au-abn", ["70 374 255 844", "45 118 333 672", "77 034 282 940"]),
    ("au-acn", ["895 384 657", "387 930 243", "143 003 445"]),
    ("au-medicare", ["2035 71220 5", "5933 13064 9", "3496 27661 7"]),
    ("au-tfn", ["059 576 307", "165 782 727", "758 668 855"]),
    ("be-nrn", ["59.12.13-561.81", "75.11.20-481.86", "93.01.21-008.61"]),
    ("bg-egn", ["7302225463", "8510054820", "7003193987"]),
    ("br-cnpj", ["57.783.116/0001-61", "62.066.063/0001-06", "36.068.803/0001-25"]),
    ("br-cpf", ["628.677.945-01", "297.869.955-89", "770.145.112-97"]),
    ("ca-sin", ["257 390 575", "537 709 206", "747 639 235"]),
    ("ch-ahv", ["756.3366.2788.70", "756.8006.3769.54", "756.4396.4143.75"]),
    ("cl-rut", ["17.093.729-5", "15.254.596-7", "12.836.743-8"]),
    ("cn-resident", ["31010419811121159X", "31010419830617635X", "310104198502096429"]),
    ("co-nit", ["958.019.122-1", "253.420.334-5", "400.009.795-9"]),
    ("cz-rc", ["911116/9397", "660602/7065", "580111/0414"]),
    ("de-document", ["Z70R93Y58", "X34P87Z34", "N92R94T16"]),
    ("de-kvnr", ["M533738309", "K621631798", "O883083802"]),
    ("de-rvnr", ["28010883O796", "47170570H526", "57230572L992"]),
    ("de-steuer-id", ["93 018 286 452", "31 285 624 205", "23 358 791 639"]),
    ("de-vat", ["680 180 239", "387 303 446", "200 488 272"]),
    ("dk-cpr", ["190954-8194", "071276-4203", "120981-9027"]),
    ("ec-cedula", ["1716029770", "1738380110", "1716573207"]),
    ("ee-isikukood", ["38906247149", "38501145744", "38012051360"]),
    ("eg-id", ["27504070108425", "25110080133735", "25708270180657"]),
    ("es-dni", ["45815806J", "28070094C", "13092784B"]),
    ("es-nss", ["28 60711702 21", "28 50975307 01", "28 20960400 95"]),
    ("fi-hetu", ["170293-862C", "090765-013M", "120265-231K"]),
    ("fr-nir", ["1 80 02 75 002 801 63", "1 83 12 75 132 551 15", "1 87 03 75 727 708 01"]),
    ("fr-spi", ["13 99 234 583 075", "19 71 950 590 057", "19 04 000 022 225"]),
    ("gr-afm", ["142642721", "498643600", "961502375"]),
    ("gr-amka", ["02077769434", "17019142946", "04098834759"]),
    ("hk-hkid", ["M944371(7)", "O248598(3)", "K758849(6)"]),
    ("hr-oib", ["64531196177", "24861711056", "22747912768"]),
    ("hu-adoazonosito", ["8593092675", "8479466057", "8275953375"]),
    ("hu-szemelyi", ["1-800123-9801", "1-781216-0853", "1-570611-4723"]),
    ("hu-taj", ["257 843 410", "960 111 934", "863 610 732"]),
    ("id-nik", ["3171042609844452", "3171040310504083", "3171042711773008"]),
    ("ie-pps", ["4298122BA", "8783960IA", "9048387KA"]),
    ("il-id", ["752633347", "462527094", "165542143"]),
    ("in-aadhaar", ["7574 6384 1625", "3532 9275 8786", "2848 9135 1380"]),
    ("in-pan", ["AVKPK8763D", "YEIPB5120C", "OWWPJ6892F"]),
    ("ir-meli", ["2891973704", "1603813683", "9068792857"]),
    ("is-kennitala", ["070289-2969", "060295-3369", "090456-8069"]),
    ("it-codice-fiscale", ["AHDJTZ82E18W034S", "BQPTLS73C02D056K", "TAHIQT95M17M347K"]),
    ("it-iva", ["42134470154", "04811740150", "90731740156"]),
    ("jp-my-number", ["4212 0012 0502", "1662 2654 4378", "0771 1772 8849"]),
    ("kr-rrn", ["510818-1931372", "810228-1719575", "601020-1916467"]),
    ("kz-iin", ["641219341816", "650305332219", "910102360810"]),
    ("lu-matricule", ["1975120387324", "1995102539662", "1983060710871"]),
    ("lv-pk", ["170765-37156", "220576-02553", "201272-53418"]),
    ("mx-curp", ["FCVC890610HJCRWZ24", "MLXI540620HJCTDD79", "OBKT921128HJCMOJ08"]),
    ("mx-rfc", ["AYRW901010626", "TODD570218483", "EHDB920614611"]),
    ("my-mykad", ["820425-14-0070", "660127-14-4428", "960909-14-9625"]),
    ("nl-bsn", ["550442716", "737972312", "828921386"]),
    ("no-fnr", ["230183 47229", "100457 73014", "160256 94361"]),
    ("nz-ird", ["11-232-855", "17-812-092", "18-286-220"]),
    ("nz-nhi", ["SQX7650", "PBY1568", "PPA3905"]),
    ("pe-ruc", ["20823325950", "20867840436", "20583662465"]),
    ("pl-id-card", ["LXM872658", "YPJ647784", "CMA526702"]),
    ("pl-nip", ["746-126-03-46", "720-544-04-79", "706-370-56-13"]),
    ("pl-pesel", ["81112827376", "60032114092", "73050227648"]),
    ("pt-cc", ["69158608 0 AU9", "29827132 1 RD8", "20781051 2 CN6"]),
    ("pt-nif", ["229323278", "288357787", "283898461"]),
    ("pt-niss", ["16710070346", "17979764079", "11302572042"]),
    ("ro-cnp", ["1660620199211", "1861113113008", "1721003143925"]),
    ("ru-inn", ["770167246870", "779968310107", "777583303201"]),
    ("ru-snils", ["661-857-378 39", "455-907-729 25", "526-030-602 37"]),
    ("sa-id", ["1317006185", "1736659978", "1839454525"]),
    ("se-pnr", ["760420-9655", "530302-6552", "500521-4209"]),
    ("sg-nric", ["S2837975G", "S4833526H", "S5805688Z"]),
    ("si-davcna", ["89141962", "31450881", "16202732"]),
    ("th-id", ["6-1144-37039-85-6", "2-9813-88113-50-1", "5-5376-80613-08-3"]),
    ("tr-tckn", ["65140480648", "50250576572", "33346639658"]),
    ("tw-id", ["F185132963", "E107309243", "Q179140420"]),
    ("ua-rnokpp", ["3472515883", "9089480824", "2591046026"]),
    ("uk-driving-licence", ["VZDGA105240RL9VZ", "JRRQA005054GU9ZJ", "CWNYJ005288MP9WC"]),
    ("uk-nhs", ["126 742 0707", "669 613 5162", "124 256 0491"]),
    ("uk-nino", ["BC 81 95 08 C", "TT 03 97 89 B", "LG 30 86 26 A"]),
    ("us-aba", ["021303508", "021889750", "021946952"]),
    ("us-ein", ["45-9820712", "83-0245801", "23-8973178"]),
    ("us-itin", ["959-74-7148", "950-76-7788", "963-70-5126"]),
    ("us-mbi", ["6KE2MC8QE10", "9AM1KW4QA67", "8XF0GQ2MW70"]),
    ("us-npi", ["1334795451", "1540651050", "1084850332"]),
    ("us-ssn", ["005-71-0601", "474-92-9577", "404-71-6685"]),
    ("uy-ci", ["3.910.535-6", "0.286.861-6", "9.173.252-1"]),
    ("vn-cccd", ["092107703834", "002106780498", "051129147481"]),
    ("yu-jmbg", ["2512985841894", "1610984790720", "1107981933403"]),
    ("za-id", ["9207263305080", "6610125908087", "5808265687088"]),
];

/// Kinds that miss some changes: a digit stands for ten as well, or a weight shares a factor with the modulus.
const LEAKY: [&str; 29] = [
    "ar-cuil",
    "be-nrn",
    "bg-egn",
    "br-cnpj",
    "br-cpf",
    "co-nit",
    "cz-rc",
    "de-rvnr",
    "ee-isikukood",
    "gr-afm",
    "jp-my-number",
    "pt-nif",
    "ro-cnp",
    "ru-snils",
    "si-davcna",
    "ua-rnokpp",
    "lv-pk",
    "au-acn",
    "ir-meli",
    "kz-iin",
    "mx-curp",
    "nz-ird",
    "nz-nhi",
    "pe-ruc",
    "pt-niss",
    "ru-inn",
    "th-id",
    "tw-id",
    "uy-ci",
];

/// Digits that no check digit covers: the card's issue, the century.
const UNCOVERED: [(&str, usize); 2] = [("au-medicare", 9), ("is-kennitala", 9)];

fn kinds() -> impl Iterator<Item = &'static str> {
    KINDS.into_iter().flatten().map(|(name, _)| *name)
}

#[test]
fn every_kind_accepts_numbers_of_its_own() {
    for name in kinds() {
        let (_, numbers) = VALID.iter().find(|(known, _)| *known == name).expect(name);
        for number in numbers {
            assert!(National::parse(name).expect(name).is_valid(number), "{name}: {number}");
        }
    }
}

#[test]
fn another_digit_breaks_the_number() {
    let mut wrong = Vec::new();
    for (name, numbers) in VALID {
        let kind = National::parse(name).expect(name);
        if !kind.has_check_digits() {
            continue;
        }
        let (mut tried, mut missed) = (0, Vec::new());
        for number in numbers {
            let places = number.char_indices().filter(|(_, c)| c.is_ascii_digit()).enumerate();
            for (nth, (at, was)) in places.filter(|(nth, _)| !UNCOVERED.contains(&(name, *nth))) {
                for other in ('0'..='9').filter(|d| *d != was) {
                    let broken = format!("{}{other}{}", &number[..at], &number[at + 1..]);
                    tried += 1;
                    if (kind.holds)(&broken) {
                        missed.push((nth, broken));
                    }
                }
            }
        }
        let most = if LEAKY.contains(&name) { tried / 9 } else { 0 };
        if missed.len() > most {
            wrong.push(format!("{name}: {} of {tried}: {missed:?}", missed.len()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn one_number_in_five_at_most_would_pass_by_chance() {
    let mut state = 7u64;
    for (name, [number, ..]) in VALID {
        let kind = National::parse(name).expect(name);
        if !kind.has_check_digits() {
            continue;
        }
        let passed = (0..400)
            .filter(|_| {
                let other: String = number
                    .chars()
                    .map(|c| {
                        state = state
                            .wrapping_mul(6_364_136_223_846_793_005)
                            .wrapping_add(1_442_695_040_888_963_407);
                        let digit = u32::try_from((state >> 33) % 10).unwrap();
                        if c.is_ascii_digit() { char::from_digit(digit, 10).unwrap() } else { c }
                    })
                    .collect();
                (kind.holds)(&other)
            })
            .count();
        assert!(passed < 80, "{name}: {passed} of 400");
    }
}

#[test]
fn kinds_are_named_once_and_unknown_names_are_none() {
    let names: std::collections::BTreeSet<_> = kinds().collect();
    assert_eq!(names.len(), kinds().count());
    assert!(National::parse("xx-none").is_none());
    assert!(STRONG.iter().chain(&UNCHECKED).all(|name| names.contains(name)));
}

#[test]
fn the_same_few_digits_over_and_over_are_nobody() {
    for (name, dummy) in
        [("pl-pesel", "11111111116"), ("uk-nhs", "111 111 1111"), ("in-aadhaar", "2222 2222 2222")]
    {
        assert!(!National::parse(name).expect(name).is_valid(dummy), "{name}");
    }
}
