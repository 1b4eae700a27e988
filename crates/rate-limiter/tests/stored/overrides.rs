//! Limits of single agents: as exact as all others, in the log, and gone when they end.

use std::time::Duration;

use clawexchange_database::{STATE, Statements as _};
use clawexchange_rate_limiter::stored::{OVERRIDE_TARGET, SWEEP_MAX};
use clawexchange_rate_limiter::{
    Ask, Decision, EndpointTier, LimitError, Limiter, Limits, MemoryConfig, MemoryStore, OVERRIDES_MAX,
    Offence, Quota,
};
use clawexchange_ssg_core::{
    Actor, AgentId, Clock, Fault, FaultKind, InspectionId, RiskTier, Timestamp, TrustLevel,
};

use crate::setup::{Setup, setup};

const POSTS: EndpointTier = EndpointTier::POSTS;

fn agent(name: &str) -> AgentId {
    AgentId::new(name).unwrap()
}

fn ann() -> Actor {
    Actor::human("os:ann").unwrap()
}

impl Setup {
    fn later(&self, by: Duration) -> Timestamp {
        self.clock.now().plus(by)
    }

    async fn set_override(&self, name: &str, quota: Quota, until: Timestamp) -> Result<Limits, LimitError> {
        let tx = self.db.begin().await?;
        let set =
            self.limits.set_override(&tx, &ann(), &agent(name), &POSTS, quota, until, "an import").await?;
        tx.commit().await?;
        Ok(set)
    }

    async fn lift(&self, name: &str) -> Result<Limits, LimitError> {
        let tx = self.db.begin().await?;
        let limits = self.limits.lift_override(&tx, &ann(), &agent(name), &POSTS).await?;
        tx.commit().await?;
        Ok(limits)
    }

    async fn limiter(&self) -> Limiter {
        let store = MemoryStore::new(MemoryConfig::default(), self.clock.clone());
        Limiter::new(store, self.limits.load().await.unwrap())
    }
}

#[tokio::test]
async fn an_override_stands_in_the_place_of_base_and_trust_until_its_moment_and_not_a_millisecond_longer() {
    let s = setup().await;
    let until = s.later(Duration::from_secs(30));
    let set = s.set_override("a", Quota::new(1_000, 5), until).await.unwrap();
    assert_eq!(s.limits.load().await.unwrap(), set);
    let limiter = s.limiter().await;
    let ask = Ask::new(agent("a"), POSTS);
    for _ in 0..5 {
        assert!(limiter.take(&ask).await.unwrap().is_allowed(), "1 a minute is usual for who is new");
    }
    let denied = limiter.take(&ask).await.unwrap();
    assert_eq!(denied.status().overridden_until, Some(until));
    let Decision::Deny { wait, .. } = denied else { panic!("five of five") };
    // From the 30th second on the usual 5 an hour hold, and all five are used.
    assert_eq!(wait, Duration::from_hours(1));
    s.clock.set(Timestamp::from_micros(until.as_micros() - 1_000));
    assert_eq!(limiter.peek(&ask).await.unwrap().status.hour.limit, 1_000);
    s.clock.set(until);
    let usual = limiter.peek(&ask).await.unwrap().status;
    assert_eq!((usual.hour.limit, usual.minute.limit, usual.overridden_until), (5, 1, None));
    let other = limiter.peek(&Ask::new(agent("b"), POSTS)).await.unwrap().status;
    assert_eq!(other.hour.limit, 5, "others never noticed");
}

#[tokio::test]
async fn a_block_that_ends_says_when_to_the_millisecond() {
    let s = setup().await;
    let until = s.later(Duration::from_millis(5_400_001));
    s.set_override("a", Quota::new(0, 0), until).await.unwrap();
    let limiter = s.limiter().await;
    let ask = Ask::new(agent("a"), POSTS).trusted(TrustLevel::PlatformBot);
    let Decision::Deny { wait, .. } = limiter.take(&ask).await.unwrap() else { panic!("it is blocked") };
    assert_eq!(wait, Duration::from_millis(5_400_001));
    s.clock.advance(Duration::from_mins(90));
    assert!(!limiter.take(&ask).await.unwrap().is_allowed());
    s.clock.advance(Duration::from_millis(1));
    assert!(limiter.take(&ask).await.unwrap().is_allowed());
}

#[tokio::test]
async fn penalties_lower_an_override_too() {
    let s = setup().await;
    s.set_override("a", Quota::new(100, 10), s.later(Duration::from_hours(48))).await.unwrap();
    let limiter = s.limiter().await;
    let offence = Offence::new(InspectionId::fresh(), RiskTier::High, s.clock.now());
    limiter.learn(&agent("a"), &offence).await.unwrap();
    let status = limiter.peek(&Ask::new(agent("a"), POSTS)).await.unwrap().status;
    assert_eq!((status.hour.limit, status.minute.limit), (50, 5));
}

#[tokio::test]
async fn each_change_has_one_event_that_fixes_its_row_and_hides_whose_it_is() {
    let s = setup().await;
    s.limits.ensure_events().await.unwrap();
    let until = s.later(Duration::from_hours(24));
    s.set_override("agent-seven", Quota::new(20, 4), until).await.unwrap();
    s.set_override("agent-seven", Quota::new(20, 4), until).await.unwrap();
    s.set_override("agent-seven", Quota::new(30, 4), until).await.unwrap();
    assert_eq!(s.discrepancies().await, [""; 0]);
    s.lift("agent-seven").await.unwrap();
    assert_eq!(s.discrepancies().await, [""; 0], "an override that was lifted is not missed");
    let events = s.events().await.split_off(7);
    assert_eq!(events.len(), 3, "what is set already is not set again");
    for event in &events {
        let target = event.target().unwrap();
        assert_eq!((target.kind.as_str(), target.id.as_str()), (OVERRIDE_TARGET, "1"));
        assert_eq!(event.actor(), &ann());
        let open = serde_json::to_string(&event.meta()).unwrap();
        assert!(!open.contains("seven") && !open.contains("import"), "{open}");
        assert_eq!(event.personal()["agent"], "agent-seven");
        assert!(event.meta().contains_key(STATE));
    }
    let meta = |i: usize, name: &str| events[i].meta().get(name).cloned();
    assert_eq!((meta(1, "perHour"), meta(1, "perHourBefore")), (Some(30.into()), Some(20.into())));
    assert_eq!(meta(0, "until"), Some(until.to_string().into()));
    assert_eq!((meta(2, "ended"), meta(2, "perHour")), (Some("lifted".into()), None));
    assert_eq!(events[0].personal()["reason"], "an import");
    let again = s.lift("agent-seven").await.unwrap_err();
    assert_eq!((again.code(), again.kind()), ("rate-limiter/no-override", FaultKind::NotFound));
}

#[tokio::test]
async fn an_override_that_is_over_is_swept_and_its_slot_used_again() {
    let s = setup().await;
    s.limits.ensure_events().await.unwrap();
    s.set_override("a", Quota::new(20, 4), s.later(Duration::from_secs(10))).await.unwrap();
    s.set_override("b", Quota::new(20, 4), s.later(Duration::from_secs(20))).await.unwrap();
    assert_eq!(s.limits.sweep(s.clock.now()).await.unwrap(), 0);
    s.clock.advance(Duration::from_secs(10));
    let held = s.limits.overrides().await.unwrap();
    assert_eq!((held.len(), held[0].agent_id.as_str()), (1, "b"), "over is over, swept or not");
    assert_eq!(s.limits.sweep(s.clock.now()).await.unwrap(), 1);
    assert_eq!(s.limits.sweep(s.clock.now()).await.unwrap(), 0);
    assert_eq!(s.discrepancies().await, [""; 0]);
    let event = s.events().await.pop().unwrap();
    assert_eq!((event.actor().id.as_str(), event.meta()["ended"].as_str()), ("sweep", Some("expired")));
    assert!(event.personal().is_empty());
    let text = "SELECT COUNT(*) AS n FROM rate_limit_overrides WHERE agent_id = 'a' OR reason LIKE '%a%' AND slot = 1";
    let left = s.db.read().row(text, []).await.unwrap().unwrap();
    assert_eq!(left.get::<i64>("n").unwrap(), 0, "nothing of it is left in the row");
    s.set_override("c", Quota::new(7, 7), s.later(Duration::from_secs(10))).await.unwrap();
    let all = s.limits.overrides().await.unwrap();
    assert_eq!(all.iter().map(|o| o.slot).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(
        (all[1].per_hour, all[1].reason.as_str(), all[1].set_by.as_str()),
        (7, "an import", "human:os:ann")
    );
    assert_eq!(s.discrepancies().await, [""; 0]);
}

#[tokio::test]
async fn whatever_is_edited_added_or_taken_out_behind_the_logs_back_is_found() {
    let columns =
        ["per_hour", "created_at", "expires_at", "updated_at", "version"].map(|c| format!("{c} = {c} + 1"));
    let texts = ["agent_id", "reason", "set_by"].map(|c| format!("{c} = 'x'"));
    for set in columns.iter().chain(&texts) {
        let s = setup().await;
        s.limits.ensure_events().await.unwrap();
        s.set_override("a", Quota::new(20, 4), s.later(Duration::from_hours(1))).await.unwrap();
        s.edit(&format!("UPDATE rate_limit_overrides SET {set}")).await;
        assert_eq!(s.discrepancies().await, ["1"], "{set}");
    }
    let s = setup().await;
    s.limits.ensure_events().await.unwrap();
    s.set_override("a", Quota::new(20, 4), s.later(Duration::from_hours(1))).await.unwrap();
    s.run("DELETE FROM rate_limit_overrides").await.unwrap();
    assert_eq!(s.discrepancies().await, ["1 is gone"]);
    let s = setup().await;
    s.limits.ensure_events().await.unwrap();
    s.run("INSERT INTO rate_limit_overrides VALUES (1, 'a', 'POSTS', 9, 9, 'r', 'me', 1, 9000000000000000, 1, 1)")
        .await
        .unwrap();
    assert_eq!(s.discrepancies().await, ["1"]);
}

#[tokio::test]
async fn overrides_that_cannot_be_are_refused_by_us_and_by_the_table() {
    let s = setup().await;
    let hour = s.later(Duration::from_hours(1));
    for quota in [Quota::new(3, 4), Quota::new(1_000_001, 1), Quota::new(u32::MAX, u32::MAX)] {
        let error = s.set_override("a", quota, hour).await.unwrap_err();
        assert_eq!((error.code(), error.kind()), ("rate-limiter/limits", FaultKind::Configuration));
    }
    for until in [s.clock.now(), Timestamp::UNIX_EPOCH, s.later(Duration::from_hours(24 * 366 + 1))] {
        let error = s.set_override("a", Quota::new(1, 1), until).await.unwrap_err();
        assert_eq!((error.code(), error.kind()), ("rate-limiter/override-time", FaultKind::Invalid));
    }
    let tx = s.db.begin().await.unwrap();
    for reason in ["", "  ", "two\nlines", "\u{7}", &"x".repeat(501)] {
        let set =
            s.limits.set_override(&tx, &ann(), &agent("a"), &POSTS, Quota::new(1, 1), hour, reason).await;
        assert_eq!(set.unwrap_err().code(), "rate-limiter/override-reason", "{reason:?}");
    }
    let tier = EndpointTier::new("SEARCHES").unwrap();
    let set = s.limits.set_override(&tx, &ann(), &agent("a"), &tier, Quota::new(1, 1), hour, "r").await;
    assert_eq!(set.unwrap_err().code(), "rate-limiter/unknown-tier");
    drop(tx);
    assert_eq!((s.events().await.len(), s.limits.overrides().await.unwrap().len()), (0, 0));
    s.set_override("a", Quota::new(1, 1), hour).await.unwrap();
    for set in [
        "per_hour = -1",
        "per_hour = 1000001",
        "per_minute = per_hour + 1",
        "per_hour = NULL",
        "agent_id = NULL",
        "agent_id = ''",
        "reason = ''",
        "expires_at = created_at",
        "slot = 10001",
        "slot = 0",
        "endpoint_tier = 'posts'",
        "version = 0",
    ] {
        let error = s.run(&format!("UPDATE rate_limit_overrides SET {set}")).await.unwrap_err();
        assert_eq!(error.kind(), FaultKind::Conflict, "{set}");
    }
}

#[tokio::test]
async fn there_are_never_more_than_may_be_and_those_that_are_over_make_room() {
    let s = setup().await;
    let (begun, over) = (s.clock.now().as_micros(), s.later(Duration::from_secs(1)).as_micros());
    let fill = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {OVERRIDES_MAX}) \
         INSERT INTO rate_limit_overrides SELECT i, 'a-' || i, 'POSTS', 1, 1, 'r', 'me', {begun}, {over}, {begun}, 1 FROM n"
    );
    s.run(&fill).await.unwrap();
    let hour = s.later(Duration::from_hours(1));
    let error = s.set_override("b", Quota::new(1, 1), hour).await.unwrap_err();
    assert_eq!((error.code(), error.kind()), ("rate-limiter/overrides-full", FaultKind::Conflict));
    s.set_override("a-7", Quota::new(2, 2), hour).await.unwrap();
    s.clock.advance(Duration::from_secs(2));
    s.set_override("b", Quota::new(1, 1), hour).await.unwrap();
    assert_eq!(s.limits.overrides().await.unwrap().len(), 2);
    assert_eq!(s.limits.sweep(s.clock.now()).await.unwrap(), SWEEP_MAX, "a sweep is bounded");
}
