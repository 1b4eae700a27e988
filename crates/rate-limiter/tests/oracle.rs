//! The limiter against a naive count, over random histories.

#[path = "../examples/oracle/naive.rs"]
mod naive;
#[path = "../examples/oracle/run.rs"]
mod run;

const SEED: u64 = 0x00c1_a3ee;

#[test]
fn a_sample_of_random_operations_agrees_with_the_naive_count() {
    let counts = run::run(60_000, SEED, run::Beside::Nothing).unwrap();
    assert!(counts.allowed > 5_000 && counts.denied > 5_000, "both sides are well tried: {counts:?}");
    assert!(counts.never > 100 && counts.refunded > 500, "{counts:?}");
    assert!(counts.waits_that_end_with_a_penalty > 50, "{counts:?}");
    assert!(counts.waits_that_end_with_an_override > 50, "{counts:?}");
    assert!(counts.suspended > 100, "{counts:?}");
}

#[test]
fn closing_and_opening_a_journal_at_any_time_changes_no_decision() {
    let folder = tempfile::tempdir().unwrap();
    let counts = run::run(20_000, SEED, run::Beside::Journal(&folder.path().join("limits.journal"))).unwrap();
    assert!(counts.reopened > 20 && counts.refunded > 200, "{counts:?}");
}

/// Seeds and operations of each: a sample, or all that was ever asked for.
#[cfg(feature = "redis")]
fn histories() -> (u64, u64) {
    if std::env::var_os("CLAW_TEST_FULL").is_some() { (4, 250_000) } else { (1, 20_000) }
}

#[cfg(feature = "redis")]
#[test]
fn random_operations_are_decided_alike_in_redis_in_process_by_the_core_and_by_the_naive_count() {
    let server = clawexchange_testkit::redis::Server::start();
    let (seeds, operations) = histories();
    for seed in SEED..SEED + seeds {
        let counts = run::run(operations, seed, run::Beside::Redis(&server.url())).unwrap();
        println!("seed {seed:#x}, {operations} operations: {counts:?}");
        assert!(counts.shared > operations / 2 && counts.suspended > 20, "{counts:?}");
        assert!(counts.allowed > 1_000 && counts.denied > 1_000 && counts.refunded > 100, "{counts:?}");
        server.cli(&["FLUSHALL"]);
    }
}

#[cfg(not(feature = "redis"))]
#[test]
fn without_redis_in_the_build_the_oracle_says_so() {
    assert!(run::run(1, SEED, run::Beside::Redis("redis://127.0.0.1")).is_err());
}
