//! The map of owed tests says what is so: every defect of the original has a row, and every test that a row names is
//! there and runs. Without this, a test that was renamed or taken out would leave a defect unwatched.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::Path;

const MAP: &str = "docs/design/owed-tests.md";

/// The tables, by their headings, and the highest number of each.
const TABLES: [(&str, u32); 2] = [("## The 56 defects", 56), ("## The 19 acceptance tests", 19)];

/// Parts that owe tests and are not there yet. A part that has come leaves the list, and its rows name tests.
const LATER: [&str; 8] = [
    "moderation",
    "PostgreSQL",
    "S3",
    "key rotation",
    "backups",
    "erasure",
    "export of the log",
    "runbook and alerts",
];

#[test]
fn every_defect_and_every_acceptance_test_has_its_row() {
    let map = read(MAP);
    for (heading, most) in TABLES {
        let numbers: Vec<u32> = rows(&map, heading).iter().map(|row| row.number).collect();
        let wanted: Vec<u32> = (1..=most).collect();
        assert_eq!(numbers, wanted, "{MAP}, {heading}: each number once and in order");
    }
}

#[test]
fn every_test_that_a_row_names_is_there_and_runs() {
    let map = read(MAP);
    let mut wrong = Vec::new();
    for (heading, _) in TABLES {
        for row in rows(&map, heading) {
            for named in tests_of(&row.last) {
                let found = named
                    .split_once("::")
                    .is_some_and(|(path, name)| root().join(path).is_file() && has_test(&read(path), name));
                if !found {
                    wrong.push(format!("{}: {named}", row.number));
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{MAP} names tests that do not exist, so name those that took their place: {wrong:#?}"
    );
}

#[test]
fn a_row_names_tests_or_the_part_that_owes_them() {
    let map = read(MAP);
    for (heading, _) in TABLES {
        for row in rows(&map, heading) {
            let parts = parts_of(&row.last);
            assert!(
                !parts.is_empty() || !tests_of(&row.last).is_empty(),
                "{MAP}, {heading}, {}: neither a test nor a part that owes it",
                row.number
            );
            for part in parts {
                assert!(
                    LATER.contains(&part.as_str()),
                    "{MAP}, {heading}, {}: no part {part:?} is owed; known are {LATER:?}",
                    row.number
                );
            }
            assert!(
                row.cells.iter().all(|cell| !cell.is_empty()),
                "{MAP}, {heading}, {}: an empty cell",
                row.number
            );
        }
    }
    let owed: BTreeSet<String> = TABLES
        .iter()
        .flat_map(|(heading, _)| rows(&map, heading))
        .flat_map(|row| parts_of(&row.last))
        .collect();
    for part in LATER {
        assert!(
            owed.contains(part),
            "{part} owes nothing any more: take it out of LATER in xtask/tests/owed.rs"
        );
    }
}

#[test]
fn the_reader_of_the_map_sees_what_is_wrong() {
    let map = "## The 56 defects\n\n| number | a | b | tests |\n| --- | --- | --- | --- |\n\
               | 1 | x | y | `a/b.rs::one`<br>`a/c.rs::two`<br>later: Redis, S3 |\n| 2 | x | y | |\n\n## Next\n\n| 3 | x | y | z |\n";
    let found = rows(map, "## The 56 defects");
    assert_eq!(found.iter().map(|row| row.number).collect::<Vec<_>>(), [1, 2], "the next table is another");
    let first = found.first().unwrap();
    assert_eq!(tests_of(&first.last), ["a/b.rs::one", "a/c.rs::two"]);
    assert_eq!(parts_of(&first.last), ["Redis", "S3"]);
    let second = found.last().unwrap();
    assert!(tests_of(&second.last).is_empty() && parts_of(&second.last).is_empty());
    let attribute = ["#[te", "st]"].concat();
    let code = format!("{attribute}\nfn runs() {{}}\n\nfn only_helps() {{}}\n");
    assert!(has_test(&code, "runs"));
    assert!(!has_test(&code, "only_helps"), "a function is not a test");
    assert!(!has_test(&code, "run"), "a part of a name is not the name");
}

/// A row of a table of the map.
struct Row {
    number: u32,
    cells: Vec<String>,
    last: String,
}

/// The numbered rows below a heading, up to the next heading.
fn rows(map: &str, heading: &str) -> Vec<Row> {
    let below = map.lines().skip_while(|line| *line != heading).skip(1);
    below
        .take_while(|line| !line.starts_with("## "))
        .filter_map(|line| {
            let inner = line.strip_prefix('|')?.strip_suffix('|')?;
            let cells: Vec<String> = inner.split('|').map(|cell| cell.trim().to_owned()).collect();
            let number = cells.first()?.parse().ok()?;
            let last = cells.last()?.clone();
            Some(Row { number, cells, last })
        })
        .collect()
}

/// What stands in backticks and has a file and a name.
fn tests_of(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).filter(|code| code.contains("::")).map(ToOwned::to_owned).collect()
}

fn parts_of(cell: &str) -> Vec<String> {
    let later = cell.split("<br>").filter_map(|entry| entry.trim().strip_prefix("later:"));
    later.flat_map(|parts| parts.split(',')).map(|part| part.trim().to_owned()).collect()
}

/// Whether a function of this name stands below the attribute of a test, at most five lines below: documentation and
/// further attributes may stand between.
fn has_test(code: &str, name: &str) -> bool {
    let lines: Vec<&str> = code.lines().map(str::trim).collect();
    let declared = [format!("fn {name}("), format!("async fn {name}(")];
    lines.iter().enumerate().any(|(at, line)| {
        declared.iter().any(|declared| line.starts_with(declared.as_str()))
            && lines
                .iter()
                .take(at)
                .rev()
                .take(5)
                .take_while(|above| !above.is_empty() && **above != "}")
                .any(|above| above.starts_with("#[test") || above.starts_with("#[tokio::test"))
    })
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}
