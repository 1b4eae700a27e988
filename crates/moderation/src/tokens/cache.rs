//! Tokens that were seen a moment ago: a request does not ask the database who speaks when the last one just did.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clawexchange_ssg_core::Timestamp;

use crate::principal::Principal;

/// How long what was read holds: so long at most a revocation by another process takes.
const VALID: Duration = Duration::from_secs(1);

/// How long it holds while the database is away. Nobody can revoke a token then; what was revoked within the last second
/// before, by another process, is known when the database is back.
const VALID_AWAY: Duration = Duration::from_mins(15);

/// Tokens remembered at most: as many as may live.
const SEEN_MAX: usize = 10_000;

/// What was read, by the hash of the token.
#[derive(Debug, Default)]
pub(super) struct Cache(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    entries: HashMap<[u8; 32], Entry>,
    /// Grows with each revocation, so that what was read before one is not remembered after it.
    revocations: u64,
    swept_at: Option<Timestamp>,
}

#[derive(Debug)]
struct Entry {
    principal: Principal,
    expires_at: Option<i64>,
    read_at: Timestamp,
}

impl Entry {
    fn holds(&self, now: Timestamp, time: Duration) -> bool {
        // A clock that was set back makes no old entry young.
        self.read_at <= now
            && now.since(self.read_at) < time
            && self.expires_at.is_none_or(|at| at > now.as_micros())
    }
}

impl Cache {
    /// Who the token is, if that was read a moment ago; and the number of revocations so far.
    pub(super) fn look(&self, hash: &[u8; 32], now: Timestamp) -> (Option<Principal>, u64) {
        let seen = self.lock();
        let known = seen.entries.get(hash).filter(|entry| entry.holds(now, VALID));
        (known.map(|entry| entry.principal.clone()), seen.revocations)
    }

    /// Who the token was when that was read last, for as long as the database cannot be asked.
    pub(super) fn look_while_away(&self, hash: &[u8; 32], now: Timestamp) -> Option<Principal> {
        let seen = self.lock();
        let known = seen.entries.get(hash).filter(|entry| entry.holds(now, VALID_AWAY));
        known.map(|entry| entry.principal.clone())
    }

    /// Remembers what was read, unless something was revoked since.
    pub(super) fn put(
        &self,
        hash: [u8; 32],
        (principal, expires_at): (Principal, Option<i64>),
        read_at: Timestamp,
        revocations: u64,
    ) {
        let mut seen = self.lock();
        if seen.revocations != revocations {
            return;
        }
        if seen.entries.len() >= SEEN_MAX {
            // Going through all of them once a validity is cheap; once a request it is not.
            if seen.swept_at.is_some_and(|at| at <= read_at && read_at.since(at) < VALID) {
                return;
            }
            seen.swept_at = Some(read_at);
            // Those that the absence of the database would need go last.
            for time in [VALID_AWAY, VALID] {
                seen.entries.retain(|_, entry| entry.holds(read_at, time));
                if seen.entries.len() < SEEN_MAX {
                    break;
                }
            }
            if seen.entries.len() >= SEEN_MAX {
                return;
            }
        }
        seen.entries.insert(hash, Entry { principal, expires_at, read_at });
    }

    /// Forgets a token that was revoked. To be called when that is committed.
    pub(super) fn forget(&self, hash: &[u8; 32]) {
        let mut seen = self.lock();
        seen.revocations += 1;
        seen.entries.remove(hash);
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        // Nothing in here is half-done when it panics.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Role;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_micros(millis * 1000)
    }

    fn ann() -> (Principal, Option<i64>) {
        (Principal::new("ann", Role::Admin).unwrap(), None)
    }

    #[test]
    fn what_was_read_holds_for_a_second_and_not_beyond_its_own_end() {
        let cache = Cache::default();
        cache.put([1; 32], ann(), at(0), 0);
        cache.put([2; 32], (ann().0, Some(at(500).as_micros())), at(0), 0);
        for (millis, first, second) in
            [(0, true, true), (499, true, true), (500, true, false), (999, true, false), (1000, false, false)]
        {
            let holds = |hash| cache.look(&[hash; 32], at(millis)).0.is_some();
            assert_eq!((holds(1), holds(2)), (first, second), "after {millis} ms");
        }
        assert!(cache.look(&[1; 32], at(-1)).0.is_none(), "the clock was set back");
        assert!(cache.look(&[3; 32], at(0)).0.is_none());
    }

    #[test]
    fn while_the_database_is_away_it_holds_for_a_quarter_of_an_hour_and_not_beyond_its_own_end() {
        let cache = Cache::default();
        cache.put([1; 32], ann(), at(0), 0);
        cache.put([2; 32], (ann().0, Some(at(500).as_micros())), at(0), 0);
        let holds = |hash, millis| cache.look_while_away(&[hash; 32], at(millis)).is_some();
        assert!(holds(1, 899_999) && holds(2, 499));
        assert!(!holds(1, 900_000) && !holds(2, 500) && !holds(1, -1) && !holds(3, 0));
        cache.forget(&[1; 32]);
        assert!(!holds(1, 1), "what was revoked here opens nothing");
    }

    #[test]
    fn what_was_read_before_a_revocation_is_not_remembered_after_it() {
        let cache = Cache::default();
        let (_, before) = cache.look(&[1; 32], at(0));
        cache.forget(&[1; 32]);
        cache.put([1; 32], ann(), at(0), before);
        assert!(cache.look(&[1; 32], at(0)).0.is_none());
    }

    #[test]
    fn it_does_not_grow_beyond_its_bound_and_makes_room_when_it_can() {
        let cache = Cache::default();
        let name = |n: usize| {
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&n.to_be_bytes());
            hash
        };
        for n in 0..SEEN_MAX + 5 {
            cache.put(name(n), ann(), at(0), 0);
        }
        assert_eq!(cache.lock().entries.len(), SEEN_MAX);
        cache.put(name(SEEN_MAX + 9), ann(), at(1001), 0);
        assert_eq!(cache.lock().entries.len(), 1);
        assert!(cache.look(&name(SEEN_MAX + 9), at(1001)).0.is_some());
    }
}
