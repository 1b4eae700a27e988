//! `claw rules`: what is looked for, and packs of one's own.

use std::path::Path;

use clawexchange_detectors::{Detectors, DetectorsError, OwnPacks, PackProblem, PackReport, RuleInfo};
use clawexchange_gateway::{Intent, Parts};
use clawexchange_ssg_core::{Escaped, Fault, FaultKind, RuleMode};
use serde_json::{Value, json};

use crate::args::{Global, ListRulesArgs, RulesCommand};
use crate::command::{activate, allow, bench, packs, sign};
use crate::exit::Exit;
use crate::report::CliError;
use crate::{command, output};

pub(crate) async fn run(command: &RulesCommand, global: &Global) -> Result<Exit, CliError> {
    match command {
        RulesCommand::List(args) => list(args, global).await,
        RulesCommand::Show { id, rules } => show(id, rules.as_deref(), global),
        RulesCommand::Lint { packs } => check(packs.as_deref(), global),
        RulesCommand::Test { packs } => test(packs.as_deref(), global),
        RulesCommand::Bench { packs, texts } => bench::run(packs, texts.as_deref(), global),
        RulesCommand::Activate { packs, dry, .. } => activate::run(packs.as_deref(), *dry, global).await,
        RulesCommand::Rollback { dry } => activate::roll_back(*dry, global).await,
        RulesCommand::Sign(args) => sign::run(args, global),
        RulesCommand::Key(args) => sign::key(args, global),
        RulesCommand::History { limit } => activate::history(*limit, global).await,
        RulesCommand::Allow(command) => allow::run(command, global).await,
    }
}

/// The rules as they are set, with packs of one's own if a path is given. Touches no data folder.
fn detectors(path: Option<&Path>, global: &Global) -> Result<Detectors, CliError> {
    let own = path.map_or_else(|| Ok(OwnPacks::default()), packs::read)?;
    Ok(Parts::new(command::settings(global)?, Intent::Use).detectors_with(own)?)
}

/// A rule was asked for that is none. In settings that is a mistake of the configuration; here nothing was found.
#[derive(Debug, thiserror::Error)]
#[error("there is no rule {id}")]
pub(crate) struct NoSuchRule {
    id: String,
    nearest: String,
}

impl Fault for NoSuchRule {
    fn code(&self) -> &'static str {
        "ops-cli/no-rule"
    }

    fn kind(&self) -> FaultKind {
        FaultKind::NotFound
    }

    fn hint(&self) -> Option<String> {
        Some(format!("the nearest is {}; `claw rules list` has all of them", self.nearest))
    }
}

/// The rule itself, or that there is none.
pub(crate) fn named<'d>(detectors: &'d Detectors, id: &str) -> Result<RuleInfo<'d>, CliError> {
    detectors.rule_named(id).map_err(|error| match error {
        DetectorsError::UnknownRule { id, nearest } => NoSuchRule { id, nearest }.into(),
        other => other.into(),
    })
}

pub(crate) const fn word(mode: RuleMode) -> &'static str {
    match mode {
        RuleMode::Enforce => "enforce",
        RuleMode::Shadow => "shadow",
        RuleMode::Off => "off",
    }
}

/// The rules that judge in the deployment.
async fn active(global: &Global) -> Result<Detectors, CliError> {
    let parts = command::parts(global, Intent::Use)?;
    let kept = parts.stored_rules().await?.load().await?;
    Ok(parts.detectors_of(kept.own?, kept.allowed)?)
}

async fn list(args: &ListRulesArgs, global: &Global) -> Result<Exit, CliError> {
    let detectors =
        if args.active { active(global).await? } else { detectors(args.packs.as_deref(), global)? };
    let is_wanted = |rule: &RuleInfo<'_>| {
        args.category.is_none_or(|category| category == rule.category)
            && args.mode.is_none_or(|mode| mode == rule.mode)
            && args.pack.as_ref().is_none_or(|pack| pack == rule.pack)
    };
    let mut rules: Vec<RuleInfo<'_>> = detectors.rules().filter(is_wanted).collect();
    rules.sort_by_key(|rule| (rule.pack, rule.id));
    if global.is_json() {
        let items: Vec<Value> = rules.iter().map(brief).collect();
        output::json(&json!({"policy": detectors.policy(), "items": items}))?;
        return Ok(Exit::Ok);
    }
    let mut rows =
        output::Rows::new(&["rule", "pack", "category", "points", "level", "mode", "what"]).right(3).right(4);
    for rule in &rules {
        rows.row(&[
            rule.id,
            rule.pack,
            rule.category.as_str(),
            &rule.score.to_string(),
            &rule.level.to_string(),
            word(rule.mode),
            rule.description,
        ]);
    }
    rows.print()?;
    output::say(&format!("{} rules, policy {}", rules.len(), detectors.policy()));
    Ok(Exit::Ok)
}

fn brief(rule: &RuleInfo<'_>) -> Value {
    json!({
        "id": rule.id, "pack": rule.pack, "category": rule.category, "version": rule.version,
        "severity": rule.severity, "confidence": rule.confidence.get(), "points": rule.score,
        "level": rule.level, "mode": rule.mode, "labels": rule.labels, "description": rule.description,
    })
}

fn show(id: &str, path: Option<&Path>, global: &Global) -> Result<Exit, CliError> {
    let detectors = detectors(path, global)?;
    let rule = named(&detectors, id)?;
    if global.is_json() {
        let mut json = brief(&rule);
        if let Some(members) = json.as_object_mut() {
            members.extend(
                [
                    ("source", json!(rule.source)),
                    ("prefixes", json!(rule.prefixes)),
                    ("keywords", json!(rule.keywords)),
                    ("context", json!(rule.context)),
                    ("checks", json!(rule.checks)),
                    ("proofs", json!(rule.proofs)),
                    ("pattern", json!(rule.pattern)),
                ]
                .map(|(name, value)| (name.to_owned(), value)),
            );
        }
        output::json(&json)?;
        return Ok(Exit::Ok);
    }
    let worth = format!("{} points: {}, {} % sure", rule.score, rule.severity, rule.confidence.get());
    let lines = [
        ("rule", format!("{} {}", rule.id, rule.version)),
        ("what", rule.description.to_owned()),
        ("pack", rule.pack.to_owned()),
        ("category", rule.category.to_string()),
        ("worth", worth),
        ("level", rule.level.to_string()),
        ("mode", word(rule.mode).to_owned()),
        ("labels", rule.labels.join(", ")),
        ("source", rule.source.to_owned()),
        ("prefixes", rule.prefixes.join(", ")),
        ("keywords", rule.keywords.join(", ")),
        ("words near", rule.context.join(", ")),
        ("checks", rule.checks.join(", ")),
        ("proofs", rule.proofs.join(", ")),
        (
            "pattern",
            if rule.pattern.is_empty() { "found by code".to_owned() } else { rule.pattern.to_owned() },
        ),
    ];
    for (name, value) in lines.iter().filter(|(_, value)| !value.is_empty()) {
        output::line(&format!("{name:<11} {}", Escaped(value)))?;
    }
    Ok(Exit::Ok)
}

/// What trying out packs came to; the problems alone where they could not even be read.
fn report(path: Option<&Path>) -> Result<Result<PackReport, Vec<PackProblem>>, CliError> {
    Ok(match path {
        None => Ok(PackReport::of_shipped()),
        Some(path) => packs::checked(path)?.map(|own| own.try_out()),
    })
}

fn check(path: Option<&Path>, global: &Global) -> Result<Exit, CliError> {
    let (report, problems) = match report(path)? {
        Ok(report) => {
            let problems = report.problems.clone();
            (Some(report), problems)
        }
        Err(problems) => (None, problems),
    };
    if global.is_json() {
        match &report {
            Some(report) => output::json(report)?,
            None => output::json(&json!({ "problems": problems }))?,
        }
    } else {
        print(&problems)?;
        if let Some(report) = &report {
            output::line(&format!(
                "{} rules, {} examples; expressions take {} KiB and {} ms to make",
                report.rules,
                report.examples,
                report.compiled_bytes.div_ceil(1024),
                report.compile_micros.div_ceil(1000)
            ))?;
        }
        say_whether(&problems)?;
    }
    Ok(if problems.is_empty() { Exit::Ok } else { Exit::Failed })
}

fn test(path: Option<&Path>, global: &Global) -> Result<Exit, CliError> {
    let report = match path {
        None => PackReport::of_shipped(),
        Some(path) => packs::read(path)?.try_out(),
    };
    if global.is_json() {
        let PackReport { rules, examples, problems, .. } = &report;
        output::json(&json!({"rules": rules, "examples": examples, "problems": problems}))?;
    } else {
        print(&report.problems)?;
        output::line(&format!("{} rules, {} examples", report.rules, report.examples))?;
        say_whether(&report.problems)?;
    }
    Ok(if report.problems.is_empty() { Exit::Ok } else { Exit::Failed })
}

fn print(problems: &[PackProblem]) -> Result<(), CliError> {
    problems.iter().try_for_each(|problem| output::line(&Escaped(&problem.to_string()).to_string()))
}

fn say_whether(problems: &[PackProblem]) -> Result<(), CliError> {
    match problems.len() {
        0 => output::line("nothing is wrong"),
        1 => output::line("1 problem"),
        n => output::line(&format!("{n} problems")),
    }
}
