//! `claw rules activate`, `rollback` and `history`: which packs judge in every server.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use clawexchange_database::rules::Activation;
use clawexchange_detectors::{AllowList, Detectors, DetectorsError, OwnPacks, RuleInfo};
use clawexchange_gateway::{Intent, Parts, StoredRules};
use clawexchange_ssg_core::{Clock as _, SystemClock};
use serde_json::{Value, json};

use crate::args::{DryRun, Global};
use crate::command::{packs, rules};
use crate::exit::Exit;
use crate::report::CliError;
use crate::{command, output};

/// So many digits of a hash are as good as all.
const HASH_DIGITS_MIN: usize = 8;

pub(crate) async fn run(asked: Option<&Path>, dry: DryRun, global: &Global) -> Result<Exit, CliError> {
    // Who acts is known before anything is asked of the database.
    let by = command::actor(global)?;
    let parts = command::parts(global, Intent::Use)?;
    let stored = parts.stored_rules().await?;
    let (own, note) = match asked {
        None => (OwnPacks::default(), None),
        Some(path) => match hash(path).filter(|_| !path.exists()) {
            Some(prefix) => {
                let hash = stored.hash_like(&prefix).await?;
                (stored.packs(&hash).await?, stored.note_of(&hash).await?)
            }
            None => (packs::read(path)?, packs::note(path)?),
        },
    };
    // A dry run is refused for what the deed would be.
    stored.trust().signed(&own, note.as_deref(), SystemClock::new().now())?;
    if note.is_some() && stored.trust().keys.is_empty() {
        output::say("note: the signature is not looked at: rules.trusted_keys names no key");
    }
    let problems = own.try_out().problems;
    if !problems.is_empty() {
        return Err(DetectorsError::OwnPacks { problems }.into());
    }
    let change = Change::to(&parts, &stored, own.clone()).await?;
    let mut made = None;
    if !dry.dry_run {
        parts.log().await?;
        let tx = parts.database().await?.begin().await?;
        made = stored.activate(&tx, &by, &own, note.as_deref()).await?;
        tx.commit().await?;
        command::finish(&parts).await?;
    }
    change.print(made.as_ref(), dry, global)
}

pub(crate) async fn roll_back(dry: DryRun, global: &Global) -> Result<Exit, CliError> {
    let by = command::actor(global)?;
    let parts = command::parts(global, Intent::Use)?;
    let stored = parts.stored_rules().await?;
    let own = match stored.before_active().await? {
        Some(hash) => stored.packs(&hash).await?,
        None => OwnPacks::default(),
    };
    let change = Change::to(&parts, &stored, own).await?;
    let mut made = None;
    if !dry.dry_run {
        parts.log().await?;
        let tx = parts.database().await?.begin().await?;
        made = Some(stored.roll_back(&tx, &by).await?);
        tx.commit().await?;
        command::finish(&parts).await?;
    }
    change.print(made.as_ref(), dry, global)
}

pub(crate) async fn history(limit: u32, global: &Global) -> Result<Exit, CliError> {
    let parts = command::parts(global, Intent::Use)?;
    let all = parts.stored_rules().await?.history(limit).await?;
    if global.is_json() {
        let items: Vec<Value> = all.iter().map(as_json).collect();
        output::json(&json!({ "items": items }))?;
        return Ok(Exit::Ok);
    }
    let mut rows = output::Rows::new(&["number", "when", "by", "packs", "serial", "until", "how"]).right(0);
    for a in &all {
        let how = match a.restores {
            0 => "rolled back to the rules that ship".to_owned(),
            number if number == a.number => "activated".to_owned(),
            number => format!("rolled back to {number}"),
        };
        let packs = a.hash.as_deref().unwrap_or("none");
        let serial = a.signed.as_ref().map(|s| s.serial.to_string()).unwrap_or_default();
        let until = a.signed.as_ref().map(|s| s.not_after.to_string()).unwrap_or_default();
        rows.row(&[&a.number.to_string(), &a.at.to_string(), &a.by, packs, &serial, &until, &how]);
    }
    rows.print()?;
    Ok(Exit::Ok)
}

fn as_json(a: &Activation) -> Value {
    let signed = a.signed.as_ref();
    json!({
        "number": a.number, "hash": a.hash, "restores": a.restores, "by": a.by, "at": a.at,
        "serial": signed.map(|s| s.serial), "notAfter": signed.map(|s| s.not_after),
    })
}

/// A hash, or the beginning of one, if a path is none of a file.
fn hash(path: &Path) -> Option<String> {
    let text = path.to_str()?.to_ascii_lowercase();
    let fits = (HASH_DIGITS_MIN..=64).contains(&text.len());
    (fits && text.bytes().all(|b| b.is_ascii_hexdigit())).then_some(text)
}

/// What other packs change.
struct Change {
    hash: Option<String>,
    hash_before: Option<String>,
    policy: String,
    policy_before: String,
    added: Vec<String>,
    removed: Vec<String>,
    changed: Vec<String>,
}

impl Change {
    /// From what is active now. Packs that are active and cannot be used count as none, so that they can be left.
    async fn to(parts: &Arc<Parts>, stored: &StoredRules, own: OwnPacks) -> Result<Self, CliError> {
        let kept = stored.load().await?;
        let hash_before = kept.activation.and_then(|a| a.hash);
        let before = kept.own.unwrap_or_default();
        let of = |own: OwnPacks, allowed: AllowList| parts.detectors_of(own, allowed);
        let (before, after) = (of(before, kept.allowed.clone())?, of(own.clone(), kept.allowed)?);
        let (olds, news) = (by_id(&before), by_id(&after));
        let names = |of: &BTreeMap<&str, RuleInfo<'_>>, without: &BTreeMap<&str, RuleInfo<'_>>| {
            of.keys().filter(|id| !without.contains_key(*id)).map(|id| (*id).to_owned()).collect()
        };
        let changed = news.iter().filter_map(|(id, new)| difference(id, olds.get(id)?, new)).collect();
        Ok(Self {
            hash: (!own.is_empty()).then(|| own.hash().to_owned()),
            hash_before,
            policy: after.policy(),
            policy_before: before.policy(),
            added: names(&news, &olds),
            removed: names(&olds, &news),
            changed,
        })
    }

    fn print(&self, made: Option<&Activation>, dry: DryRun, global: &Global) -> Result<Exit, CliError> {
        let Self { hash, hash_before, policy, policy_before, added, removed, changed } = self;
        let is_same = hash == hash_before && made.is_none();
        if global.is_json() {
            output::json(&json!({
                "number": made.map(|a| a.number), "hash": hash, "hashBefore": hash_before, "policy": policy,
                "policyBefore": policy_before, "added": added, "removed": removed, "changed": changed,
                "dryRun": dry.dry_run,
            }))?;
            return Ok(Exit::Ok);
        }
        if is_same {
            output::line("these packs are active already")?;
            return Ok(Exit::Ok);
        }
        for (sign, names) in [("+", added), ("-", removed), ("~", changed)] {
            for name in names {
                output::line(&format!("{sign} {name}"))?;
            }
        }
        let packs = hash.as_deref().unwrap_or("none");
        match (made, dry.dry_run) {
            (Some(a), _) => output::line(&format!("packs {packs} are active as number {}", a.number))?,
            (None, true) => output::line(&format!("packs {packs} would be active"))?,
            (None, false) => output::line("these packs are active already")?,
        }
        output::line(&format!("policy {policy}, before {policy_before}"))?;
        Ok(Exit::Ok)
    }
}

fn by_id(detectors: &Detectors) -> BTreeMap<&str, RuleInfo<'_>> {
    detectors.rules().map(|rule| (rule.id, rule)).collect()
}

/// What is another one about a rule, if anything is.
fn difference(id: &str, old: &RuleInfo<'_>, new: &RuleInfo<'_>) -> Option<String> {
    let mut said = Vec::new();
    if old.mode != new.mode {
        said.push(format!("{} → {}", rules::word(old.mode), rules::word(new.mode)));
    }
    if old.version != new.version {
        said.push(format!("version {} → {}", old.version, new.version));
    }
    (!said.is_empty()).then(|| format!("{id}: {}", said.join(", ")))
}
