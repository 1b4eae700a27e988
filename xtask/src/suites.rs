//! Runs the test suites and counts.

use std::fmt;
use std::fs::File;
use std::ops::AddAssign;
use std::process::Command;
use std::time::Instant;

use crate::run::{Failed, PATIENCE, streamed};
use crate::workspace::Workspace;

/// Which tests, and how much of each.
#[derive(Default)]
pub(crate) struct Selection {
    /// `Some`: whole instead of a sample; a name is that of one test target.
    pub(crate) full: Option<String>,
    /// For the test programs.
    pub(crate) args: Vec<String>,
}

/// How many tests passed and failed.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Tally {
    passed: u64,
    failed: u64,
}

impl Tally {
    /// All passed, and there were some.
    pub(crate) fn is_green(self) -> bool {
        self.passed > 0 && self.failed == 0
    }

    /// Reads the line with which a test program ends; `None` for any other line.
    fn of_line(line: &str) -> Option<Self> {
        let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
        let mut tally = Self::default();
        for part in counts.split("; ") {
            match part.split_once(' ') {
                Some((n, "passed")) => tally.passed = n.parse().ok()?,
                Some((n, "failed")) => tally.failed = n.parse().ok()?,
                _ => {}
            }
        }
        Some(tally)
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, more: Self) {
        self.passed += more.passed;
        self.failed += more.failed;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

/// Cases of each property in a whole run; a sample has proptest's own 256.
const CASES_WHOLE: &str = "20000";

/// Test targets that also run with PostgreSQL in the place of SQLite, and those of the service with Redis in the place of
/// counters of their own process; what is about the file, or about no rows at all,
/// is not among them. What is about PostgreSQL alone runs with the others.
const ON_POSTGRES: [&str; 25] = [
    // The handle, the log, held content, people, limits.
    "races",
    "outbox",
    "idempotency",
    "writer",
    "append",
    "checkpoint",
    "spool",
    "tamper",
    "vault",
    "desk",
    "access",
    "tokens",
    "stored",
    // The service, in this process and as one of its own. It counts in Redis then, as servers in production do.
    "service",
    "crash",
    "first_day",
    "keys",
    "hostile_http",
    "http_crash",
    "limits",
    "readme_first_day",
    "retire",
    "retirement",
    "serve",
    "tampered",
];

/// The variables that say so to `clawexchange-testkit`.
const SERVERS: [(&str, &str); 2] = [("CLAW_TEST_DATABASE", "postgres"), ("CLAW_TEST_COUNTERS", "redis")];

/// Test targets that also run with a bucket in the place of files. What is about the bucket alone runs with the others.
const ON_S3: [&str; 1] = ["vault"];

/// The variable that says so.
const OBJECTS: (&str, &str) = ("CLAW_TEST_OBJECTS", "s3");

/// Runs the suites that are asked for, all of them whatever the first ones say, and adds up what they report.
///
/// Those of [`ON_POSTGRES`] and of [`ON_S3`] run once more each. The tests find in their environment: `PROPTEST_RNG_SEED` and `CLAW_TEST_SEED`, both made of the commit id, unless
/// set before; in a whole run also `CLAW_TEST_FULL=1` and more `PROPTEST_CASES`.
pub(crate) fn run(
    workspace: &Workspace,
    selection: &Selection,
    mut log: Option<&mut File>,
) -> Result<Tally, Failed> {
    let started = Instant::now();
    let mut tally = Tally::default();
    // A whole run has tests that work for ten minutes and say so at their end.
    let patience = if selection.full.is_some() { PATIENCE * 6 } else { PATIENCE };
    for mut command in commands(workspace, selection)? {
        environment(&mut command, workspace, selection);
        let mut here = Tally::default();
        let status = streamed(command, patience, log.as_deref_mut(), |line| {
            if let Some(more) = Tally::of_line(line) {
                here += more;
            }
        })?;
        if !status.success() && here.failed == 0 {
            eprintln!("a suite did not build, or a test program ended without a count: it counts as failed");
            here.failed = 1;
        }
        tally += here;
    }
    if tally == Tally::default() {
        eprintln!("no test ran: nothing has the name that was asked for");
    }
    eprintln!("tests: {tally}, {:.1} s, seed {}", started.elapsed().as_secs_f64(), workspace.seed());
    Ok(tally)
}

fn commands(workspace: &Workspace, selection: &Selection) -> Result<Vec<Command>, Failed> {
    // One selection of packages and targets everywhere: another would unify features differently and build the
    // heavy dependencies once more.
    let test = ["test", "--workspace", "--no-fail-fast"];
    let suite = selection.full.as_deref().filter(|suite| !suite.is_empty());
    if let Some(suite) = suite {
        let known = workspace.targets("test");
        if !known.contains(&suite) {
            let hint = format!("there are {}", known.join(", "));
            return Err(Failed::new(format!("no test target is called {suite}")).hinting(hint));
        }
        let of = |mut command: Command| {
            command.args(["--test", suite, "--"]).args(&selection.args);
            command
        };
        let mut commands = vec![of(workspace.cargo(&test))];
        if ON_POSTGRES.contains(&suite) {
            commands.push(of(on_postgres(workspace.cargo(&test))));
        }
        if ON_S3.contains(&suite) {
            commands.push(of(on_s3(workspace.cargo(&test))));
        }
        return Ok(commands);
    }
    let mut all = workspace.cargo(&test);
    if selection.args.is_empty() {
        all.arg("--all-targets");
    } else {
        // Benches, which a full run tries once, do not know the options of test programs.
        all.args(["--tests", "--examples", "--"]).args(&selection.args);
    }
    let mut docs = workspace.cargo(&test);
    docs.args(["--doc", "--"]).args(&selection.args);
    let mut again = on_postgres(workspace.cargo(&test));
    again.args(ON_POSTGRES.iter().flat_map(|suite| ["--test", suite])).arg("--").args(&selection.args);
    let mut elsewhere = on_s3(workspace.cargo(&test));
    elsewhere.args(ON_S3.iter().flat_map(|suite| ["--test", suite])).arg("--").args(&selection.args);
    Ok(vec![all, docs, again, elsewhere])
}

fn on_s3(mut command: Command) -> Command {
    command.env(OBJECTS.0, OBJECTS.1);
    command
}

fn on_postgres(mut command: Command) -> Command {
    command.envs(SERVERS);
    command
}

fn environment(command: &mut Command, workspace: &Workspace, selection: &Selection) {
    let seed = workspace.seed().to_string();
    let mut whole = vec![("PROPTEST_RNG_SEED", seed.as_str()), ("CLAW_TEST_SEED", seed.as_str())];
    if selection.full.is_some() {
        whole.extend([("CLAW_TEST_FULL", "1"), ("PROPTEST_CASES", CASES_WHOLE)]);
    }
    for (name, value) in whole {
        if std::env::var_os(name).is_none() {
            command.env(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_counted_by_its_closing_line_and_by_no_other() {
        for (line, counted) in [
            (
                "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.01s",
                Some((12, 0)),
            ),
            ("test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out", Some((3, 2))),
            ("test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out", Some((0, 0))),
            ("test result: ok. many passed; 0 failed", None),
            ("test tests::result ... ok", None),
            ("running 4 tests", None),
            ("  test result: ok. 9 passed; 0 failed", None),
            ("", None),
        ] {
            assert_eq!(Tally::of_line(line).map(|t| (t.passed, t.failed)), counted, "{line}");
        }
    }

    #[test]
    fn every_suite_that_runs_elsewhere_once_more_is_one() {
        let workspace = Workspace::find().unwrap();
        let known = workspace.targets("test");
        for suite in ON_POSTGRES.into_iter().chain(ON_S3) {
            assert!(known.contains(&suite), "{suite} is no test target");
        }
    }

    #[test]
    fn a_run_is_green_only_when_something_ran_and_nothing_failed() {
        for (passed, failed, green) in [(1, 0, true), (0, 0, false), (5, 1, false), (0, 1, false)] {
            assert_eq!(Tally { passed, failed }.is_green(), green, "{passed} passed, {failed} failed");
        }
    }

    #[test]
    fn the_closing_line_has_the_sum_of_all_programs() {
        let mut tally = Tally { passed: 2, failed: 0 };
        tally += Tally { passed: 40, failed: 1 };
        assert_eq!(tally.to_string(), "42 passed, 1 failed");
    }
}
