//! `claw keys`: master keys, from the first to the last use of one.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clawexchange_database::keys::{self, Instance, Master, MasterState};
use clawexchange_database::outbox;
use clawexchange_gateway::{Intent, KeySource, Parts, PartsError, WeekKeyPlace};
use clawexchange_quarantine::{KeyRing, KeyUse, Keychain, QuarantineError, RewrapReport, WeekKeyState};
use clawexchange_ssg_core::{
    AuditEvent, Clock as _, EventKind, KeyId, KeyProvider as _, SystemClock, Target,
};
use serde_json::{Value, json};

use crate::args::{Global, KeysCommand};
use crate::exit::Exit;
use crate::output::Rows;
use crate::progress::Progress;
use crate::report::CliError;
use crate::{command, output};

/// How often it is looked again whether all processes have a key.
const LOOK_AGAIN: Duration = Duration::from_millis(300);

pub(crate) async fn run(command: &KeysCommand, global: &Global) -> Result<Exit, CliError> {
    match command {
        KeysCommand::Status => status(global).await,
        KeysCommand::Generate { add: true, id, .. } => add(id.clone(), global).await,
        KeysCommand::Generate { out, id, .. } => generate(out.as_ref(), id.clone(), global),
        KeysCommand::Activate { key, wait } => activate(key, *wait, global).await,
        KeysCommand::Rewrap { content, dry_run } => rewrap(*content, *dry_run, global).await,
        KeysCommand::Retire { key, dry_run } => retire(key, *dry_run, global).await,
    }
}

fn new_key(id: Option<KeyId>) -> Result<KeyRing, CliError> {
    let ring = KeyRing::generate()?;
    Ok(match id {
        Some(id) => KeyRing::from_master(Some(id), ring.active_master().clone()),
        None => ring,
    })
}

fn generate(out: Option<&PathBuf>, id: Option<KeyId>, global: &Global) -> Result<Exit, CliError> {
    if out.is_none() && id.is_some() {
        return Err(CliError::usage("a name stands in a file: add --out FILE, or --add"));
    }
    let ring = new_key(id)?;
    match out {
        Some(path) => {
            ring.write_new_file(path)?;
            if global.is_json() {
                output::json(&json!({"keyId": ring.active(), "file": path}))?;
            } else {
                output::line(&format!("key {} lies in {}", ring.active(), path.display()))?;
            }
        }
        None => {
            output::bytes(ring.active_master().to_base64().as_bytes())?;
            output::line("")?;
        }
    }
    Ok(Exit::Ok)
}

/// The key file that this deployment reads, if it reads one.
async fn key_file(parts: &Parts) -> Result<PathBuf, CliError> {
    match &parts.settings().key {
        KeySource::File(path) => Ok(path.clone()),
        KeySource::Generated => Ok(parts.key_path().await?),
        KeySource::Given(_) => Err(CliError::usage(
            "ENCRYPTION_MASTER_KEY is one key: write a file with its name, as `claw keys status` shows it, a space and the \
             key in a line, and name that in CLAW_KEYRING_FILE instead",
        )),
        _ => Err(CliError::usage("master keys are kept by CLAW_KEY_COMMAND: make one where that keeps them")),
    }
}

async fn add(id: Option<KeyId>, global: &Global) -> Result<Exit, CliError> {
    let parts = command::parts(global, Intent::Use)?;
    let actor = command::actor(global)?;
    let path = key_file(&parts).await?;
    // Nothing is added to a file that does not open this deployment.
    parts.keys().await?;
    let new = new_key(id)?;
    let key = new.active();
    let event = AuditEvent::new(EventKind::KeyGenerated, actor, SystemClock::new().now())
        .on(Target::new("key", &key));
    KeyRing::add_to_file(&path, Some(key.clone()), new.active_master().clone())?;
    let tx = parts.database().await?.begin().await?;
    outbox::put(&tx, &event).await?;
    tx.commit().await?;
    command::finish(&parts).await?;
    if global.is_json() {
        output::json(&json!({"keyId": key, "file": path}))?;
    } else {
        output::line(&format!(
            "key {key} lies in {}; keep a copy elsewhere, then activate it",
            path.display()
        ))?;
    }
    Ok(Exit::Ok)
}

async fn activate(key: &KeyId, wait: Duration, global: &Global) -> Result<Exit, CliError> {
    let parts = command::parts(global, Intent::Use)?;
    let actor = command::actor(global)?;
    let keychain = parts.keys().await?.clone();
    let until = Instant::now() + wait;
    let mut said = None;
    let changed = loop {
        match keychain.activate(key, &actor).await {
            Ok(changed) => break changed,
            Err(error @ QuarantineError::Lagging { .. }) if Instant::now() < until => {
                tell(&mut said, format!("waiting: {error}"));
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            Err(error) => return Err(error.into()),
        }
    };
    command::finish(&parts).await?;
    // Each process looks once a second.
    loop {
        let late = keychain.not_using(key).await?;
        if late.is_empty() {
            break;
        }
        let names: Vec<String> = late.iter().map(|instance| instance.name.clone()).collect();
        if Instant::now() >= until {
            output::say(&format!("note: not using it yet: {}", names.join(", ")));
            break;
        }
        tell(&mut said, format!("waiting for {} to use it", names.join(", ")));
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    if global.is_json() {
        output::json(&json!({"active": key, "changed": changed}))?;
    } else if changed {
        output::line(&format!("{key} wraps what is new; `claw keys rewrap` wraps the rest"))?;
    } else {
        output::line(&format!("{key} was active already"))?;
    }
    Ok(Exit::Ok)
}

/// Says something, unless it was said last.
fn tell(said: &mut Option<String>, what: String) {
    if said.as_ref() != Some(&what) {
        output::say(&what);
        *said = Some(what);
    }
}

async fn rewrap(content: bool, dry_run: bool, global: &Global) -> Result<Exit, CliError> {
    let parts = command::parts(global, Intent::Use)?;
    let actor = command::actor(global)?;
    let (keychain, vault) = (parts.keys().await?.clone(), parts.vault().await?.clone());
    let roots = keychain.roots_to_rewrap().await?;
    let (week_keys, direct) = vault.to_rewrap().await?;
    let (mut moving, mut destroyed) = (0, 0);
    if content {
        for week in vault.week_keys().await? {
            moving += week.contents;
            destroyed += 1;
        }
    }
    if dry_run {
        return said_to_do(&keychain, [roots, week_keys, direct + moving, destroyed], global);
    }
    let bar = Progress::of(roots + week_keys + direct + moving, "keys");
    let roots = keychain.rewrap_roots(&actor).await?;
    bar.add(roots);
    let mut report = RewrapReport::default();
    loop {
        let some = vault.rewrap_some(&actor).await?;
        bar.add(some.week_keys + some.data_keys);
        report = report.and(some);
        if !some.more {
            break;
        }
    }
    if content {
        vault.close_week_keys().await?;
        loop {
            let some = vault.move_some(&actor).await?;
            bar.add(some.data_keys);
            report = report.and(some);
            if !some.more {
                break;
            }
        }
    }
    drop(bar);
    command::finish(&parts).await?;
    if global.is_json() {
        output::json(&json!({"active": keychain.master(), "roots": roots, "weekKeys": report.week_keys,
            "dataKeys": report.data_keys, "destroyed": report.destroyed, "failed": report.failed}))?;
    } else {
        output::line(&format!(
            "{roots} root keys and {} keys of weeks are wrapped by {} now, {} data keys by the key of this week; \
             {} keys of weeks were destroyed, {} keys do not open",
            report.week_keys,
            keychain.master(),
            report.data_keys,
            report.destroyed,
            report.failed
        ))?;
    }
    Ok(if report.failed > 0 { Exit::Integrity } else { Exit::Ok })
}

fn said_to_do(keychain: &Keychain, counts: [u64; 4], global: &Global) -> Result<Exit, CliError> {
    let [roots, week_keys, data_keys, destroyed] = counts;
    let active = keychain.master();
    if global.is_json() {
        output::json(
            &json!({"active": active, "roots": roots, "weekKeys": week_keys, "dataKeys": data_keys,
                "destroyed": destroyed}),
        )?;
    } else {
        output::line(&format!(
            "{roots} root keys and {week_keys} keys of weeks would be wrapped by {active}, {data_keys} data keys by the \
             key of this week; {destroyed} keys of weeks would be destroyed"
        ))?;
    }
    Ok(Exit::Ok)
}

async fn retire(key: &KeyId, dry_run: bool, global: &Global) -> Result<Exit, CliError> {
    let parts = command::parts(global, Intent::Use)?;
    let actor = command::actor(global)?;
    let is_root = parts.keys().await?.roots().any(|root| root == key);
    let vault = parts.vault().await?;
    // A master key that is the root key too goes on as that, in the database.
    if !is_root {
        needed_by_codes(&parts, key).await?;
    }
    vault.retire_master(key, &actor, dry_run).await?;
    if dry_run {
        output::say("nothing needs it");
    } else {
        command::finish(&parts).await?;
    }
    if global.is_json() {
        output::json(&json!({"keyId": key, "retired": !dry_run}))?;
    } else if dry_run {
        output::line(&format!("{key} may be retired"))?;
    } else {
        output::line(&format!(
            "{key} is retired; take it out of the key file, and keep a copy as long as backups of the database from before"
        ))?;
    }
    Ok(Exit::Ok)
}

/// Codes and wraps of the log and of tokens hang on root keys; where one hangs on a master key, that stays.
async fn needed_by_codes(parts: &Parts, key: &KeyId) -> Result<(), CliError> {
    let mut rows = parts.log().await?.rows_by_key(key).await?;
    rows.push(("moderation_tokens", parts.tokens().await?.rows_by_key(key).await?));
    match rows.into_iter().find(|(_, rows)| *rows > 0) {
        Some((table, rows)) => Err(QuarantineError::needed(key, table, rows).into()),
        None => Ok(()),
    }
}

/// What `claw keys status` shows.
struct Overview {
    active: KeyId,
    roots: Vec<KeyId>,
    here: Vec<KeyId>,
    masters: Vec<Master>,
    uses: Vec<KeyUse>,
    week_keys: Vec<WeekKeyState>,
    week_key_place: WeekKeyPlace,
    instances: Vec<Instance>,
}

impl Overview {
    async fn of(parts: &Parts) -> Result<Self, PartsError> {
        let (keychain, vault, db) = (parts.keys().await?, parts.vault().await?, parts.database().await?);
        Ok(Self {
            active: keychain.master(),
            roots: keychain.roots().cloned().collect(),
            here: keychain.masters(),
            masters: keys::masters(&db.read()).await?,
            uses: vault.key_uses().await?,
            week_keys: vault.week_keys().await?,
            week_key_place: parts.week_keys().await?,
            instances: keys::live(&db.read()).await?,
        })
    }

    /// Every master key that is or was in use, or is here: the active one first.
    fn ids(&self) -> Vec<&KeyId> {
        let mut seen = BTreeSet::new();
        let known = self.masters.iter().map(|master| &master.id).chain(&self.here);
        std::iter::once(&self.active).chain(known).filter(|id| seen.insert((*id).clone())).collect()
    }

    fn master(&self, id: &KeyId) -> Option<&Master> {
        self.masters.iter().find(|master| master.id == *id)
    }

    fn uses(&self, id: &KeyId) -> Vec<&KeyUse> {
        self.uses.iter().filter(|found| found.key == *id).collect()
    }

    fn state(&self, id: &KeyId) -> &'static str {
        self.master(id).map_or("NEW", |master| master.state.as_str())
    }

    fn json(&self) -> Value {
        let masters: Vec<Value> = self
            .ids()
            .into_iter()
            .map(|id| {
                let master = self.master(id);
                json!({
                    "id": id, "state": self.state(id), "isHere": self.here.contains(id),
                    "activatedAt": master.map(|master| master.activated),
                    "retiredAt": master.and_then(|master| master.retired), "uses": self.uses(id),
                })
            })
            .collect();
        let instances: Vec<Value> = self
            .instances
            .iter()
            .map(|i| json!({"id": i.id, "name": i.name, "active": i.active, "keys": i.keys}))
            .collect();
        let (place, folder) = match &self.week_key_place {
            WeekKeyPlace::Folder(folder) => ("FOLDER", Some(folder)),
            WeekKeyPlace::Bucket => ("BUCKET", None),
            _ => ("DATABASE", None),
        };
        json!({
            "active": self.active, "roots": self.roots, "masters": masters, "weekKeys": self.week_keys,
            "weekKeyPlace": place, "weekKeyDir": folder, "instances": instances,
        })
    }

    fn print(&self) -> Result<(), CliError> {
        let mut rows = Rows::new(&["master key", "state", "since", "here", "needed for"]);
        for id in self.ids() {
            let since = self.master(id).map(|master| {
                if master.state == MasterState::Retired {
                    master.retired.unwrap_or(master.activated)
                } else {
                    master.activated
                }
            });
            let since = since.map_or_else(|| "-".to_owned(), |at| at.to_string());
            let uses: Vec<String> =
                self.uses(id).iter().map(|found| format!("{} of {}", found.rows, found.table)).collect();
            let uses = if uses.is_empty() { "nothing".to_owned() } else { uses.join(", ") };
            let here = if self.here.contains(id) { "yes" } else { "no" };
            rows.row(&[id.as_str(), self.state(id), &since, here, &uses]);
        }
        rows.print()?;
        output::line("")?;
        let mut rows = Rows::new(&["key of a week", "state", "wrapped by", "contents"]).right(3);
        for week in &self.week_keys {
            let state = if week.is_open { "OPEN" } else { "CLOSED" };
            rows.row(&[week.id.as_str(), state, week.master.as_str(), &week.contents.to_string()]);
        }
        rows.print()?;
        output::line(&match &self.week_key_place {
            WeekKeyPlace::Folder(folder) => format!("keys of weeks lie in {}", folder.display()),
            WeekKeyPlace::Bucket => "keys of weeks lie in the bucket".to_owned(),
            _ => "keys of weeks lie in the database, and so in each backup of it".to_owned(),
        })?;
        output::line("")?;
        let mut rows = Rows::new(&["process", "uses", "has"]);
        for instance in &self.instances {
            let has: Vec<&str> = instance.keys.iter().map(KeyId::as_str).collect();
            rows.row(&[&instance.name, instance.active.as_str(), &has.join(" ")]);
        }
        rows.print()
    }
}

async fn status(global: &Global) -> Result<Exit, CliError> {
    let parts = command::parts(global, Intent::Use)?;
    let overview = Overview::of(&parts).await?;
    command::say_notices(&parts);
    if global.is_json() {
        output::json(&overview.json())?;
    } else {
        overview.print()?;
    }
    Ok(Exit::Ok)
}
