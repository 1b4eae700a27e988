//! How often a server is asked again, and when it is left alone.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::config::S3Config;
use super::trouble::S3Trouble;

/// Leaves a server alone that fails and fails: whoever asks is told so at once, and one asks for all after a while.
#[derive(Debug)]
pub(super) struct Breaker {
    failures_max: u32,
    pause: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    /// How often it was left alone in a row.
    pauses: u32,
    until: Option<Instant>,
}

/// How many times as long as the first the longest pause is.
const PAUSE_TIMES_MAX: u32 = 30;

impl Breaker {
    pub(super) fn new(config: &S3Config) -> Self {
        Self { failures_max: config.breaker_failures, pause: config.breaker_pause, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long nothing is asked any more, if that is so.
    pub(super) fn left(&self) -> Option<Duration> {
        let left = self.state().until?.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    /// Lets one ask, or nobody.
    pub(super) fn enter(&self) -> Result<(), S3Trouble> {
        let mut state = self.state();
        let Some(until) = state.until else { return Ok(()) };
        let now = Instant::now();
        let left = until.saturating_duration_since(now);
        if !left.is_zero() {
            return Err(S3Trouble::Paused { left });
        }
        // This one tries; the others wait until it knows.
        state.until = Some(now + self.pause);
        Ok(())
    }

    /// The server answered, whatever it was.
    pub(super) fn answered(&self) {
        *self.state() = State::default();
    }

    /// The server failed.
    pub(super) fn failed(&self) {
        let mut state = self.state();
        state.failures = state.failures.saturating_add(1);
        if state.failures >= self.failures_max {
            let times = 1_u32.checked_shl(state.pauses).unwrap_or(PAUSE_TIMES_MAX).min(PAUSE_TIMES_MAX);
            state.until = Some(Instant::now() + self.pause * times);
            state.pauses = state.pauses.saturating_add(1);
        }
    }
}

/// The attempts of one operation, inside one deadline.
#[derive(Debug)]
pub(super) struct Attempts<'a> {
    breaker: &'a Breaker,
    most: u32,
    time_each: Duration,
    deadline: Instant,
    made: u32,
    is_ambiguous: bool,
}

/// The first wait between two attempts at most, doubled each time.
const WAIT: Duration = Duration::from_millis(100);

impl<'a> Attempts<'a> {
    pub(super) fn begin(breaker: &'a Breaker, config: &S3Config) -> Result<Self, S3Trouble> {
        breaker.enter()?;
        Ok(Self {
            breaker,
            most: config.attempts_max,
            time_each: config.attempt_timeout,
            deadline: Instant::now() + config.deadline,
            made: 1,
            is_ambiguous: false,
        })
    }

    /// How long the next attempt may take.
    pub(super) fn time(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now()).min(self.time_each)
    }

    /// Whether an attempt that failed may have been done nevertheless.
    pub(super) const fn is_ambiguous(&self) -> bool {
        self.is_ambiguous
    }

    /// How many there were.
    pub(super) const fn made(&self) -> u32 {
        self.made
    }

    /// Waits until it may be tried again, or gives up.
    pub(super) async fn again(&mut self, trouble: S3Trouble) -> Result<(), S3Trouble> {
        self.is_ambiguous |= trouble.is_ambiguous();
        if !trouble.is_worth_another() {
            self.breaker.answered();
            return Err(trouble);
        }
        self.breaker.failed();
        let wait = jittered(WAIT * 2_u32.pow(self.made.min(6) - 1));
        let left = self.deadline.saturating_duration_since(Instant::now());
        if self.made >= self.most || left <= wait || self.breaker.left().is_some() {
            return Err(trouble);
        }
        self.made += 1;
        tokio::time::sleep(wait).await;
        Ok(())
    }
}

/// Between half of it and all of it, so that those who failed together do not ask together.
fn jittered(wait: Duration) -> Duration {
    let random = RandomState::new().hash_one(0_u8);
    let part = u32::try_from(random % 1000).unwrap_or(0);
    wait / 2 + wait / 2 * part / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> S3Config {
        S3Config::new("http://host", "bucket", "key", "secret")
    }

    fn away() -> S3Trouble {
        S3Trouble::Away { source: None }
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_fails_is_asked_again_a_few_times_and_a_refusal_is_taken() {
        let (config, breaker) = (config(), Breaker::new(&config()));
        let mut attempts = Attempts::begin(&breaker, &config).unwrap();
        for _ in 1..config.attempts_max {
            attempts.again(away()).await.unwrap();
        }
        assert!(attempts.is_ambiguous());
        assert!(matches!(attempts.again(away()).await, Err(S3Trouble::Away { .. })));
        let mut attempts = Attempts::begin(&breaker, &config).unwrap();
        let refused = attempts.again(S3Trouble::Credentials { code: String::new() }).await;
        assert!(matches!(refused, Err(S3Trouble::Credentials { .. })));
        assert_eq!(attempts.made(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn all_attempts_end_within_the_deadline() {
        let mut config = config();
        (config.attempts_max, config.deadline) = (10, Duration::from_secs(1));
        let breaker = Breaker::new(&S3Config { breaker_failures: 100, ..config.clone() });
        let began = Instant::now();
        let mut attempts = Attempts::begin(&breaker, &config).unwrap();
        while attempts.again(away()).await.is_ok() {}
        assert!(began.elapsed() <= config.deadline);
        assert!(attempts.made() < 10 && attempts.made() > 2, "{}", attempts.made());
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_fails_and_fails_is_left_alone_longer_each_time_and_one_asks_for_all() {
        let breaker = Breaker::new(&config());
        for _ in 0..8 {
            breaker.enter().unwrap();
            breaker.failed();
        }
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            let Err(S3Trouble::Paused { left }) = breaker.enter() else { panic!("not left alone") };
            assert_eq!(left, Duration::from_secs(seconds));
            tokio::time::advance(left).await;
            breaker.enter().unwrap();
            assert!(breaker.enter().is_err(), "one asks for all");
            breaker.failed();
        }
        tokio::time::advance(Duration::from_secs(30)).await;
        breaker.enter().unwrap();
        breaker.answered();
        breaker.enter().unwrap();
        breaker.enter().unwrap();
        assert_eq!(breaker.left(), None);
    }
}
