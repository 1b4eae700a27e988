//! What holds for every history of an account. Lost with any of these: a limit that is one, or a wait that is true.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use clawexchange_rate_limiter::{
    AgentRates, Case, EndpointTier, HIGH_MS, HOUR_MS, Limits, MINUTE_MS, MODERATE_MS, Multiplier, Override,
    PenalisedUntil, Quota, REPEATED_MS, Rates, Ruling, SlidingLog, Tick,
};
use clawexchange_ssg_core::{AgentId, TrustLevel};
use proptest::prelude::*;

const BEGIN: u64 = 200_000_000_000;

fn rates(per_hour: u32, per_minute: u32) -> Rates {
    let limits = Limits::default().with_quota(EndpointTier::POSTS, Quota::new(per_hour, per_minute)).unwrap();
    limits.rates(&EndpointTier::POSTS, TrustLevel::Established).unwrap()
}

/// This quota until `end`, and the default one from then on.
fn overridden(per_hour: u32, per_minute: u32, end: u64) -> AgentRates {
    let agent = AgentId::new("a").unwrap();
    let quota = Quota::new(per_hour.max(per_minute), per_minute);
    let instead = Override::new(quota, Tick::from_ms(end).into());
    let limits = Limits::default().with_overrides([(agent.clone(), EndpointTier::POSTS, instead)]).unwrap();
    limits.rates_of(&agent, &EndpointTier::POSTS, TrustLevel::Established).unwrap()
}

fn case<'a>(
    now: u64,
    agent: &'a SlidingLog,
    owner: Option<&'a SlidingLog>,
    rates: Rates,
    cost: u32,
) -> Case<'a> {
    let until = PenalisedUntil::default();
    let rates = rates.into();
    Case { now: Tick::from_ms(now), floor: Tick::ZERO, agent, owner, rates, until, cost }
}

fn take(log: &mut SlidingLog, now: u64, rates: Rates, cost: u32) -> Option<Tick> {
    let case = case(now, log, None, rates, cost);
    let (at, ruling) = (case.at(), case.decide());
    (ruling == Ruling::Allow).then(|| {
        log.charge(at, cost);
        at
    })
}

/// The most units in any window of this length, wherever it begins.
fn worst(units: &[u64], span: u64) -> usize {
    let within = |from: u64| units.iter().filter(|u| (from..from + span).contains(u)).count();
    units.iter().map(|u| within(*u)).max().unwrap_or(0)
}

/// Moments at which something is asked: mostly close together, now and then apart, sometimes back in time.
fn moments() -> impl Strategy<Value = Vec<(i64, u32)>> {
    let step = prop_oneof![
        5 => 0..1_500_i64,
        3 => 0..60_000_i64,
        2 => 0..1_200_000_i64,
        1 => Just(60_000_i64),
        1 => Just(3_600_000_i64),
        1 => -10_000..0_i64,
    ];
    prop::collection::vec((step, 0..4_u32), 1..250)
}

fn walk(steps: &[(i64, u32)]) -> impl Iterator<Item = (u64, u32)> {
    steps.iter().scan(BEGIN, |now, (step, cost)| {
        *now = now.saturating_add_signed(*step);
        Some((*now, *cost))
    })
}

/// A log with a history, its limits and the moment of its last question.
fn filled() -> impl Strategy<Value = (SlidingLog, Rates, u64)> {
    ((1..40_u32, 1..12_u32), moments()).prop_map(|((hour, minute), steps)| {
        let rates = rates(hour.max(minute), minute);
        let mut log = SlidingLog::new();
        let mut last = BEGIN;
        for (now, cost) in walk(&steps) {
            take(&mut log, now, rates, cost);
            last = now;
        }
        (log, rates, last)
    })
}

proptest! {
    #[test]
    fn no_window_holds_more_than_its_limit_whatever_the_clock_does(
        hour in 1..40_u32, minute in 1..12_u32, steps in moments(),
    ) {
        let rates = rates(hour.max(minute), minute);
        let mut log = SlidingLog::new();
        let mut units = Vec::new();
        for (now, cost) in walk(&steps) {
            if let Some(at) = take(&mut log, now, rates, cost) {
                units.extend(std::iter::repeat_n(at.as_ms(), cost as usize));
            }
        }
        prop_assert!(units.is_sorted(), "time stands still rather than run backwards");
        prop_assert!(worst(&units, HOUR_MS) <= hour.max(minute) as usize);
        prop_assert!(worst(&units, MINUTE_MS) <= minute as usize);
    }

    #[test]
    fn a_refusal_changes_nothing((log, rates, now) in filled(), cost in 1..50_u32) {
        let before = log.clone();
        let mut after = log;
        if take(&mut after, now, rates, cost).is_none() {
            prop_assert_eq!(before, after);
        }
    }

    #[test]
    fn a_wait_is_the_shortest_that_helps_also_across_the_ends_of_penalties_and_of_an_override(
        (log, rates, now) in filled(),
        cost in 1..12_u32,
        instead in prop::option::of((0..40_u32, 0..20_u32, 0..2 * HOUR_MS)),
        (moderate, high, repeated, suspended) in (0..MODERATE_MS, 0..HIGH_MS, 0..REPEATED_MS, 0..HIGH_MS),
        held in 0..16_u8,
        back in 0..5_000_u64,
    ) {
        let until = |bit: u8, ms: u64| Tick::from_ms(if held & bit > 0 { now + ms } else { 0 });
        let until = PenalisedUntil {
            moderate: until(1, moderate),
            high: until(2, high),
            repeated: until(4, repeated),
            suspended: until(8, suspended),
        };
        let usual = rates;
        let rates = instead.map_or_else(|| usual.into(), |(hour, minute, ms)| overridden(hour, minute, now + ms));
        let at = |now: u64| Case { until, rates, ..case(now, &log, None, usual, cost) };
        let now = now - back;
        match at(now).decide() {
            Ruling::Allow => {}
            Ruling::Deny { wait_ms } => {
                prop_assert!(wait_ms > 0);
                prop_assert_eq!(at(now + wait_ms).decide(), Ruling::Allow);
                prop_assert_eq!(at(now + wait_ms - 1).decide(), Ruling::Deny { wait_ms: 1 });
                prop_assert_eq!(at(now + wait_ms / 2).decide(), Ruling::Deny { wait_ms: wait_ms - wait_ms / 2 });
            }
            Ruling::Never => {
                prop_assert_eq!(at(now + 30 * 24 * HOUR_MS).decide(), Ruling::Never);
            }
        }
    }

    // Taking back the newest unit instead of the right one fails here.
    #[test]
    fn a_refund_leaves_the_future_as_if_the_act_had_never_been(
        (mut log, rates, now) in filled(),
        cost in 1..4_u32,
        later in prop::collection::vec((0..40_000_u64, 1..3_u32), 0..6),
        ask in 1..6_u32,
    ) {
        let mut never = log.clone();
        let Some(at) = take(&mut log, now, rates, cost) else { return Ok(()) };
        let mut moment = at.as_ms();
        for (step, other) in later {
            moment += step;
            // What is admitted beside it is charged to both.
            if let Some(at) = take(&mut log, moment, rates, other) {
                never.charge(at, other);
            }
        }
        prop_assert_eq!(log.refund(at, cost), cost);
        let edges: Vec<u64> = never.units().flat_map(|u| [u.as_ms() + MINUTE_MS, u.as_ms() + HOUR_MS]).collect();
        for moment in edges.into_iter().flat_map(|edge| [edge - 1, edge]).chain([moment]) {
            let moment = moment.max(log.floor().as_ms());
            let (with, without) = (case(moment, &log, None, rates, ask), case(moment, &never, None, rates, ask));
            prop_assert_eq!(with.decide(), without.decide());
        }
    }

    // A log that is pruned by number instead of by age fails here.
    #[test]
    fn a_limit_that_is_lowered_and_raised_again_has_forgotten_nothing(
        (high, low) in (4..40_u32, 1..4_u32),
        before in prop::collection::vec((0..60_000_u64, 1..4_u32), 1..40),
        during in prop::collection::vec((0..60_000_u64, 1..4_u32), 1..20),
    ) {
        let mut log = SlidingLog::new();
        let (mut units, mut now) = (Vec::new(), BEGIN);
        for (limit, steps) in [(high, before), (low, during)] {
            for (step, cost) in steps {
                now += step;
                if let Some(at) = take(&mut log, now, rates(limit, limit), cost) {
                    units.extend(std::iter::repeat_n(at.as_ms(), cost as usize));
                }
            }
        }
        for span in [HOUR_MS, MINUTE_MS] {
            let used = units.iter().filter(|u| *u + span > now).count();
            prop_assert_eq!(log.used(Tick::from_ms(now), span) as usize, used);
        }
    }

    #[test]
    fn agent_and_owner_are_refused_together(
        (agent, rates, now) in filled(), (owner, _, _) in filled(), cost in 1..6_u32,
    ) {
        let both = case(now, &agent, Some(&owner), rates, cost);
        let at = both.at();
        let alone = |log| Case { floor: at, ..case(now, log, None, rates, cost) };
        let used = |span| owner.used(at, span);
        let ceiling = rates.owner();
        let owner_fits = used(HOUR_MS) + cost <= ceiling.per_hour && used(MINUTE_MS) + cost <= ceiling.per_minute;
        let agent_fits = alone(&agent).decide() == Ruling::Allow;
        prop_assert_eq!(both.decide() == Ruling::Allow, agent_fits && owner_fits);
    }
}

// The traces by which windows that do not slide, and buckets that refill, admit up to twice the limit.
#[test]
fn the_worst_window_of_every_hostile_trace_holds_exactly_the_limit() {
    let (hour, minute) = (60, 10);
    let rates = rates(hour, minute);
    let quiet_then_burst_at_the_edge: Vec<u64> =
        (0..4).flat_map(|i| (0..100).map(move |k| BEGIN + i * HOUR_MS + HOUR_MS - 50 + k)).collect();
    let every_second: Vec<u64> = (0..3 * 3_600).map(|s| BEGIN + s * 1_000).collect();
    let at_each_full_minute: Vec<u64> =
        (0..180).flat_map(|m| (0..20).map(move |k| BEGIN + m * MINUTE_MS - 5 + k)).collect();
    let exactly_when_told: Vec<u64> = {
        let mut log = SlidingLog::new();
        let mut now = BEGIN;
        let mut moments = Vec::new();
        while moments.len() < 500 {
            moments.push(now);
            match case(now, &log, None, rates, 1).decide() {
                Ruling::Allow => log.charge(Tick::from_ms(now), 1),
                Ruling::Deny { wait_ms } => now += wait_ms,
                Ruling::Never => panic!("one of sixty always fits later"),
            }
        }
        moments
    };
    for (name, trace) in [
        ("bursts at the edge of hours", quiet_then_burst_at_the_edge),
        ("one a second", every_second),
        ("bursts at the edge of minutes", at_each_full_minute),
        ("a client that comes exactly when told", exactly_when_told),
    ] {
        let mut log = SlidingLog::new();
        let admitted = trace.iter().filter_map(|now| take(&mut log, *now, rates, 1).map(Tick::as_ms));
        let units: Vec<u64> = admitted.collect();
        assert_eq!(worst(&units, MINUTE_MS), minute as usize, "{name}: 1.00 of the minute");
        assert!(worst(&units, HOUR_MS) <= hour as usize, "{name}");
        if !name.contains("edge of hours") {
            assert_eq!(worst(&units, HOUR_MS), hour as usize, "{name}: 1.00 of the hour");
        }
    }
}

#[test]
fn a_unit_leaves_a_window_at_the_instant_at_which_it_is_as_old_as_the_window_is_long() {
    let rates = rates(1, 1);
    let mut log = SlidingLog::new();
    assert!(take(&mut log, BEGIN, rates, 1).is_some());
    for (later, used_minute, used_hour) in
        [(0, 1, 1), (MINUTE_MS - 1, 1, 1), (MINUTE_MS, 0, 1), (HOUR_MS - 1, 0, 1), (HOUR_MS, 0, 0)]
    {
        let now = Tick::from_ms(BEGIN + later);
        assert_eq!((log.used(now, MINUTE_MS), log.used(now, HOUR_MS)), (used_minute, used_hour), "{later}");
    }
}

#[test]
fn what_costs_more_than_the_whole_limit_never_fits_and_what_a_penalty_forbids_fits_when_it_ends() {
    let log = SlidingLog::new();
    assert_eq!(case(BEGIN, &log, None, rates(10, 3), 4).decide(), Ruling::Never);
    let until = PenalisedUntil { high: Tick::from_ms(BEGIN + 5_000), ..PenalisedUntil::default() };
    let penalised = Case { until, ..case(BEGIN, &log, None, rates(10, 3), 3) };
    assert_eq!(penalised.decide(), Ruling::Deny { wait_ms: 5_000 });
    let limits = Limits::default().with_trust(TrustLevel::New, Multiplier::hundredths(0)).unwrap();
    let blocked = limits.rates(&EndpointTier::POSTS, TrustLevel::New).unwrap();
    assert_eq!(case(BEGIN, &log, None, blocked, 1).decide(), Ruling::Never, "a limit of 0 blocks");
}

#[test]
fn where_five_bytes_end_limits_deny_rather_than_admit() {
    let rates = rates(2, 2);
    let mut log = SlidingLog::new();
    let end = Tick::MAX.as_ms();
    assert!(take(&mut log, end - 10, rates, 2).is_some());
    assert!(matches!(case(u64::MAX, &log, None, rates, 1).decide(), Ruling::Deny { .. }));
    assert_eq!(Tick::from_bytes(Tick::MAX.to_bytes()), Tick::MAX);
}
