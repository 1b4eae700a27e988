//! Moments in time, and who is asked for them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A moment: UTC, whole microseconds since 1970-01-01T00:00:00Z.
///
/// What cannot be said to more than a microsecond is not kept, so that what is stored, hashed and printed is the
/// same moment. As text it is RFC 3339 with exactly six decimals and `Z`. Moments outside the years 0000 to 9999
/// are moved to the nearest that RFC 3339 can say.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Timestamp(i64);

const MICROS_MIN: i64 = -62_167_219_200_000_000; // 0000-01-01T00:00:00Z
const MICROS_MAX: i64 = 253_402_300_799_999_999; // 9999-12-31T23:59:59.999999Z

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const UNIX_EPOCH: Self = Self(0);

    /// Makes a moment of microseconds since 1970.
    pub const fn from_micros(micros: i64) -> Self {
        Self(if micros < MICROS_MIN {
            MICROS_MIN
        } else if micros > MICROS_MAX {
            MICROS_MAX
        } else {
            micros
        })
    }

    /// Microseconds since 1970.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// This moment and `later` more, at most the end of the year 9999.
    #[must_use]
    pub fn plus(self, later: Duration) -> Self {
        Self::from_micros(self.0.saturating_add(whole_micros(later)))
    }

    /// This moment less `earlier`, at least the beginning of the year 0000.
    #[must_use]
    pub fn minus(self, earlier: Duration) -> Self {
        Self::from_micros(self.0.saturating_sub(whole_micros(earlier)))
    }

    /// How long it is from `earlier` to this moment; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Year, month and day in UTC.
    pub fn date(self) -> (i32, u8, u8) {
        let date = self.civil().date();
        (date.year(), date.month().into(), date.day())
    }

    fn civil(self) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000)
            .unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }
}

fn whole_micros(d: Duration) -> i64 {
    i64::try_from(d.as_micros()).unwrap_or(i64::MAX)
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let t = self.civil();
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z",
            t.year(),
            u8::from(t.month()),
            t.day(),
            t.hour(),
            t.minute(),
            t.second(),
            t.microsecond()
        )
    }
}

/// The text is not RFC 3339.
#[derive(Debug, thiserror::Error)]
#[error("not a moment in RFC 3339, such as 2026-11-21T09:30:00Z")]
#[non_exhaustive]
pub struct TimestampError;

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, TimestampError> {
        let parsed = OffsetDateTime::parse(text, &Rfc3339).ok().ok_or(TimestampError)?;
        let micros = parsed.unix_timestamp_nanos().div_euclid(1_000);
        i64::try_from(micros).map(Self::from_micros).ok().ok_or(TimestampError)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Says what time it is. Everything that asks takes one, so that a test can say it.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The present moment.
    fn now(&self) -> Timestamp;
}

impl<T: Clock + ?Sized> Clock for std::sync::Arc<T> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }
}

/// The clock of the machine.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct SystemClock;

impl SystemClock {
    /// The clock of the machine.
    pub const fn new() -> Self {
        Self
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let nanos = OffsetDateTime::now_utc().unix_timestamp_nanos();
        Timestamp::from_micros(i64::try_from(nanos.div_euclid(1_000)).unwrap_or(MICROS_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_printed_with_exactly_six_decimals() {
        for (micros, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (1_800_000_000_000_000, "2027-01-15T08:00:00.000000Z"),
            (-1, "1969-12-31T23:59:59.999999Z"),
            (i64::MAX, "9999-12-31T23:59:59.999999Z"),
            (i64::MIN, "0000-01-01T00:00:00.000000Z"),
        ] {
            assert_eq!(Timestamp::from_micros(micros).to_string(), text);
            assert_eq!(text.parse::<Timestamp>().unwrap(), Timestamp::from_micros(micros));
        }
    }

    #[test]
    fn nanoseconds_are_cut_and_offsets_turned_to_utc() {
        let t: Timestamp = "2026-11-21T10:00:00.123456789+02:00".parse().unwrap();
        assert_eq!(t.to_string(), "2026-11-21T08:00:00.123456Z");
        assert!("2026-11-21".parse::<Timestamp>().is_err());
    }
}
