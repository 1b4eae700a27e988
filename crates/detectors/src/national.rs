//! Numbers that states give to people and firms, each with the check digits of its own rules.

mod americas;
mod asia;
mod central;
mod nordic;
mod pacific;
mod south;
mod west;

use crate::checks::check_digits::{self, digits};

/// A kind of number whose check digits, dates or areas can be checked.
#[derive(Clone, Copy)]
pub(crate) struct National {
    name: &'static str,
    holds: fn(&str) -> bool,
}

/// A name and what its numbers must pass.
type Kind = (&'static str, fn(&str) -> bool);

/// Every kind, by the name that stands in the packs: `<country>-<what>`.
const KINDS: [&[Kind]; 7] = [
    &americas::KINDS,
    &asia::KINDS,
    &central::KINDS,
    &nordic::KINDS,
    &pacific::KINDS,
    &south::KINDS,
    &west::KINDS,
];

/// Kinds of which a chance number is hardly one: two check digits, or one and a date.
const STRONG: [&str; 18] = [
    "br-cpf",
    "tr-tckn",
    "fr-nir",
    "be-nrn",
    "no-fnr",
    "pl-pesel",
    "za-id",
    "ro-cnp",
    "yu-jmbg",
    "ee-isikukood",
    "cn-resident",
    "lu-matricule",
    "ch-ahv",
    "gr-amka",
    "ae-eid",
    "ru-inn",
    "es-nss",
    "kz-iin",
];

/// So few digits say nothing: the rest of such numbers are letters.
const SHORT: usize = 6;

impl National {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let mut all = KINDS.into_iter().flatten();
        match name {
            "any" => Some(Self { name: "any", holds: is_any }),
            _ => all.find(|(known, _)| *known == name).map(|&(name, holds)| Self { name, holds }),
        }
    }

    /// Whether the number may have been given to somebody: its check digits hold, and it is no dummy.
    pub(crate) fn is_valid(self, text: &str) -> bool {
        // The same few digits over and over, or counted up, stand in forms and in tests.
        let is_dummy = digits(text).len() > SHORT && check_digits::is_dummy(text);
        !is_dummy && (self.holds)(text)
    }
}

/// Kinds that have no check digit, or whose check digit is not published or no longer given.
const UNCHECKED: [&str; 13] = [
    "us-ssn",
    "us-itin",
    "us-ein",
    "us-mbi",
    "uk-nino",
    "uk-driving-licence",
    "dk-cpr",
    "eg-id",
    "in-pan",
    "my-mykad",
    "id-nik",
    "kr-rrn",
    "vn-cccd",
];

impl National {
    pub(crate) fn has_check_digits(self) -> bool {
        !UNCHECKED.contains(&self.name)
    }
}

impl PartialEq for National {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl std::fmt::Debug for National {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// Whether it is a number of any of the strong kinds, for texts that do not say whose number it is.
fn is_any(text: &str) -> bool {
    STRONG.into_iter().filter_map(National::parse).any(|kind| (kind.holds)(text))
}

#[cfg(test)]
mod tests;
