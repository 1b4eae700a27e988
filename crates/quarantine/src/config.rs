//! How much is held, and for how long.

use std::time::Duration;

use crate::error::QuarantineError;

/// The bounds of a vault. All can be set; [`Vault::new`](crate::Vault::new) refuses what makes no sense.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VaultConfig {
    /// How long somebody may take to decide: 72 h unless set, 1 minute to 366 days.
    pub expiry: Duration,
    /// How long the key of released, deleted and expired content is kept: 24 h unless set, at most 30 days.
    pub grace: Duration,
    /// How long a grant opens: 300 s unless set, 1 to 900 s.
    pub grant_time: Duration,
    /// How long a store may take before a sweep settles it: 60 s unless set, 1 s to 1 day.
    pub upload_budget: Duration,
    /// Content up to this size lies in its row, larger content as an object: 64 KiB unless set, at most 1 MiB.
    pub inline_bytes_max: u64,
    /// The longest content that is held: 2 MiB unless set, at most 64 MiB.
    pub content_bytes_max: u64,
    /// Undecided records of one agent: 20 unless set.
    pub agent_holds_max: u64,
    /// Bytes of undecided content of one agent: 2 MiB unless set.
    pub agent_bytes_max: u64,
    /// Undecided records of all agents of one owner: 100 unless set.
    pub owner_holds_max: u64,
    /// Undecided records in all: 10,000 unless set.
    pub holds_max: u64,
    /// Bytes of undecided content in all: 1 GiB unless set.
    pub bytes_max: u64,
}

impl Default for VaultConfig {
    fn default() -> Self {
        Self {
            expiry: Duration::from_hours(72),
            grace: Duration::from_hours(24),
            grant_time: Duration::from_mins(5),
            upload_budget: Duration::from_mins(1),
            inline_bytes_max: 64 << 10,
            content_bytes_max: 2 << 20,
            agent_holds_max: 20,
            agent_bytes_max: 2 << 20,
            owner_holds_max: 100,
            holds_max: 10_000,
            bytes_max: 1 << 30,
        }
    }
}

impl VaultConfig {
    /// Refuses what is out of range.
    pub fn check(&self) -> Result<(), QuarantineError> {
        let within = |value: Duration, from: Duration, to: Duration| (from..=to).contains(&value);
        let second = Duration::from_secs(1);
        let sums = [
            self.agent_holds_max,
            self.agent_bytes_max,
            self.owner_holds_max,
            self.holds_max,
            self.bytes_max,
            self.content_bytes_max,
        ];
        for (good, setting, expected) in [
            (
                within(self.expiry, second * 60, Duration::from_hours(366 * 24)),
                "expiry",
                "1 minute to 366 days",
            ),
            (within(self.grace, Duration::ZERO, Duration::from_hours(30 * 24)), "grace", "at most 30 days"),
            (within(self.grant_time, second, second * 900), "grant_time", "1 to 900 seconds"),
            (
                within(self.upload_budget, second, Duration::from_hours(24)),
                "upload_budget",
                "1 second to 1 day",
            ),
            (self.inline_bytes_max <= 1 << 20, "inline_bytes_max", "at most 1 MiB"),
            (self.content_bytes_max <= crate::CONTENT_BYTES_MAX, "content_bytes_max", "at most 64 MiB"),
            (sums.iter().all(|n| *n > 0), "a bound of the vault", "more than nothing"),
        ] {
            if !good {
                return Err(QuarantineError::Config { setting, expected });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Change = fn(&mut VaultConfig);

    #[test]
    fn settings_that_make_no_sense_are_refused_by_name() {
        assert!(VaultConfig::default().check().is_ok());
        let changes: [(&str, Change); 7] = [
            ("expiry", |c| c.expiry = Duration::ZERO),
            ("expiry", |c| c.expiry = Duration::from_hours(10_000)),
            ("grant_time", |c| c.grant_time = Duration::from_secs(901)),
            ("grace", |c| c.grace = Duration::MAX),
            ("upload_budget", |c| c.upload_budget = Duration::ZERO),
            ("content_bytes_max", |c| c.content_bytes_max = u64::MAX),
            ("a bound of the vault", |c| c.holds_max = 0),
        ];
        for (name, change) in changes {
            let mut config = VaultConfig::default();
            change(&mut config);
            assert!(config.check().unwrap_err().to_string().starts_with(name), "{name}");
        }
    }
}
