//! Judges the detectors by labelled texts; `--help` says how.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the report goes to standard output, talk beside it"
)]

mod arguments;
mod budgets;
mod compare;
mod corpus;
mod disguises;
mod excerpt;
mod judge;
mod mutate;
mod report;
mod share;

use std::error::Error;
use std::fs;
use std::path::Path;

use crate::arguments::{Arguments, Task};
use crate::budgets::Budgets;
use crate::corpus::Text;
use crate::judge::Judge;
use crate::report::Report;

fn main() -> Result<(), Box<dyn Error>> {
    let Some(arguments) = Arguments::read(std::env::args().skip(1))? else {
        print!("{}", arguments::HELP);
        return Ok(());
    };
    match &arguments.task {
        Task::Compare(before, after) => {
            let texts = if arguments.show { corpus::all(&arguments)? } else { Vec::new() };
            compare::runs(&Report::read(before)?, &Report::read(after)?, &texts);
            Ok(())
        }
        Task::Variants => disguises::caught(&Judge::of_level(arguments.level)?, &attacks(&arguments)?),
        Task::Mutate => {
            mutate::survive(&Judge::of_level(arguments.level)?, &attacks(&arguments)?, &arguments)
        }
        Task::Equal => match unequal(&Judge::of_level(4)?, &corpus::all(&arguments)?)?.len() {
            0 => Ok(()),
            some => Err(format!("{some} texts are not found alike").into()),
        },
        Task::Judge => judged(&arguments),
    }
}

/// With `--gate`, one text in so many is also looked at by force, which takes long.
const EQUAL_EACH: usize = 5;

/// Texts in which literals and narrowed windows lose something.
fn unequal(judge: &Judge, texts: &[Text]) -> Result<Vec<String>, Box<dyn Error>> {
    let found = judge.each(texts, "looked at by force", |_, text| {
        let found: Vec<_> = judge.detectors.scan(&text.text).into_iter().map(|d| (d.id, d.span)).collect();
        let all: Vec<_> =
            judge.detectors.scan_by_force(&text.text).into_iter().map(|d| (d.id, d.span)).collect();
        let lost =
            all.iter().find(|one| !found.contains(one)).or(found.iter().find(|one| !all.contains(one)));
        Ok(lost
            .map(|(id, span)| format!("{} {}: {id} at {span:?} is not found alike", text.id(), text.hash())))
    })?;
    let wrong: Vec<String> = found.into_iter().flatten().collect();
    for one in &wrong {
        println!("{one}");
    }
    println!("{} texts looked at by force, {} not alike", texts.len(), wrong.len());
    Ok(wrong)
}

fn attacks(arguments: &Arguments) -> Result<Vec<Text>, Box<dyn Error>> {
    Ok(corpus::all(arguments)?.into_iter().filter(|text| text.label == 1).collect())
}

/// The usual run: figures, and with `--gate` floors and budgets.
fn judged(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let texts = corpus::all(arguments)?;
    let judge = Judge::of_level(arguments.level)?;
    let outcomes = judge.all(&texts, "judged")?;
    let report = Report::of(&texts, outcomes, judge, arguments);
    report.print();
    if let Some(set) = &arguments.misses {
        report.print_wrong(set, &texts, arguments.show);
    }
    if let Some(path) = &arguments.json {
        fs::write(path, serde_json::to_vec_pretty(&report)?)?;
        eprintln!("written to {}", path.display());
    }
    let mut breaches = report.below_floors(&corpus::own().join("floors.toml"))?;
    if arguments.gate {
        breaches.extend(over_budget(&corpus::own().join("budgets.toml"), &texts, arguments)?);
        let some: Vec<Text> = texts.iter().step_by(EQUAL_EACH).cloned().collect();
        breaches.extend(unequal(&Judge::of_level(4)?, &some)?);
    }
    for breach in &breaches {
        println!("BREACH {breach}");
    }
    if arguments.gate && !breaches.is_empty() {
        return Err(format!("{} bounds of eval/ are not kept", breaches.len()).into());
    }
    Ok(())
}

/// Rules of every level are counted, also those that usually do not run.
fn over_budget(path: &Path, texts: &[Text], arguments: &Arguments) -> Result<Vec<String>, Box<dyn Error>> {
    let budgets = Budgets::read(path)?;
    let posts: Vec<Text> = texts.iter().filter(|text| budgets.is_about(text)).cloned().collect();
    if posts.is_empty() {
        eprintln!("the posts that budgets are about are not here: no rule was held to one");
        return Ok(Vec::new());
    }
    let judge = Judge::of_level(4)?;
    let outcomes = judge.all(&posts, "counted")?;
    Ok(budgets.breaches(&posts, &outcomes, &judge, arguments.show))
}
