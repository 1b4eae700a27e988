//! What a match must pass, or may prove: check digits, structure, and that it is no placeholder.

mod amounts;
mod cards;
pub(crate) mod check_digits;
mod documents;
mod hosts;
mod iban;
mod network;
mod phone;
mod placeholder;
pub(crate) mod rarity;
mod sums;
mod surroundings;
mod wallets;
mod written;

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use crate::national;
use sums::Sum;

/// One check, by the name that stands in the packs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Check {
    /// A check sum or a structure that a chance text does not have.
    Sum(Sum),
    /// It looks like a value with such a sum, and the sum is wrong.
    BrokenSum(Sum),
    /// What stands before the value does not name an identifier, a hash or a version.
    SecretName,
    /// A value that was written down for good: neither filled in later, nor code, nor a word that says nothing.
    Assigned,
    /// The digits pass the Luhn check and are no dummy.
    Luhn,
    /// The number begins as an issuer's numbers do and has the right length for it.
    CardIssuer,
    /// ISO 13616: length by country, modulo 97.
    Iban,
    /// A number that payment services print for trying them out, or one that looks like those.
    SampleCard,
    /// None of those.
    NotSampleCard,
    /// The digits pass the Luhn check, dummy or not.
    LuhnSum,
    /// Digits that are neither counted up nor the same over and over.
    NotDummyNumber,
    /// A national number whose check digits hold, by country.
    National(national::National),
    /// A telephone number of the North American plan.
    Nanp,
    /// A telephone number that is no dummy.
    Phone,
    /// The same in one run of digits, which is no time either.
    BarePhone,
    /// A telephone number with a country code, as long as that country's are.
    InternationalPhone,
    /// A telephone number in the shape of one country.
    NationalPhone,
    /// Not part of a longer number, path, sum or name.
    Apart,
    /// The same for telephone numbers, behind which their kind may stand.
    PhoneApart,
    /// No word near that calls it something else, such as an order or a build.
    NotCounted,
    /// A public IPv4 address.
    PublicIp,
    /// A public IPv6 address.
    PublicIpv6,
    /// The hardware address of one device.
    Mac,
    /// The address of a wallet, by its chain's checksum.
    Wallet(wallets::Wallet),
    /// The lines of a travel document that machines read.
    MachineReadable,
    /// The number of a vehicle.
    Vin,
    /// The number of a telephone.
    Imei,
    /// A day on which somebody who lives may have been born.
    Birthday,
    /// The code of a bank.
    Bic,
    /// A mail address of a person or office, not of a machine or a file name.
    Mailbox,
    /// The first part decodes to a JSON object that names an algorithm.
    JwtHeader,
    /// A key follows the header.
    PemBody,
    /// At least so many bits a character.
    Entropy(f32),
    /// At least so many bits a character, were it made of words.
    Rare(f32),
    /// Letters, digits and signs without sense: rare, or hex.
    Random,
    /// It counts up or down for the most part.
    Counting,
    /// At least three different signs.
    Signs,
    /// At least so many digits.
    Digits(usize),
    /// It has digits and letters.
    Mixed,
    /// It does not say of itself that it stands for something else.
    NotPlaceholder,
    /// It is neither a placeholder nor words, a sequence, code or a name.
    NotDummy,
    /// It looks like a password somebody chose.
    PasswordLike,
    /// Twelve to twenty-four words of which none is a word that holds sentences together.
    SeedWords,
    /// Not a host that everybody installs from.
    UnknownHost,
    /// A host that everybody installs from.
    KnownHost,
    /// A host of the sort that is thrown away after use, or a paste site.
    OddHost,
    /// It has an address.
    HasUrl,
    /// A host with a dot, and not one that documentation uses.
    RealAddress,
    /// It names an IPv4 address outside private networks.
    PublicAddress,
    /// A password that is not one of those that examples have.
    RealPassword,
    /// Not a variable that is filled in later.
    NotVariable,
    /// A password that somebody might have, though it looks made up.
    WeakPassword,
    /// A password that somebody wrote down, however weak.
    WrittenPassword,
    /// Written down as a key or token, made up or not.
    WrittenToken,
    /// The form of a token goes on so that it is neither a name nor for the reader to fill in.
    WrittenForm,
    /// Short, counting, repeating, an identifier by its form, or no random value.
    MadeUp,
    /// Long enough for a secret, and neither counting, repeating nor an identifier by its form.
    StrongForm,
    /// Small and large letters and digits.
    AllClasses,
    /// Base64 of a name, a colon and a password.
    BasicPair,
    /// Base64.
    Base64Value,
    /// A shell or a redirection stands near.
    ShellNear,
    /// Not the command line of an archiver.
    NotZipTool,
    /// No word that turns the sentence into its opposite stands before.
    NotNegated,
    /// The second sum of money is more than the first, of the same currency.
    PaysMore,
}

/// Where a match stands.
pub(crate) struct Site<'a> {
    pub(crate) text: &'a str,
    pub(crate) whole: Range<usize>,
    pub(crate) value: Range<usize>,
}

impl Site<'_> {
    /// The value, or nothing where it cuts a character.
    pub(crate) fn value(&self) -> &str {
        self.text.get(self.value.clone()).unwrap_or("")
    }

    /// The name in front of the value, from where it begins, and what stands between them.
    pub(crate) fn name(&self) -> &str {
        const BYTES_MAX: usize = 40;
        let before = self.text.as_bytes().get(self.whole.start.saturating_sub(BYTES_MAX)..self.whole.start);
        let part = |b: &&u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
        let len = before.unwrap_or(&[]).iter().rev().take_while(part).count();
        self.text.get(self.whole.start - len..self.value.start).unwrap_or("")
    }

    pub(crate) fn whole(&self) -> &str {
        self.text.get(self.whole.clone()).unwrap_or("")
    }
}

impl Check {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let (word, number) = name.split_once(':').unwrap_or((name, ""));
        if let Some(sum) = Sum::parse(word) {
            return Some(Self::Sum(sum));
        }
        Some(match word {
            "broken" => Self::BrokenSum(Sum::parse(number)?),
            "secret-name" => Self::SecretName,
            "assigned" => Self::Assigned,
            "luhn" => Self::Luhn,
            "card-issuer" => Self::CardIssuer,
            "iban" => Self::Iban,
            "sample-card" => Self::SampleCard,
            "not-sample-card" => Self::NotSampleCard,
            "luhn-sum" => Self::LuhnSum,
            "not-dummy-number" => Self::NotDummyNumber,
            "national" => Self::National(national::National::parse(number)?),
            "nanp" => Self::Nanp,
            "phone" => Self::Phone,
            "bare-phone" => Self::BarePhone,
            "international-phone" => Self::InternationalPhone,
            "national-phone" => Self::NationalPhone,
            "apart" => Self::Apart,
            "phone-apart" => Self::PhoneApart,
            "not-counted" => Self::NotCounted,
            "public-ip" => Self::PublicIp,
            "public-ipv6" => Self::PublicIpv6,
            "mac" => Self::Mac,
            "wallet" => Self::Wallet(wallets::Wallet::parse(number)?),
            "machine-readable" => Self::MachineReadable,
            "vin" => Self::Vin,
            "imei" => Self::Imei,
            "birthday" => Self::Birthday,
            "bic" => Self::Bic,
            "mailbox" => Self::Mailbox,
            "jwt-header" => Self::JwtHeader,
            "pem-body" => Self::PemBody,
            "entropy" => Self::Entropy(number.parse().ok()?),
            "counting" => Self::Counting,
            "signs" => Self::Signs,
            "random" => Self::Random,
            "rare" => Self::Rare(number.parse().ok()?),
            "digits" => Self::Digits(number.parse().ok()?),
            "mixed" => Self::Mixed,
            "not-placeholder" => Self::NotPlaceholder,
            "not-dummy" => Self::NotDummy,
            "password-like" => Self::PasswordLike,
            "seed-words" => Self::SeedWords,
            "unknown-host" => Self::UnknownHost,
            "known-host" => Self::KnownHost,
            "odd-host" => Self::OddHost,
            "has-url" => Self::HasUrl,
            "real-address" => Self::RealAddress,
            "public-address" => Self::PublicAddress,
            "real-password" => Self::RealPassword,
            "not-variable" => Self::NotVariable,
            "weak-password" => Self::WeakPassword,
            "written-password" => Self::WrittenPassword,
            "written-token" => Self::WrittenToken,
            "written-form" => Self::WrittenForm,
            "made-up" => Self::MadeUp,
            "strong-form" => Self::StrongForm,
            "all-classes" => Self::AllClasses,
            "basic-pair" => Self::BasicPair,
            "base64-value" => Self::Base64Value,
            "shell-near" => Self::ShellNear,
            "not-zip-tool" => Self::NotZipTool,
            "not-negated" => Self::NotNegated,
            "pays-more" => Self::PaysMore,
            _ => return None,
        })
    }

    /// The name that stands in results when it was a proof.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Sum(sum) => sum.name(),
            Self::BrokenSum(_) => "broken-sum",
            Self::SecretName => "name",
            Self::Luhn | Self::LuhnSum => "luhn",
            Self::CardIssuer => "issuer",
            Self::Iban => "iban",
            Self::SampleCard | Self::NotSampleCard => "sample-card",
            Self::National(_) | Self::MachineReadable | Self::Vin | Self::Imei => "check-digit",
            Self::Nanp | Self::Phone | Self::BarePhone | Self::InternationalPhone | Self::NationalPhone => {
                "phone"
            }
            Self::Apart | Self::PhoneApart | Self::NotCounted => "surroundings",
            Self::PublicIp | Self::PublicIpv6 => "public-ip",
            Self::Mac => "mac",
            Self::Wallet(_) => "wallet",
            Self::Birthday => "date",
            Self::Bic => "bic",
            Self::Mailbox => "mailbox",
            Self::JwtHeader => "jwt-header",
            Self::PemBody => "pem-body",
            Self::Entropy(_) | Self::Rare(_) | Self::Random | Self::Counting => "entropy",
            Self::Digits(_) | Self::Signs | Self::Mixed | Self::AllClasses => "mixed",
            Self::WrittenToken | Self::WrittenForm | Self::MadeUp | Self::StrongForm => "form",
            Self::NotPlaceholder | Self::NotDummy | Self::NotDummyNumber => "no-placeholder",
            Self::SeedWords => "seed-words",
            Self::UnknownHost
            | Self::KnownHost
            | Self::OddHost
            | Self::HasUrl
            | Self::RealAddress
            | Self::PublicAddress => "host",
            Self::Assigned
            | Self::PasswordLike
            | Self::RealPassword
            | Self::NotVariable
            | Self::WrittenPassword
            | Self::WeakPassword => "password",
            Self::BasicPair | Self::Base64Value => "base64",
            Self::ShellNear | Self::NotZipTool | Self::NotNegated | Self::PaysMore => "context",
        }
    }

    /// Whether a check of structure or check digits, which a chance text does not pass.
    pub(crate) fn is_proof(self) -> bool {
        match self {
            Self::National(kind) => kind.has_check_digits(),
            _ => matches!(
                self,
                Self::Sum(_)
                    | Self::Luhn
                    | Self::Iban
                    | Self::MachineReadable
                    | Self::Vin
                    | Self::Imei
                    | Self::JwtHeader
                    | Self::PemBody
            ),
        }
    }

    /// The part of `value` that is meant, where the expression cannot tell its end.
    pub(crate) fn end_of(self, value: &str) -> Option<usize> {
        match self {
            Self::Iban => iban::iban_end(value),
            Self::InternationalPhone => phone::international_end(value),
            _ => None,
        }
    }

    pub(crate) fn passes(self, site: &Site<'_>) -> bool {
        let value = site.value();
        match self {
            Self::Sum(sum) => sum.holds(value, site.text.get(site.whole.end..).unwrap_or("")),
            Self::BrokenSum(sum) => !sum.holds(value, site.text.get(site.whole.end..).unwrap_or("")),
            Self::SecretName => placeholder::is_secret_name(site.name()),
            Self::Assigned => placeholder::is_assigned(value),
            Self::Luhn => cards::is_luhn(value),
            Self::CardIssuer => cards::is_of_issuer(value),
            Self::SampleCard => cards::is_sample(value),
            Self::NotSampleCard => !cards::is_sample(value),
            Self::LuhnSum => check_digits::luhn(&check_digits::digits(value)),
            Self::NotDummyNumber => !check_digits::is_dummy(value),
            Self::Iban => iban::is_iban(value),
            Self::National(kind) => kind.is_valid(value),
            Self::Nanp => phone::is_nanp(value),
            Self::Phone => phone::is_grouped_phone(value),
            Self::BarePhone => phone::is_bare_phone(value),
            Self::InternationalPhone => phone::is_international(value),
            Self::NationalPhone => phone::is_national(value),
            Self::Apart => surroundings::is_apart(site),
            Self::PhoneApart => surroundings::is_phone_apart(site),
            Self::NotCounted => !surroundings::is_counted(site),
            Self::PublicIp => network::is_public_ip(value),
            Self::PublicIpv6 => network::is_public_ipv6(value),
            Self::Mac => network::is_mac(value),
            Self::Wallet(wallet) => wallet.is_valid(value),
            Self::MachineReadable => documents::is_machine_readable_zone(value),
            Self::Vin => documents::is_vin(value),
            Self::Imei => documents::is_imei(value),
            Self::Birthday => documents::is_birthday(value),
            Self::Bic => documents::is_bic(value),
            Self::Mailbox => network::is_mailbox(value),
            Self::JwtHeader => is_jwt_header(value),
            Self::PemBody => has_pem_body(site.text.get(site.whole.end..).unwrap_or("")),
            Self::Entropy(bits) => entropy(value) >= bits,
            Self::Counting => placeholder::is_counting(value),
            Self::Signs => {
                let signs = value.bytes().filter(u8::is_ascii_punctuation);
                signs.collect::<std::collections::BTreeSet<_>>().len() >= 3
            }
            Self::Random => placeholder::is_random(value),
            Self::Rare(bits) => rarity::rarity(value) >= bits,
            Self::Digits(count) => value.bytes().filter(u8::is_ascii_digit).count() >= count,
            Self::Mixed => {
                value.bytes().any(|b| b.is_ascii_digit()) && value.bytes().any(|b| b.is_ascii_alphabetic())
            }
            Self::NotPlaceholder => !placeholder::is_placeholder(value),
            Self::NotDummy => !placeholder::is_dummy(value),
            Self::PasswordLike => placeholder::is_password_like(value),
            Self::SeedWords => are_seed_words(value),
            Self::UnknownHost => !hosts::is_known_host(site.whole()),
            Self::KnownHost => hosts::is_known_host(site.whole()),
            Self::OddHost => hosts::has_odd_host(site.whole()),
            Self::HasUrl => site.whole().contains("://"),
            Self::RealAddress => !hosts::is_sample_host(site.whole()),
            Self::PublicAddress => network::has_public_ip(site.whole()),
            Self::RealPassword => placeholder::is_real_password(value),
            Self::NotVariable => !placeholder::is_variable(value),
            Self::WeakPassword => placeholder::is_weak_password(value),
            Self::WrittenPassword => written::is_written_password(value),
            Self::WrittenToken => written::is_written_token(value),
            Self::WrittenForm => written::is_written_form(value),
            Self::MadeUp => {
                written::is_of_weak_form(value)
                    || placeholder::is_dummy(value)
                    || !placeholder::is_random(value)
            }
            Self::StrongForm => !written::is_of_weak_form(value),
            Self::AllClasses => written::has_all_classes(value),
            Self::BasicPair => is_basic_pair(value),
            Self::Base64Value => STANDARD_NO_PAD.decode(value.trim_end_matches('=')).is_ok(),
            Self::ShellNear => placeholder::has_shell(site),
            Self::NotNegated => !crate::context::is_negated(site.text, site.whole.start),
            Self::PaysMore => amounts::pays_more(site.whole()),
            Self::NotZipTool => !placeholder::is_zip_tool(site.whole()),
        }
    }
}

/// Whether it is a private key of a wallet in base 58, by its check sum, and none that everybody knows.
pub(crate) fn is_wallet_key(value: &str) -> bool {
    Sum::Base58Check.holds(value, "") && !placeholder::is_published(value)
}

/// Shannon entropy in bits a byte.
pub(crate) fn entropy(text: &str) -> f32 {
    let mut counts = [0u32; 256];
    for b in text.bytes() {
        if let Some(count) = counts.get_mut(usize::from(b)) {
            *count += 1;
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "values are at most a few hundred bytes long")]
    let len = text.len().max(1) as f32;
    counts.iter().filter(|c| **c > 0).fold(0.0, |sum, &count| {
        #[expect(clippy::cast_precision_loss, reason = "values are at most a few hundred bytes long")]
        let p = count as f32 / len;
        sum - p * p.log2()
    })
}

/// How the signature of the token begins that documentation shows.
const SAMPLE_SIGNATURE: &str = ".SflKxwRJSMeKKF2Q";

fn is_jwt_header(token: &str) -> bool {
    if token.contains(SAMPLE_SIGNATURE) {
        return false;
    }
    let Some(header) = token.split('.').next() else { return false };
    let Ok(json) = URL_SAFE_NO_PAD.decode(header.trim_end_matches('=')) else { return false };
    serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&json)
        .is_ok_and(|header| header.contains_key("alg") || header.contains_key("enc"))
}

/// At least sixteen characters of a key follow, behind line ends (which may be escaped) and header lines.
fn has_pem_body(after: &str) -> bool {
    let mut longest = 0;
    let mut run = 0;
    for b in after.bytes().take(400) {
        if b.is_ascii_alphanumeric() || b == b'+' || b == b'/' {
            run += 1;
            longest = longest.max(run);
        } else {
            run = 0;
        }
        if b == b'-' && longest == 0 {
            // Another boundary, or a range of dashes: nothing was in between.
            break;
        }
    }
    let head = after.get(..after.len().min(120)).unwrap_or("");
    longest >= 16 && !placeholder::is_placeholder_word(head)
}

fn is_basic_pair(value: &str) -> bool {
    let decoded = STANDARD_NO_PAD.decode(value.trim_end_matches('=')).ok();
    let text = decoded.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
    text.split_once(':').is_some_and(|(_, password)| placeholder::is_real_password(password))
}

/// Words that hold sentences together; none of them is in a word list of BIP 39.
const SENTENCE_WORDS: [&str; 40] = [
    "the", "and", "for", "with", "you", "your", "are", "was", "were", "has", "have", "had", "his", "her",
    "its", "our", "their", "they", "them", "from", "not", "but", "what", "which", "would", "could", "should",
    "been", "does", "did", "who", "how", "why", "where", "here", "into", "than", "then", "phrase", "please",
];

fn are_seed_words(text: &str) -> bool {
    let words: Vec<&str> = text.split(|c: char| !c.is_ascii_lowercase()).filter(|w| !w.is_empty()).collect();
    let distinct: std::collections::BTreeSet<_> = words.iter().collect();
    let plain = words.iter().all(|w| (3..=8).contains(&w.len()) && !SENTENCE_WORDS.contains(w));
    matches!(words.len(), 12 | 15 | 18 | 21 | 24) && plain && distinct.len() + 3 > words.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_without_a_key_is_not_a_key() {
        assert!(has_pem_body("\nMIIEpAIBAAKCAQEAx9\n"));
        assert!(has_pem_body("\\nMIIEpAIBAAKCAQEAx9\\n"));
        assert!(!has_pem_body("\n...\n-----END"));
        assert!(!has_pem_body(" is how such a file begins"));
    }
}
