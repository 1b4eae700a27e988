//! The limiter against a naive count, over random histories.

#[path = "../examples/oracle/naive.rs"]
mod naive;
#[path = "../examples/oracle/run.rs"]
mod run;

const SEED: u64 = 0x00c1_a3ee;

#[test]
fn a_sample_of_random_operations_agrees_with_the_naive_count() {
    let counts = run::run(60_000, SEED, None).unwrap();
    assert!(counts.allowed > 5_000 && counts.denied > 5_000, "both sides are well tried: {counts:?}");
    assert!(counts.never > 100 && counts.refunded > 500, "{counts:?}");
    assert!(counts.waits_that_end_with_a_penalty > 50, "{counts:?}");
    assert!(counts.waits_that_end_with_an_override > 50, "{counts:?}");
}

#[test]
fn closing_and_opening_a_journal_at_any_time_changes_no_decision() {
    let folder = tempfile::tempdir().unwrap();
    let counts = run::run(20_000, SEED, Some(&folder.path().join("limits.journal"))).unwrap();
    assert!(counts.reopened > 20 && counts.refunded > 200, "{counts:?}");
}
