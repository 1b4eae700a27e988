//! Which version follows which.

use std::fmt;
use std::str::FromStr;

use semver::{Comparator, Op, Prerelease, Version};

/// What a change means to whoever uses the crate. Ordered: the greatest decides.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Change {
    Fix,
    Addition,
    Break,
}

/// A number of a version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Bump {
    Patch,
    Minor,
    Major,
}

impl Bump {
    /// The number that says to cargo what changed: before 1.0 the second is for what breaks and the third for all
    /// else, before 0.1 each version breaks.
    pub(crate) fn for_change(change: Change, from: &Version) -> Self {
        match (change, from.major, from.minor) {
            (Change::Break, 0, 0) => Self::Patch,
            (Change::Break, 0, _) | (Change::Addition, 1.., _) => Self::Minor,
            (Change::Break, ..) => Self::Major,
            (Change::Addition | Change::Fix, ..) => Self::Patch,
        }
    }

    /// Counts one on, and begins anew behind it.
    pub(crate) fn apply(self, from: &Version) -> Version {
        match self {
            // The version that a pre-release was one of.
            Self::Patch if !from.pre.is_empty() => Version::new(from.major, from.minor, from.patch),
            Self::Patch => Version::new(from.major, from.minor, from.patch + 1),
            Self::Minor => Version::new(from.major, from.minor + 1, 0),
            Self::Major => Version::new(from.major + 1, 0, 0),
        }
    }
}

impl FromStr for Bump {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "patch" => Ok(Self::Patch),
            "minor" => Ok(Self::Minor),
            "major" => Ok(Self::Major),
            other => Err(format!("{other} is none of patch, minor, major")),
        }
    }
}

impl fmt::Display for Bump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Patch => "patch",
            Self::Minor => "minor",
            Self::Major => "major",
        })
    }
}

/// Whether whoever asks for the one may be given the other: cargo's caret.
pub(crate) fn is_compatible(asked: &Version, given: &Version) -> bool {
    let caret = Comparator {
        op: Op::Caret,
        major: asked.major,
        minor: Some(asked.minor),
        patch: Some(asked.patch),
        pre: asked.pre.clone(),
    };
    caret.matches(given) && (asked.pre == Prerelease::EMPTY || given >= asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn what_breaks_leaves_the_range_and_nothing_else_does() {
        for (from, fix, addition, breaking) in [
            ("0.0.3", "0.0.4", "0.0.4", "0.0.4"),
            ("0.1.0", "0.1.1", "0.1.1", "0.2.0"),
            ("0.9.7", "0.9.8", "0.9.8", "0.10.0"),
            ("1.0.0", "1.0.1", "1.1.0", "2.0.0"),
            ("3.4.5", "3.4.6", "3.5.0", "4.0.0"),
        ] {
            let from = v(from);
            for (change, next) in
                [(Change::Fix, fix), (Change::Addition, addition), (Change::Break, breaking)]
            {
                let found = Bump::for_change(change, &from).apply(&from);
                assert_eq!(found, v(next), "{from} and {change:?}");
                let stays = change != Change::Break && (from.major, from.minor) != (0, 0);
                assert_eq!(is_compatible(&from, &found), stays, "{from} and {found}");
            }
        }
    }

    #[test]
    fn a_range_ends_where_cargo_ends_it() {
        for (asked, given, fits) in [
            ("0.1.0", "0.1.9", true),
            ("0.1.3", "0.1.2", false),
            ("0.1.0", "0.2.0", false),
            ("1.2.0", "1.9.0", true),
            ("1.2.0", "2.0.0", false),
            ("0.0.1", "0.0.2", false),
            ("1.0.0-rc.1", "1.0.0", true),
        ] {
            assert_eq!(is_compatible(&v(asked), &v(given)), fits, "{asked} and {given}");
        }
    }

    #[test]
    fn a_pre_release_is_followed_by_what_it_was_one_of() {
        assert_eq!(Bump::Patch.apply(&v("1.0.0-rc.2")), v("1.0.0"));
    }
}
