//! What was asked a moment ago, under a key that nobody outside of this process can make.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant};

use super::answer::Answer;

/// Texts that are remembered: of what is posted again, most is posted within minutes.
pub(super) const ENTRIES_MAX: usize = 4096;
/// How long an answer is as good as a new one: a classifier may have been taught better since.
const VALID: Duration = Duration::from_mins(10);

/// Two hashes under random keys: 128 bits that no text can be made to share.
pub(super) type Key = (u64, u64);

#[derive(Default)]
pub(super) struct Cache {
    keys: (RandomState, RandomState),
    entries: HashMap<Key, Entry>,
    /// By when they were used, the first longest ago.
    order: BTreeMap<u64, Key>,
    uses: u64,
}

struct Entry {
    answer: Answer,
    at: Instant,
    used: u64,
}

impl Cache {
    pub(super) fn key(&self, text: &str) -> Key {
        (self.keys.0.hash_one(text), self.keys.1.hash_one(text))
    }

    pub(super) fn get(&mut self, key: Key, now: Instant) -> Option<Answer> {
        let used = self.next();
        let entry = self.entries.get_mut(&key).filter(|e| now.saturating_duration_since(e.at) < VALID)?;
        self.order.remove(&entry.used);
        self.order.insert(used, key);
        entry.used = used;
        Some(entry.answer.clone())
    }

    pub(super) fn put(&mut self, key: Key, answer: Answer, at: Instant) {
        let used = self.next();
        if let Some(old) = self.entries.insert(key, Entry { answer, at, used }) {
            self.order.remove(&old.used);
        }
        self.order.insert(used, key);
        if self.entries.len() > ENTRIES_MAX
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.entries.remove(&oldest);
        }
    }

    fn next(&mut self) -> u64 {
        self.uses += 1;
        self.uses
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_longest_ago_goes_and_nothing_is_remembered_for_long() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        let text = |n: usize| format!("text {n}");
        let answer = || Answer::read(b"{\"findings\":[]}").unwrap();
        for n in 0..ENTRIES_MAX {
            let key = cache.key(&text(n));
            cache.put(key, answer(), now);
        }
        let first = cache.key(&text(0));
        assert!(cache.get(first, now).is_some());
        let key = cache.key("one more");
        cache.put(key, answer(), now);
        cache.put(key, answer(), now);
        assert_eq!((cache.entries.len(), cache.order.len()), (ENTRIES_MAX, ENTRIES_MAX));
        let second = cache.key(&text(1));
        assert!(cache.get(first, now).is_some() && cache.get(second, now).is_none());
        assert!(cache.get(first, now + VALID).is_none());
        assert_ne!(Cache::default().key("a"), Cache::default().key("a"), "nobody outside can make a key");
    }
}
