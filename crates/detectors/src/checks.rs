//! What a match must pass, or may prove: check digits, structure, and that it is no placeholder.

mod amounts;
mod hosts;
mod identity;
mod placeholder;
mod rarity;
mod sums;

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

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
    /// A social security number that may have been issued.
    Ssn,
    /// A national number whose check digits hold, by country.
    National(identity::National),
    /// A telephone number of the North American plan.
    Nanp,
    /// A telephone number that is no dummy.
    Phone,
    /// A public IPv4 address.
    PublicIp,
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
            "ssn" => Self::Ssn,
            "national" => Self::National(identity::National::parse(number)?),
            "nanp" => Self::Nanp,
            "phone" => Self::Phone,
            "public-ip" => Self::PublicIp,
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
            Self::Luhn => "luhn",
            Self::CardIssuer => "issuer",
            Self::Iban => "iban",
            Self::Ssn => "ssn",
            Self::National(_) => "check-digit",
            Self::Nanp | Self::Phone => "phone",
            Self::PublicIp => "public-ip",
            Self::Mailbox => "mailbox",
            Self::JwtHeader => "jwt-header",
            Self::PemBody => "pem-body",
            Self::Entropy(_) | Self::Rare(_) | Self::Random | Self::Counting => "entropy",
            Self::Digits(_) | Self::Signs | Self::Mixed => "mixed",
            Self::NotPlaceholder | Self::NotDummy => "no-placeholder",
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
            | Self::WeakPassword => "password",
            Self::BasicPair | Self::Base64Value => "base64",
            Self::ShellNear | Self::NotZipTool | Self::NotNegated | Self::PaysMore => "context",
        }
    }

    /// Whether a check of structure or check digits, which a chance text does not pass.
    pub(crate) const fn is_proof(self) -> bool {
        matches!(
            self,
            Self::Sum(_) | Self::Luhn | Self::Iban | Self::National(_) | Self::JwtHeader | Self::PemBody
        )
    }

    /// The part of `value` that is meant, where the expression cannot tell its end.
    pub(crate) fn end_of(self, value: &str) -> Option<usize> {
        if self == Self::Iban { identity::iban_end(value) } else { None }
    }

    pub(crate) fn passes(self, site: &Site<'_>) -> bool {
        let value = site.value();
        match self {
            Self::Sum(sum) => sum.holds(value, site.text.get(site.whole.end..).unwrap_or("")),
            Self::BrokenSum(sum) => !sum.holds(value, site.text.get(site.whole.end..).unwrap_or("")),
            Self::SecretName => placeholder::is_secret_name(site.name()),
            Self::Assigned => placeholder::is_assigned(value),
            Self::Luhn => identity::is_luhn(value),
            Self::CardIssuer => identity::is_of_issuer(value),
            Self::Iban => identity::is_iban(value),
            Self::Ssn => identity::is_ssn(value),
            Self::National(country) => country.is_valid(value),
            Self::Nanp => identity::is_nanp(value),
            Self::Phone => identity::is_phone(value),
            Self::PublicIp => identity::is_public_ip(value),
            Self::Mailbox => identity::is_mailbox(value),
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
            Self::PublicAddress => identity::has_public_ip(site.whole()),
            Self::RealPassword => placeholder::is_real_password(value),
            Self::NotVariable => !placeholder::is_variable(value),
            Self::WeakPassword => placeholder::is_weak_password(value),
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
