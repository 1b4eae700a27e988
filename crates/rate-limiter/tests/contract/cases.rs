//! What every store of counters does, whatever it is kept in.

use std::time::Duration;

use clawexchange_rate_limiter::{
    Ask, Decision, EndpointTier, HOUR_MS, LimitError, Limiter, Limits, MINUTE_MS, Multiplier, Offence, Quota,
    Ruling, Tick,
};
use clawexchange_ssg_core::{
    AgentId, Clock, ContentType, Fault, FaultKind, InspectionId, OwnerId, QuarantineId, RiskTier, Timestamp,
    TrustLevel,
};

use super::limiter;

fn agent(name: &str) -> AgentId {
    AgentId::new(name).unwrap()
}

fn owner(name: &str) -> OwnerId {
    OwnerId::new(name).unwrap()
}

fn posts(name: &str) -> Ask {
    Ask::new(agent(name), EndpointTier::POSTS).trusted(TrustLevel::Established)
}

async fn is_allowed(limiter: &Limiter, ask: &Ask) -> bool {
    limiter.take(ask).await.unwrap().is_allowed()
}

async fn wait(limiter: &Limiter, ask: &Ask) -> Duration {
    match limiter.take(ask).await.unwrap() {
        Decision::Deny { wait, .. } => wait,
        other => panic!("not denied: {other:?}"),
    }
}

async fn used(limiter: &Limiter, name: &str, tier: usize) -> (u32, u32) {
    let status = limiter.status(&agent(name), TrustLevel::Established, None).await.unwrap();
    (status.tiers[tier].hour.used, status.tiers[tier].minute.used)
}

// Defect 38: `check` counted though it said it did not, so that a probe made itself unhealthy.

#[tokio::test]
async fn asking_a_thousand_times_how_things_stand_counts_nothing() {
    let (limiter, _) = limiter();
    for _ in 0..1_000 {
        let outlook = limiter.peek(&posts("probe").costing(3)).await.unwrap();
        assert_eq!((outlook.ruling, outlook.status.hour.used), (Ruling::Allow, 0));
        let status = limiter.status(&agent("probe"), TrustLevel::New, Some(&owner("o"))).await.unwrap();
        assert_eq!(status.tiers.len(), 3);
        assert!(is_allowed(&limiter, &posts("probe").costing(0)).await);
    }
    assert_eq!(used(&limiter, "probe", 0).await, (0, 0));
}

// Defect 39: a refusal was charged, so that whoever tried again never recovered.

#[tokio::test]
async fn a_client_that_is_too_fast_still_gets_all_that_its_limit_allows() {
    let (limiter, clock) = limiter();
    let mut admitted = 0;
    for _ in 0..400 {
        admitted += u32::from(is_allowed(&limiter, &posts("eager").trusted(TrustLevel::PlatformBot)).await);
        clock.advance(Duration::from_millis(1_500));
    }
    assert_eq!(admitted, 100, "ten minutes at 40 a minute: the hour's hundred, at 30 a minute");
    let (limiter, clock) = super::limiter();
    let polls = 24 * 12;
    let mut admitted = 0;
    for _ in 0..polls {
        admitted += u32::from(is_allowed(&limiter, &posts("poller")).await);
        clock.advance(Duration::from_mins(5));
    }
    assert_eq!(admitted, 240, "ten an hour for a day");
}

// Defect 40: the minute was charged though the hour refused.

#[tokio::test]
async fn when_one_window_refuses_the_other_is_not_charged() {
    let (limiter, clock) = limiter();
    for _ in 0..10 {
        assert!(is_allowed(&limiter, &posts("a")).await);
        clock.advance(Duration::from_secs(30));
    }
    clock.advance(Duration::from_mins(1));
    assert_eq!(used(&limiter, "a", 0).await, (10, 0));
    assert!(wait(&limiter, &posts("a")).await > Duration::from_mins(1));
    assert_eq!(used(&limiter, "a", 0).await, (10, 0), "the hour refused; the minute stays empty");
    let (limiter, _) = super::limiter();
    for _ in 0..3 {
        assert!(is_allowed(&limiter, &posts("b")).await);
    }
    assert!(wait(&limiter, &posts("b")).await <= Duration::from_mins(1));
    assert_eq!(used(&limiter, "b", 0).await, (3, 3), "the minute refused; the hour stays at three");
}

// Defect 41: the wait was a constant, an hour divided by the limit.

#[tokio::test]
async fn a_refused_act_is_refused_a_millisecond_before_the_wait_is_over_and_allowed_when_it_is() {
    let (limiter, clock) = limiter();
    for _ in 0..10 {
        assert!(is_allowed(&limiter, &posts("a")).await);
        clock.advance(Duration::from_secs(25));
    }
    let told = wait(&limiter, &posts("a")).await;
    assert_eq!(told, Duration::from_secs(3350), "when the first of ten leaves the hour");
    clock.advance(told.checked_sub(Duration::from_millis(1)).unwrap());
    assert_eq!(wait(&limiter, &posts("a")).await, Duration::from_millis(1));
    clock.advance(Duration::from_millis(1));
    assert!(is_allowed(&limiter, &posts("a")).await);
}

// Defect 42: what was removed at the edge of a window was still counted there.

#[tokio::test]
async fn taking_and_looking_agree_at_the_edge_of_a_window() {
    let (limiter, clock) = limiter();
    for _ in 0..3 {
        assert!(is_allowed(&limiter, &posts("a")).await);
    }
    clock.advance(Duration::from_millis(59_999));
    assert_eq!(used(&limiter, "a", 0).await, (3, 3));
    assert!(!is_allowed(&limiter, &posts("a")).await);
    clock.advance(Duration::from_millis(1));
    assert_eq!(used(&limiter, "a", 0).await, (3, 0));
    assert!(is_allowed(&limiter, &posts("a")).await);
}

#[tokio::test]
async fn the_status_says_what_is_left_and_when_the_next_unit_is_free() {
    let (limiter, clock) = limiter();
    let ask = posts("a").of_owner(Some(owner("o")));
    assert!(is_allowed(&limiter, &ask).await);
    clock.advance(Duration::from_secs(10));
    let Decision::Allow { status, permit } = limiter.take(&ask).await.unwrap() else {
        panic!("two of three")
    };
    assert_eq!((status.hour.limit, status.hour.used, status.hour.remaining()), (10, 2, 8));
    assert_eq!((status.minute.limit, status.minute.used, status.minute.remaining()), (3, 2, 1));
    assert_eq!(status.minute.frees_in, Some(Duration::from_secs(50)));
    assert_eq!(status.hour.frees_in, Some(Duration::from_secs(3_590)));
    let ceiling = status.owner.unwrap();
    assert_eq!((ceiling.hour.limit, ceiling.minute.limit, ceiling.hour.used), (100, 30, 2));
    assert_eq!((permit.agent(), permit.cost()), (&agent("a"), 1));
    assert_eq!(Timestamp::from(permit.at()), clock.now());
}

#[tokio::test]
async fn each_content_type_is_counted_in_its_own_tier() {
    let (limiter, _) = limiter();
    for content in ContentType::ALL {
        assert!(is_allowed(&limiter, &Ask::new(agent("a"), content.into()).costing(0)).await);
    }
    for _ in 0..3 {
        let profile = Ask::new(agent("a"), ContentType::Profile.into()).trusted(TrustLevel::Established);
        assert!(is_allowed(&limiter, &profile).await);
    }
    assert!(!is_allowed(&limiter, &posts("a")).await, "profiles are counted as posts");
    let comment = Ask::new(agent("a"), ContentType::Comment.into());
    assert!(is_allowed(&limiter, &comment).await);
    assert!(is_allowed(&limiter, &posts("b")).await, "another agent has its own");
}

#[tokio::test]
async fn a_tier_that_nobody_named_is_an_error_and_not_unlimited() {
    let (limiter, _) = limiter();
    let searches = EndpointTier::new("SEARCHES").unwrap();
    let ask = Ask::new(agent("a"), searches.clone());
    let error = limiter.take(&ask).await.unwrap_err();
    assert_eq!((error.code(), error.kind()), ("rate-limiter/unknown-tier", FaultKind::Invalid));
    assert!(limiter.peek(&ask).await.is_err());
    let limits = Limits::default().with_quota(searches, Quota::new(4, 2)).unwrap();
    limiter.set_limits(limits);
    assert!(is_allowed(&limiter, &ask).await, "it holds from the next question on");
}

#[tokio::test]
async fn a_refund_gives_agent_and_owner_their_unit_back_and_frees_the_right_place() {
    let (limiter, clock) = limiter();
    let ask = posts("a").of_owner(Some(owner("o")));
    let first = limiter.take(&ask).await.unwrap().into_permit().unwrap();
    clock.advance(Duration::from_secs(20));
    let Decision::Allow { .. } = limiter.take(&ask).await.unwrap() else { panic!("the second") };
    clock.advance(Duration::from_secs(20));
    let Decision::Allow { .. } = limiter.take(&ask).await.unwrap() else { panic!("the third") };
    assert_eq!(limiter.refund(first).await.unwrap(), 1);
    let seen = limiter.peek(&ask).await.unwrap().status;
    assert_eq!((seen.minute.used, seen.owner.unwrap().minute.used), (2, 2));
    let left = Duration::from_secs(40);
    assert_eq!(seen.minute.frees_in, Some(left), "the second is the oldest now, not the third's place");
    assert!(is_allowed(&limiter, &ask).await);
    assert_eq!(wait(&limiter, &ask).await, left);
}

#[tokio::test]
async fn what_was_reset_is_not_given_back_a_second_time() {
    let (limiter, _) = limiter();
    let ask = posts("a").of_owner(Some(owner("o")));
    let permit = limiter.take(&ask).await.unwrap().into_permit().unwrap();
    limiter.reset(&agent("a"), None).await.unwrap();
    assert_eq!(limiter.refund(permit).await.unwrap(), 0, "together or not at all");
    let seen = limiter.peek(&ask).await.unwrap().status;
    assert_eq!((seen.hour.used, seen.owner.unwrap().hour.used), (0, 1), "the owner's ceiling stays");
}

#[tokio::test]
async fn a_reset_forgets_one_tier_or_all_and_no_penalty() {
    let (limiter, clock) = limiter();
    let comment = Ask::new(agent("a"), EndpointTier::COMMENTS).trusted(TrustLevel::Established);
    limiter
        .learn(&agent("a"), &Offence::new(QuarantineId::fresh(), RiskTier::High, clock.now()))
        .await
        .unwrap();
    assert!(is_allowed(&limiter, &posts("a")).await);
    assert!(is_allowed(&limiter, &comment).await);
    limiter.reset(&agent("a"), Some(&EndpointTier::POSTS)).await.unwrap();
    assert_eq!((used(&limiter, "a", 0).await, used(&limiter, "a", 1).await), ((0, 0), (1, 1)));
    limiter.reset(&agent("a"), None).await.unwrap();
    limiter.reset(&agent("nobody"), None).await.unwrap();
    assert_eq!(used(&limiter, "a", 1).await, (0, 0));
    assert!(limiter.peek(&posts("a")).await.unwrap().status.penalised.high);
}

#[tokio::test]
async fn all_agents_of_an_owner_share_its_ceiling_and_others_do_not() {
    let (limiter, _) = limiter();
    for i in 0..10 {
        for _ in 0..3 {
            let ask = posts(&format!("a-{i}")).of_owner(Some(owner("o")));
            assert!(is_allowed(&limiter, &ask).await);
        }
    }
    let eleventh = posts("a-10").of_owner(Some(owner("o")));
    assert_eq!(wait(&limiter, &eleventh).await, Duration::from_mins(1), "ten times three in one minute");
    assert_eq!(used(&limiter, "a-10", 0).await, (0, 0), "the agent is not charged when its owner is refused");
    assert!(is_allowed(&limiter, &posts("a-10").of_owner(Some(owner("p")))).await);
    let trusted = eleventh.clone().trusted(TrustLevel::Verified);
    assert!(is_allowed(&limiter, &trusted).await, "the ceiling is that of the agent that asks");
    // An agent and an owner of one name are two accounts.
    assert!(is_allowed(&limiter, &posts("o")).await);
}

// Defect 45: nothing computed penalties, the caller had to know them.

#[tokio::test]
async fn an_offence_lowers_the_limit_of_the_next_request_and_a_false_positive_raises_it_again() {
    let (limiter, clock) = limiter();
    let messages = Ask::new(agent("a"), EndpointTier::MESSAGES).trusted(TrustLevel::Established);
    let limit = async || limiter.peek(&messages).await.unwrap().status.hour.limit;
    assert_eq!(limit().await, 300);
    let warned = Offence::new(InspectionId::fresh(), RiskTier::Moderate, clock.now());
    limiter.learn(&agent("a"), &warned).await.unwrap();
    assert_eq!(limit().await, 240);
    let (first, second) = (QuarantineId::fresh(), QuarantineId::fresh());
    limiter.learn(&agent("a"), &Offence::new(first, RiskTier::High, clock.now())).await.unwrap();
    assert_eq!(limit().await, 120);
    limiter.learn(&agent("a"), &Offence::new(second, RiskTier::Critical, clock.now())).await.unwrap();
    assert_eq!(limit().await, 12);
    limiter.unlearn(&agent("a"), first).await.unwrap();
    assert_eq!(limit().await, 120);
    clock.advance(Duration::from_hours(1));
    assert_eq!(limit().await, 150, "MODERATE counts for an hour");
    let status = limiter.status(&agent("a"), TrustLevel::Established, None).await.unwrap();
    assert_eq!(status.moderate_until, None);
    assert_eq!(status.high_until, Some(clock.now().plus(Duration::from_hours(23))));
    clock.advance(Duration::from_hours(23));
    assert_eq!(limit().await, 300);
    limiter.rebuild(&agent("a"), &[Offence::new(first, RiskTier::High, clock.now())]).await.unwrap();
    assert_eq!(limit().await, 150);
    limiter.rebuild(&agent("a"), &[]).await.unwrap();
    assert_eq!(limit().await, 300);
}

#[tokio::test]
async fn a_batch_decides_as_so_many_questions_would() {
    let (together, _) = limiter();
    let (singly, _) = limiter();
    let asks: Vec<Ask> =
        (0..40).map(|i| posts(&format!("a-{}", i % 4)).of_owner(Some(owner("o"))).costing(i % 3)).collect();
    let batch = together.batch(&asks).await.unwrap();
    for (ask, decision) in asks.iter().zip(batch) {
        assert_eq!(singly.take(ask).await.unwrap(), decision);
    }
}

#[tokio::test]
async fn a_batch_with_one_mistake_charges_nothing() {
    let (limiter, _) = limiter();
    let asks = [posts("a"), posts("b"), Ask::new(agent("c"), EndpointTier::new("NO_SUCH").unwrap())];
    assert!(matches!(limiter.batch(&asks).await, Err(LimitError::UnknownTier { .. })));
    assert_eq!((used(&limiter, "a", 0).await, used(&limiter, "b", 0).await), ((0, 0), (0, 0)));
}

#[tokio::test]
async fn a_refusal_as_an_error_says_when_to_come_back() {
    let (limiter, clock) = limiter();
    for _ in 0..3 {
        assert!(is_allowed(&limiter, &posts("a")).await);
    }
    clock.advance(Duration::from_millis(500));
    let error = limiter.take(&posts("a")).await.unwrap().into_permit().unwrap_err();
    assert_eq!((error.code(), error.kind()), ("rate-limiter/limited", FaultKind::Limited));
    assert_eq!(error.retry_after_seconds(), Some(60), "59.5 s, rounded up");
    limiter.set_limits(
        Limits::default().with_trust(TrustLevel::Established, Multiplier::hundredths(0)).unwrap(),
    );
    let error = limiter.take(&posts("a")).await.unwrap().into_permit().unwrap_err();
    assert_eq!((error.code(), error.retry_after_seconds()), ("rate-limiter/never", None));
}

// Defect 39: every attempt was stored, so that one agent could fill the memory of all.

// Defect 46: when the counters were away, nobody had said what then.

#[tokio::test]
async fn who_is_suspended_may_do_nothing_until_the_end_or_until_that_is_lifted_and_loses_nothing_by_it() {
    let (limiter, clock) = limiter();
    let a = agent("a");
    assert!(is_allowed(&limiter, &posts("a")).await);
    limiter.suspend(&a, Some(clock.now().plus(Duration::from_secs(90)))).await.unwrap();
    assert_eq!(wait(&limiter, &posts("a")).await, Duration::from_secs(90), "in every tier");
    let comment = Ask::new(a.clone(), EndpointTier::COMMENTS);
    assert_eq!(wait(&limiter, &comment).await, Duration::from_secs(90));
    let status = limiter.status(&a, TrustLevel::Established, None).await.unwrap();
    assert_eq!(status.suspended.unwrap().until, Some(clock.now().plus(Duration::from_secs(90))));
    assert_eq!((status.tiers[0].hour.used, status.tiers[1].hour.used), (1, 0), "nothing more was charged");
    assert!(is_allowed(&limiter, &posts("b")).await, "another agent is another agent");
    clock.advance(Duration::from_secs(90));
    assert!(is_allowed(&limiter, &posts("a")).await, "it is over");
    limiter.suspend(&a, None).await.unwrap();
    let never = limiter.take(&posts("a")).await.unwrap();
    assert!(
        matches!(&never, Decision::Never { status } if status.suspended.unwrap().until.is_none()),
        "{never:?}"
    );
    clock.advance(Duration::from_hours(24 * 30));
    assert!(!is_allowed(&limiter, &posts("a")).await, "it does not end by itself");
    assert!(limiter.lift(&a).await.unwrap());
    assert!(is_allowed(&limiter, &posts("a")).await);
    assert!(!limiter.lift(&a).await.unwrap(), "there is none any more");
}

#[tokio::test]
async fn a_suspension_and_penalties_do_not_undo_each_other() {
    let (limiter, clock) = limiter();
    let a = agent("a");
    limiter.suspend(&a, None).await.unwrap();
    let hold = QuarantineId::fresh();
    limiter.learn(&a, &Offence::new(hold, RiskTier::High, clock.now())).await.unwrap();
    let seen = limiter.peek(&posts("a")).await.unwrap().status;
    assert!(seen.suspended.is_some() && seen.penalised.high);
    limiter.unlearn(&a, hold).await.unwrap();
    let seen = limiter.peek(&posts("a")).await.unwrap().status;
    assert!(seen.suspended.is_some() && !seen.penalised.high);
    limiter.learn(&a, &Offence::new(hold, RiskTier::High, clock.now())).await.unwrap();
    limiter.reset(&a, None).await.unwrap();
    limiter.lift(&a).await.unwrap();
    let seen = limiter.peek(&posts("a")).await.unwrap().status;
    assert!(seen.suspended.is_none() && seen.penalised.high);
}

#[tokio::test]
async fn logs_of_thousands_of_units_are_counted_as_exactly_as_short_ones() {
    let (limiter, clock) = limiter();
    let limits = Limits::default().with_quota(EndpointTier::POSTS, Quota::new(3_000, 1_000)).unwrap();
    limiter.set_limits(limits);
    let ask = posts("a").of_owner(Some(owner("o")));
    for minute in 0..3 {
        assert!(is_allowed(&limiter, &ask.clone().costing(999)).await);
        assert!(is_allowed(&limiter, &ask).await);
        let told = if minute < 2 { 1 } else { 58 };
        assert_eq!(
            wait(&limiter, &ask).await,
            Duration::from_mins(told),
            "the minute is full, then the hour"
        );
        clock.advance(Duration::from_mins(1));
    }
    let told = wait(&limiter, &ask).await;
    assert_eq!(told, Duration::from_mins(57), "the hour is full, and its first thousand leave first");
    let seen = limiter.peek(&ask).await.unwrap().status;
    assert_eq!((seen.hour.used, seen.minute.used, seen.owner.unwrap().hour.used), (3_000, 0, 3_000));
    assert_eq!((seen.hour.frees_in, seen.hour.more_in), (Some(told), Some(told)));
    clock.advance(told.checked_sub(Duration::from_millis(1)).unwrap());
    assert!(!is_allowed(&limiter, &ask).await);
    clock.advance(Duration::from_millis(1));
    assert!(is_allowed(&limiter, &ask.clone().costing(1_000)).await);
    limiter.set_limits(Limits::default());
    let seen = limiter.peek(&ask).await.unwrap().status;
    assert_eq!((seen.hour.used, seen.hour.limit), (3_000, 10), "a lowered limit has forgotten nothing");
    assert!(seen.hour.more_in.unwrap() > seen.hour.frees_in.unwrap());
}

/// The most units in any window of this length, wherever it begins.
fn worst(units: &[u64], span: u64) -> usize {
    let within = |from: u64| units.iter().filter(|u| (from..from + span).contains(u)).count();
    units.iter().map(|u| within(*u)).max().unwrap_or(0)
}

// The traces by which windows that do not slide, and buckets that refill, admit up to twice the limit.
#[tokio::test]
async fn the_worst_window_of_every_hostile_trace_holds_exactly_the_limit() {
    let (limiter, clock) = limiter();
    let begin = Tick::from(clock.now()).as_ms();
    let at_the_edge_of_hours: Vec<u64> =
        (0..3).flat_map(|i| (0..70).map(move |k| begin + i * HOUR_MS + HOUR_MS - 35 + k)).collect();
    let every_five_seconds: Vec<u64> = (0..2 * 720).map(|s| begin + 5 * HOUR_MS + s * 5_000).collect();
    let at_the_edge_of_minutes: Vec<u64> =
        (0..90).flat_map(|m| (0..12).map(move |k| begin + 9 * HOUR_MS + m * MINUTE_MS - 5 + k)).collect();
    for (name, trace) in [
        ("bursts at the edge of hours", at_the_edge_of_hours),
        ("one in five seconds", every_five_seconds),
        ("bursts at the edge of minutes", at_the_edge_of_minutes),
    ] {
        let ask = Ask::new(agent(&name.replace(' ', "-")), EndpointTier::COMMENTS);
        let ask = ask.trusted(TrustLevel::Established).of_owner(Some(owner("o")));
        let mut admitted = Vec::new();
        for now in trace {
            clock.set(Tick::from_ms(now).into());
            if let Decision::Allow { permit, .. } = limiter.take(&ask).await.unwrap() {
                admitted.push(permit.at().as_ms());
            }
        }
        assert_eq!(worst(&admitted, MINUTE_MS), 10, "{name}: 1.00 of the minute");
        if !name.contains("edge of hours") {
            assert_eq!(worst(&admitted, HOUR_MS), 60, "{name}: 1.00 of the hour");
        }
    }
    let ask = Ask::new(agent("punctual"), EndpointTier::COMMENTS).trusted(TrustLevel::Established);
    let mut admitted = Vec::new();
    for _ in 0..300 {
        match limiter.take(&ask).await.unwrap() {
            Decision::Allow { permit, .. } => admitted.push(permit.at().as_ms()),
            Decision::Deny { wait, .. } => clock.advance(wait),
            Decision::Never { .. } => panic!("one of sixty always fits later"),
        }
    }
    assert_eq!(
        (worst(&admitted, MINUTE_MS), worst(&admitted, HOUR_MS)),
        (10, 60),
        "who comes exactly when told"
    );
}
