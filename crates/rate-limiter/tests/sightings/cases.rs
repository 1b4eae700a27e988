//! What every store of sightings does, whatever it is kept in.

use std::time::Duration;

use clawexchange_rate_limiter::{KEPT_MAX, MemorySightings, Seen, Sighting, SightingStore};
use clawexchange_ssg_core::testing::ManualClock;
use clawexchange_ssg_core::{Clock as _, Sketch};

use super::{Store, store};

const HOUR: Duration = Duration::from_hours(1);
const MILLISECOND: Duration = Duration::from_millis(1);

/// A millisecond less.
fn less(than: Duration) -> Duration {
    than.checked_sub(MILLISECOND).unwrap()
}

/// A text that is found at its own places.
fn text(n: u16) -> Sketch {
    Sketch::new(u128::from(n).wrapping_mul(0x0123_4567_89ab_cdef_1357_9bdf_0246_8ace), [n; Sketch::PLACES])
}

fn of(sketch: Sketch, owner: u32, submission: u32) -> Sighting {
    Sighting { sketch, owner, agent: owner, submission }
}

async fn see(store: &Store, sighting: Sighting) -> Seen {
    store.see(&sighting).await.unwrap()
}

fn numbers(seen: Seen) -> (u32, u32, u32, u32) {
    (seen.owners, seen.agents, seen.times, seen.own_times)
}

#[tokio::test]
async fn owners_agents_and_times_are_counted_apart() {
    let (store, _) = store();
    assert_eq!(numbers(see(&store, of(text(1), 1, 1)).await), (1, 1, 1, 1), "the first one counts itself");
    assert_eq!(numbers(see(&store, of(text(1), 1, 2)).await), (1, 1, 2, 2));
    let other_agent = Sighting { agent: 77, ..of(text(1), 1, 3) };
    assert_eq!(numbers(see(&store, other_agent).await), (1, 2, 3, 3), "two agents of one owner");
    assert_eq!(numbers(see(&store, of(text(1), 2, 4)).await), (2, 3, 4, 1));
    assert_eq!(numbers(see(&store, of(text(2), 3, 5)).await), (1, 1, 1, 1), "another text");
}

#[tokio::test]
async fn a_submission_counts_once_however_often_it_is_asked() {
    let (store, clock) = store();
    for _ in 0..5 {
        assert_eq!(numbers(see(&store, of(text(1), 1, 1)).await), (1, 1, 1, 1));
        clock.advance(Duration::from_mins(5));
    }
    assert_eq!(numbers(see(&store, of(text(1), 2, 2)).await), (2, 2, 2, 1));
    assert_eq!(numbers(see(&store, of(text(1), 1, 1)).await), (2, 2, 2, 1), "asked again after others");
}

#[tokio::test]
async fn texts_that_are_nearly_the_same_are_found_at_any_one_place_and_others_at_none() {
    for nth in 0..Sketch::PLACES {
        let (store, _) = store();
        let mut places = [500; Sketch::PLACES];
        places[nth] = 9;
        see(&store, of(Sketch::new(0, [9; Sketch::PLACES]), 1, 1)).await;
        let near = Sketch::new(u128::MAX >> (128 - Sketch::NEAR_BITS_MAX), places);
        assert_eq!(see(&store, of(near, 2, 2)).await.owners, 2, "place {nth}");
        let far = Sketch::new(u128::MAX << (127 - Sketch::NEAR_BITS_MAX), places);
        assert_eq!(see(&store, of(far, 3, 3)).await.owners, 1, "place {nth}");
        let elsewhere = Sketch::new(0, [700; Sketch::PLACES]);
        assert_eq!(see(&store, of(elsewhere, 4, 4)).await.owners, 1, "nobody looks for it there");
    }
}

#[tokio::test]
async fn the_hour_slides_and_ends_to_the_millisecond() {
    let (store, clock) = store();
    see(&store, of(text(1), 1, 1)).await;
    clock.advance(Duration::from_mins(30));
    see(&store, of(text(1), 2, 2)).await;
    clock.advance(less(Duration::from_mins(30)));
    assert_eq!(
        see(&store, of(text(1), 3, 3)).await.owners,
        3,
        "the first is an hour old but for a millisecond"
    );
    clock.advance(MILLISECOND);
    assert_eq!(see(&store, of(text(1), 4, 4)).await.owners, 3, "now it is gone");
    clock.advance(Duration::from_mins(30));
    assert_eq!(see(&store, of(text(1), 5, 5)).await.owners, 3, "and now the second");
    clock.advance(HOUR);
    assert_eq!(see(&store, of(text(1), 6, 6)).await.owners, 1);
}

#[tokio::test]
async fn a_clock_that_is_set_back_forgets_nothing_within_an_hour_and_everything_beyond() {
    let (store, clock) = store();
    let start = clock.now();
    see(&store, of(text(1), 1, 1)).await;
    clock.set(start.minus(less(HOUR)));
    assert_eq!(see(&store, of(text(1), 2, 2)).await.owners, 2);
    clock.set(start.minus(HOUR));
    assert_eq!(
        see(&store, of(text(1), 3, 3)).await.owners,
        2,
        "the first is an hour ahead, the second is not"
    );
    clock.set(start.minus(HOUR * 3));
    assert_eq!(see(&store, of(text(1), 4, 4)).await.owners, 1);
    clock.set(start);
    assert_eq!(
        see(&store, of(text(1), 5, 5)).await.owners,
        1,
        "what counted last is hours ago, and all else is gone"
    );
}

#[tokio::test]
async fn no_more_are_remembered_than_may_be_and_that_is_said() {
    let (store, _) = store();
    let kept = u32::try_from(KEPT_MAX).unwrap();
    for i in 0..kept {
        let seen = see(&store, of(text(1), i, i)).await;
        assert_eq!((seen.owners, seen.or_more), (i + 1, false));
    }
    for i in kept..2 * kept {
        let seen = see(&store, of(text(1), i, i)).await;
        assert_eq!((seen.owners, seen.times, seen.or_more), (kept + 1, kept + 1, true));
    }
}

#[tokio::test]
async fn an_owner_that_posts_often_pushes_no_other_out() {
    let (store, _) = store();
    for owner in 0..19 {
        see(&store, of(text(1), owner, owner)).await;
    }
    for i in 0..600 {
        see(&store, of(text(1), 100 + i % 4, 1_000 + i)).await;
    }
    assert_eq!(see(&store, of(text(1), 19, 19)).await.owners, 24);
}

#[tokio::test]
async fn texts_that_share_a_place_and_are_unlike_do_not_make_each_other_more() {
    let (store, _) = store();
    for i in 0..200 {
        let unlike = Sketch::new(
            u128::from(i).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835),
            [4; Sketch::PLACES],
        );
        see(&store, of(unlike, i, i)).await;
    }
    let seen = see(&store, of(Sketch::new(u128::MAX / 3, [4; Sketch::PLACES]), 900, 900)).await;
    assert!(seen.owners <= 2 && !seen.or_more, "{seen:?}");
}

#[tokio::test]
async fn what_was_released_is_known_again_for_a_week_by_nearly_the_same_text() {
    let (store, clock) = store();
    let near = Sketch::new(text(1).bits() ^ 0b111, [0; Sketch::PLACES]);
    assert!(!store.is_released(&near).await.unwrap());
    for n in [1, 1, 3] {
        store.release(text(n).bits()).await.unwrap();
    }
    assert!(store.is_released(&near).await.unwrap());
    assert!(!store.is_released(&text(2)).await.unwrap());
    clock.advance(less(HOUR * 24 * 7));
    assert!(store.is_released(&near).await.unwrap());
    clock.advance(MILLISECOND);
    assert!(!store.is_released(&near).await.unwrap());
}

#[tokio::test]
async fn a_random_history_is_counted_as_in_the_memory_of_one_process() {
    let (store, clock) = store();
    let twin_clock = ManualClock::default();
    let twin = MemorySightings::with_clock(10_000, twin_clock.clone());
    let small = |n: u64| u32::try_from(n).unwrap();
    for i in 0..700_u32 {
        // Now and then one of the last is asked about again.
        let submission =
            if mixed(i, 1).is_multiple_of(10) { i.saturating_sub(small(mixed(i, 2) % 5)) } else { i };
        let draw = |what: u32, below: u64| mixed(submission, 10 + what) % below;
        let base = text(u16::try_from(draw(0, 3)).unwrap() + 1);
        let mut places = *base.places();
        places[usize::try_from(draw(1, 6)).unwrap()] = 99;
        let sketch = Sketch::new(base.bits() ^ u128::from(draw(2, 1 << 12)) << draw(3, 100), places);
        let sighting = Sighting { agent: small(draw(4, 30)), ..of(sketch, small(draw(5, 15)), submission) };
        assert_eq!(see(&store, sighting).await, twin.see(&sighting).await.unwrap(), "step {i}");
        let now = clock.now();
        let then = match mixed(i, 3) % 60 {
            0 => now.plus(Duration::from_millis(mixed(i, 4) % 5_000_000)),
            1 => now.minus(Duration::from_millis(mixed(i, 4) % 2_000_000)),
            _ => now.plus(Duration::from_millis(mixed(i, 4) % 20_000)),
        };
        clock.set(then);
        twin_clock.set(then);
    }
}

/// The same number each time, and any.
fn mixed(i: u32, what: u32) -> u64 {
    let x = (u64::from(i) << 32 | u64::from(what)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ x >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x ^ x >> 32
}
