//! Numbers that name a person or a purse: check digits, areas and lengths.

/// Countries whose numbers have check digits of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum National {
    /// Brazil, CPF.
    Cpf,
    /// Spain, DNI and NIE.
    Dni,
    /// Italy, codice fiscale.
    CodiceFiscale,
    /// Poland, PESEL.
    Pesel,
    /// India, Aadhaar: Verhoeff.
    Aadhaar,
    /// United Kingdom, NHS number.
    Nhs,
    /// China, resident identity.
    Resident,
    /// Australia, tax file number.
    Tfn,
    /// Finland, personal identity code.
    Hetu,
    /// Canada, social insurance number.
    Sin,
    /// Germany, tax identification number.
    SteuerId,
    /// France, number of the social register.
    Nir,
    /// Netherlands, citizen service number.
    Bsn,
    /// Singapore, NRIC and FIN.
    Nric,
}

impl National {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "cpf" => Self::Cpf,
            "dni" => Self::Dni,
            "codice-fiscale" => Self::CodiceFiscale,
            "pesel" => Self::Pesel,
            "aadhaar" => Self::Aadhaar,
            "nhs" => Self::Nhs,
            "resident" => Self::Resident,
            "tfn" => Self::Tfn,
            "hetu" => Self::Hetu,
            "sin" => Self::Sin,
            "steuer-id" => Self::SteuerId,
            "nir" => Self::Nir,
            "bsn" => Self::Bsn,
            "nric" => Self::Nric,
            _ => return None,
        })
    }

    pub(crate) fn is_valid(self, text: &str) -> bool {
        let d = digits(text);
        if varied(&d) < 3 {
            return false;
        }
        match self {
            Self::Cpf => d.len() == 11 && cpf(&d),
            Self::Dni => dni(text),
            Self::CodiceFiscale => codice_fiscale(text),
            Self::Pesel => {
                d.len() == 11 && weighted(&d, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1]).is_multiple_of(10)
            }
            Self::Aadhaar => d.len() == 12 && d.first() > Some(&1) && verhoeff(&d),
            Self::Nhs => d.len() == 10 && weighted(&d, &[10, 9, 8, 7, 6, 5, 4, 3, 2, 1]).is_multiple_of(11),
            Self::Resident => resident(text),
            Self::Tfn => d.len() == 9 && weighted(&d, &[1, 4, 3, 7, 5, 8, 6, 9, 10]).is_multiple_of(11),
            Self::Hetu => hetu(text),
            Self::Sin => d.len() == 9 && luhn_sum(&d).is_multiple_of(10),
            Self::SteuerId => d.len() == 11 && d.first() != Some(&0) && mod11_10(&d),
            Self::Nir => nir(&d),
            Self::Bsn => {
                d.len() == 9 && {
                    let (body, check) = d.split_at(8);
                    let sum = weighted(body, &[9, 8, 7, 6, 5, 4, 3, 2]);
                    sum % 11 == check.first().copied().unwrap_or(10)
                }
            }
            Self::Nric => nric(text),
        }
    }
}

fn digits(text: &str) -> Vec<u32> {
    text.chars().filter_map(|c| c.to_digit(10)).collect()
}

fn varied(d: &[u32]) -> usize {
    d.iter().collect::<std::collections::BTreeSet<_>>().len()
}

fn weighted(d: &[u32], weights: &[u32]) -> u32 {
    d.iter().zip(weights).map(|(d, w)| d * w).sum()
}

fn luhn_sum(d: &[u32]) -> u32 {
    d.iter()
        .rev()
        .enumerate()
        .map(|(place, &d)| match place % 2 {
            0 => d,
            _ if d > 4 => d * 2 - 9,
            _ => d * 2,
        })
        .sum()
}

/// Luhn's check, and not the same few digits over and over.
pub(crate) fn is_luhn(text: &str) -> bool {
    let d = digits(text);
    varied(&d) >= 3 && luhn_sum(&d).is_multiple_of(10)
}

/// Whether a card number begins as one of the issuers' do, and is as long as theirs.
pub(crate) fn is_of_issuer(text: &str) -> bool {
    let number: String = text.chars().filter(char::is_ascii_digit).collect();
    let head = |n: usize| number.get(..n).and_then(|h| h.parse::<u32>().ok()).unwrap_or(0);
    let of = |lengths: &[usize]| lengths.contains(&number.len());
    match (head(1), head(2), head(3), head(4)) {
        (4, ..) => of(&[13, 16, 19]),
        (_, 51..=55 | 65, ..) | (_, _, 644..=649, _) | (_, _, _, 2221..=2720 | 3528..=3589 | 6011) => {
            of(&[16, 19])
        }
        (_, 34 | 37, ..) => of(&[15]),
        (_, 36 | 38 | 39, ..) | (_, _, 300..=305, _) => of(&[14, 16, 19]),
        (_, 62 | 81, ..) => of(&[16, 17, 18, 19]),
        (_, 50 | 56..=58 | 63 | 67, ..) => of(&[12, 13, 14, 15, 16, 17, 18, 19]),
        _ => false,
    }
}

/// Lengths by country, of the registry of ISO 13616.
const IBAN_LENGTHS: &str = "AD24AE23AL28AT20AZ28BA20BE16BG22BH22BI27BR29BY28CH21CR22CY28CZ24DE22DJ27DK18DO28EE20EG29ES24FI18FK18FO18FR27GB22GE22GI23GL18GR27GT28HN28HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32LI21LT20LU20LV21LY25MC27MD24ME22MK19MN20MR27MT31MU30NI28NL18NO15OM23PK24PL28PS29PT25QA29RO24RS22RU33SA24SC31SD18SE24SI19SK24SM27SO23ST25SV28TL23TN24TR26UA29VA22VG24XK20YE30";

/// How many bytes from the start belong to the account number, by the length that its country has. What follows
/// may look like a further group.
pub(crate) fn iban_end(text: &str) -> Option<usize> {
    let letters = text.char_indices().filter(|(_, c)| c.is_ascii_alphanumeric());
    let (at, c) = letters.take(iban_length(text)?).last()?;
    Some(at + c.len_utf8())
}

fn iban_length(text: &str) -> Option<usize> {
    let country = text.get(..2)?.to_ascii_uppercase();
    let at = IBAN_LENGTHS.match_indices(&country).map(|(at, _)| at).find(|at| at.is_multiple_of(4))?;
    IBAN_LENGTHS.get(at + 2..at + 4)?.parse().ok()
}

pub(crate) fn is_iban(text: &str) -> bool {
    let plain: String = text.chars().filter(char::is_ascii_alphanumeric).collect();
    let Some(rest) = plain.get(4..) else { return false };
    let turned = rest.chars().chain(plain.chars().take(4));
    let remainder = turned
        .filter_map(|c| c.to_digit(36))
        .fold(0, |r, d| if d < 10 { (r * 10 + d) % 97 } else { (r * 100 + d) % 97 });
    iban_length(text) == Some(plain.len()) && remainder == 1
}

/// Area 000, 666 and 900 to 999, group 00 and serial 0000 were never issued; some were printed in advertisements.
pub(crate) fn is_ssn(text: &str) -> bool {
    let d: String = text.chars().filter(char::is_ascii_digit).collect();
    let (Some(area), Some(group), Some(serial)) = (d.get(..3), d.get(3..5), d.get(5..)) else { return false };
    d.len() == 9
        && !matches!(area, "000" | "666")
        && !area.starts_with('9')
        && group != "00"
        && serial != "0000"
        && !matches!(&*d, "078051120" | "219099999" | "123456789" | "457555462")
        && varied(&digits(&d)) >= 3
}

/// Area and exchange begin with 2 to 9 and do not end in 11; 555-01xx is for stories.
pub(crate) fn is_nanp(text: &str) -> bool {
    let d: String = text.chars().filter(char::is_ascii_digit).collect();
    let d = match d.len() {
        11 => d.strip_prefix('1').unwrap_or(""),
        _ => &d,
    };
    let (Some(area), Some(exchange), Some(line)) = (d.get(..3), d.get(3..6), d.get(6..)) else {
        return false;
    };
    let plausible = |code: &str| !code.starts_with(['0', '1']) && !code.ends_with("11");
    line.len() == 4 && plausible(area) && plausible(exchange) && varied(&digits(d)) >= 3
}

pub(crate) fn is_phone(text: &str) -> bool {
    let d = digits(text);
    (8..=15).contains(&d.len()) && varied(&d) >= 3
}

pub(crate) fn is_public_ip(text: &str) -> bool {
    text.parse::<std::net::Ipv4Addr>().is_ok_and(|ip| {
        let [a, b, c, d] = ip.octets();
        let reserved = ip.is_private()
            || ip.is_loopback()
            || ip.is_link_local()
            || ip.is_broadcast()
            || ip.is_documentation()
            || ip.is_multicast()
            || ip.is_unspecified();
        // Small numbers throughout are versions, and the same four are the resolvers that everybody names.
        let version = a < 16 && b < 32 && c < 32 && d < 32;
        let resolver =
            matches!((a, b, c, d), (8, 8, 8, 8) | (8, 8, 4, 4) | (1, 1, 1, 1) | (1, 0, 0, 1) | (9, 9, 9, 9));
        let shared = a == 100 && (64..128).contains(&b);
        !(reserved || version || resolver || shared || a == 0 || a >= 240)
    })
}

/// Whether a command names a public address; private ones are examples and laboratories.
pub(crate) fn has_public_ip(command: &str) -> bool {
    command
        .split(|c: char| !(c.is_ascii_digit() || c == '.'))
        .filter_map(|part| part.trim_matches('.').parse::<std::net::Ipv4Addr>().ok())
        .any(|ip| !(ip.is_private() || ip.is_loopback() || ip.is_documentation() || ip.is_unspecified()))
}

/// Not an image named `logo@2x.png`, a remote of git, or an address inside a URL.
pub(crate) fn is_mailbox(text: &str) -> bool {
    const FILES: [&str; 12] =
        ["png", "jpg", "jpeg", "gif", "svg", "webp", "js", "ts", "css", "json", "md", "py"];
    let lower = text.to_ascii_lowercase();
    let Some((local, domain)) = lower.split_once('@') else { return false };
    let Some((_, top)) = domain.rsplit_once('.') else { return false };
    let machine = matches!(local, "git" | "hg" | "svn" | "ssh" | "root");
    !machine
        && !FILES.contains(&top)
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !lower.contains("..")
}

fn cpf(d: &[u32]) -> bool {
    let check = |n: usize| {
        let weights: Vec<u32> = (2..).take(n).collect::<Vec<u32>>().into_iter().rev().collect();
        let rest = weighted(d.get(..n).unwrap_or(&[]), &weights) * 10 % 11 % 10;
        d.get(n) == Some(&rest)
    };
    check(9) && check(10)
}

fn dni(text: &str) -> bool {
    const LETTERS: &[u8; 23] = b"TRWAGMYFPDXBNJZSQVHLCKE";
    let plain: String =
        text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect();
    let Some((body, letter)) = plain.split_at_checked(plain.len().saturating_sub(1)) else { return false };
    let body = body.replace('X', "0").replace('Y', "1").replace('Z', "2");
    let number = body.parse::<usize>().ok().filter(|_| body.len() == 8);
    number.and_then(|n| LETTERS.get(n % 23)).is_some_and(|l| letter.as_bytes() == [*l])
}

fn codice_fiscale(text: &str) -> bool {
    const ODD: [u32; 26] =
        [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];
    let plain = text.to_ascii_uppercase();
    let value = |c: char| c.to_digit(36).map(|d| if d < 10 { d } else { d - 10 });
    let mut sum = 0;
    for (at, c) in plain.chars().take(15).enumerate() {
        let Some(v) = value(c) else { return false };
        // The first character is in an odd place.
        sum += if at % 2 == 0 { ODD.get(v as usize).copied().unwrap_or(0) } else { v };
    }
    plain.len() == 16 && plain.chars().nth(15).and_then(value) == Some(sum % 26)
}

fn verhoeff(d: &[u32]) -> bool {
    const STEP: [u32; 10] = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4];
    // The dihedral group of the pentagon, and the permutation by place.
    let times = |a: u32, b: u32| match (a < 5, b < 5) {
        (true, true) => (a + b) % 5,
        (true, false) => (a + b - 5) % 5 + 5,
        (false, true) => (a + 10 - b - 5) % 5 + 5,
        (false, false) => (a + 5 - b) % 5,
    };
    let sum = d.iter().rev().enumerate().fold(0, |sum, (place, &digit)| {
        let moved = (0..place % 8).fold(digit, |n, _| STEP.get(n as usize).copied().unwrap_or(n));
        times(sum, moved)
    });
    sum == 0
}

fn resident(text: &str) -> bool {
    const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    let body = digits(text.get(..17).unwrap_or(""));
    let check = (12 - weighted(&body, &WEIGHTS) % 11) % 11;
    let last = text.get(17..).unwrap_or("");
    let year = text.get(6..10).and_then(|y| y.parse::<u32>().ok()).unwrap_or(0);
    body.len() == 17
        && (1900..2100).contains(&year)
        && if check == 10 { last.eq_ignore_ascii_case("x") } else { last.parse() == Ok(check) }
}

fn hetu(text: &str) -> bool {
    const LETTERS: &[u8; 31] = b"0123456789ABCDEFHJKLMNPRSTUVWXY";
    let number = format!("{}{}", text.get(..6).unwrap_or(""), text.get(7..10).unwrap_or(""));
    let wanted = number.parse::<usize>().ok().and_then(|n| LETTERS.get(n % 31));
    text.len() == 11 && text.as_bytes().get(10).map(u8::to_ascii_uppercase).as_ref() == wanted
}

/// ISO 7064, MOD 11,10.
fn mod11_10(d: &[u32]) -> bool {
    let Some((check, body)) = d.split_last() else { return false };
    let product = body.iter().fold(10, |product, &digit| {
        let sum = (digit + product) % 10;
        2 * (if sum == 0 { 10 } else { sum }) % 11
    });
    (11 - product) % 10 == *check
}

fn nir(d: &[u32]) -> bool {
    let number = |d: &[u32]| d.iter().fold(0u64, |n, &digit| n * 10 + u64::from(digit));
    let (body, key) = d.split_at(d.len().min(13));
    let month = number(body.get(3..5).unwrap_or(&[]));
    d.len() == 15
        && matches!(body.first(), Some(1 | 2))
        && (1..=12).contains(&month)
        && number(key) == 97 - number(body) % 97
}

fn nric(text: &str) -> bool {
    let plain = text.to_ascii_uppercase();
    let (Some(head), Some(tail)) = (plain.chars().next(), plain.chars().nth(8)) else { return false };
    let sum =
        weighted(&digits(&plain), &[2, 7, 6, 5, 4, 3, 2]) + if matches!(head, 'T' | 'G') { 4 } else { 0 };
    let letters: &[u8; 11] = if matches!(head, 'S' | 'T') { b"JZIHGFEDCBA" } else { b"XWUTRQPNMLK" };
    plain.len() == 9 && letters.get(sum as usize % 11).is_some_and(|l| char::from(*l) == tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_digits_hold_for_published_specimens_and_for_nothing_near_them() {
        for (what, good) in [
            (National::Cpf, "111.444.777-35"),
            (National::Dni, "12345678Z"),
            (National::Dni, "X1234567L"),
            (National::CodiceFiscale, "RSSMRA85T10A562S"),
            (National::Pesel, "44051401359"),
            (National::Aadhaar, "2341 2341 2346"),
            (National::Nhs, "943 476 5919"),
            (National::Resident, "11010519491231002X"),
            (National::Tfn, "123 456 782"),
            (National::Hetu, "131052-308T"),
            (National::Sin, "046 454 286"),
            (National::SteuerId, "86095742719"),
            (National::Bsn, "111222333"),
            (National::Nric, "S1234567D"),
        ] {
            assert!(what.is_valid(good), "{what:?} {good}");
            let last = good.len() - 1;
            let other = if good.ends_with('7') { "8" } else { "7" };
            assert!(!what.is_valid(&format!("{}{other}", &good[..last])), "{what:?} near {good}");
        }
    }

    #[test]
    fn purses_have_check_digits_and_lengths() {
        assert!(is_iban("GB29 NWBK 6016 1331 9268 19") && is_iban("DE89370400440532013000"));
        assert!(!is_iban("GB29 NWBK 6016 1331 9268 18") && !is_iban("XX89370400440532013000"));
        assert!(is_luhn("4111 1111 1111 1111") == (varied(&digits("4111111111111111")) >= 3));
        assert!(is_luhn("4539 5787 6362 1486") && is_of_issuer("4539 5787 6362 1486"));
        assert!(!is_luhn("4539 5787 6362 1487"));
    }

    #[test]
    fn numbers_that_were_never_issued_are_no_finding() {
        assert!(is_ssn("536-22-1876"));
        for bad in ["000-12-3456", "666-12-3456", "912-12-3456", "536-00-1876", "536-22-0000", "078-05-1120"]
        {
            assert!(!is_ssn(bad), "{bad}");
        }
        assert!(is_nanp("(415) 555-2671") && !is_nanp("(115) 555-2671") && !is_nanp("1234567"));
    }
}
