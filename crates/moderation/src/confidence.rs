//! How sure a program is.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::error::ModerationError;

/// How sure a program is: 0 to 1, in whole thousandths, so that it reads the same in the log as where it was said.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Confidence(u16);

impl Confidence {
    /// Takes a finite number from 0 to 1. What is finer than a thousandth is cut off and not rounded: nobody comes over a
    /// floor by that.
    pub fn new(number: f64) -> Result<Self, ModerationError> {
        if !(0.0..=1.0).contains(&number) {
            return Err(ModerationError::Confidence);
        }
        // 0.29 is a little less than 29 hundredths as a binary number: a millionth of a thousandth makes up for it.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0 to 1000, and cut off on purpose"
        )]
        let permille = (number * 1000.0 + 1e-6) as u16;
        Self::from_permille(permille)
    }

    /// Takes thousandths, at most 1000.
    pub const fn from_permille(permille: u16) -> Result<Self, ModerationError> {
        if permille <= 1000 { Ok(Self(permille)) } else { Err(ModerationError::Confidence) }
    }

    /// Thousandths.
    pub const fn permille(self) -> u16 {
        self.0
    }

    pub(crate) const fn fixed(permille: u16) -> Self {
        Self(permille)
    }
}

impl fmt::Display for Confidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1000, self.0 % 1000)
    }
}

impl FromStr for Confidence {
    type Err = ModerationError;

    fn from_str(text: &str) -> Result<Self, ModerationError> {
        Self::new(text.parse().ok().ok_or(ModerationError::Confidence)?)
    }
}

impl Serialize for Confidence {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(f64::from(self.0) / 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_finite_number_from_nought_to_one_is_a_confidence() {
        for (number, permille) in
            [(0.0, 0), (1.0, 1000), (0.9, 900), (0.29, 290), (0.8999, 899), (0.000_999, 0), (-0.0, 0)]
        {
            assert_eq!(Confidence::new(number).unwrap().permille(), permille, "{number}");
        }
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.001, 1.000_001, 1e300] {
            assert!(Confidence::new(bad).is_err(), "{bad}");
        }
        for bad in ["", "NaN", "inf", "1,0", "high", "2"] {
            assert!(bad.parse::<Confidence>().is_err(), "{bad}");
        }
        assert_eq!("0.85".parse::<Confidence>().unwrap().to_string(), "0.850");
    }

    #[test]
    fn every_thousandth_is_kept_as_it_was_said() {
        for permille in 0..=1000 {
            let said = format!("{}.{:03}", permille / 1000, permille % 1000);
            assert_eq!(said.parse::<Confidence>().unwrap().permille(), permille, "{said}");
        }
        assert!(Confidence::from_permille(1001).is_err());
    }
}
