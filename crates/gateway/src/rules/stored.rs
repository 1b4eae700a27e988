//! Rules as they are kept in the database: which packs judge, and what is allowed all the same.
//!
//! Each change is a row and a `RULES_CHANGED` event that fixes it, in one transaction, so that whoever compares rows and
//! log finds a change behind the log's back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use clawexchange_database::rules::{self, Activation, Allowance, Allowed, Revision, Signed};
use clawexchange_database::{Database, STATE, STATE_CONTEXT, StateRow, Statements, Tx, outbox};
use clawexchange_detectors::{AllowKey, AllowList, AllowedHost, AllowedValue, Host, OwnPacks, PackText};
use clawexchange_ssg_core::{
    Actor, AuditEvent, Clock, EventId, EventKind, KeyId, KeyProvider, Target, Timestamp,
};

use super::error::RulesError;
use super::signed::Trust;

/// Most allowances that hold at once: more are a rule that is wrong.
pub const ALLOWANCES_MAX: usize = 1000;
/// How long an allowance may hold: what is right for longer than a year is a rule.
pub const ALLOWANCE_DAYS_MAX: u64 = 366;
/// Longest value, which is the longest match of a rule.
pub const ALLOWED_BYTES_MAX: usize = 9 << 10;
/// How far back it is looked for a signature.
const HISTORY_MAX: u32 = 1000;
/// Longest owner: a name or an address.
pub const OWNER_CHARS_MAX: usize = 128;
/// Longest reason: a sentence or two, as the log keeps it.
pub const REASON_CHARS_MAX: usize = 500;

/// What codes of allowed values hang on.
const CODE_CONTEXT: &[u8] = b"claw/rules/allow/v1";

/// Rules in a database. Cheap to clone.
#[derive(Clone, Debug)]
pub struct StoredRules {
    db: Database,
    keys: Arc<dyn KeyProvider>,
    clock: Arc<dyn Clock>,
    trust: Trust,
}

/// Everything that is kept, as it was at one revision.
#[derive(Debug)]
#[non_exhaustive]
pub struct Kept {
    /// The revision.
    pub revision: Revision,
    /// What is active; `None` while nothing was ever activated.
    pub activation: Option<Activation>,
    /// The packs that are active, or why they cannot be used.
    pub own: Result<OwnPacks, RulesError>,
    /// What is allowed.
    pub allowed: AllowList,
    /// When the next allowance ends.
    pub until: Option<Timestamp>,
}

/// What may be posted all the same.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "a value or a host")]
pub enum AllowWhat {
    /// A value, as a finding of one rule or of any.
    Value {
        /// The value.
        value: String,
        /// The rule.
        rule: Option<String>,
    },
    /// A host that commands may name.
    Host(Host),
}

impl StoredRules {
    /// The rules in `db`; `keys` make the codes of rows and of allowed values.
    pub fn new(db: Database, keys: impl KeyProvider, clock: impl Clock) -> Self {
        Self { db, keys: Arc::new(keys), clock: Arc::new(clock), trust: Trust::default() }
    }

    /// The same rules, of which only those judge whose signature counts.
    #[must_use]
    pub fn trusting(mut self, trust: Trust) -> Self {
        self.trust = trust;
        self
    }

    /// Whose signatures count.
    pub const fn trust(&self) -> &Trust {
        &self.trust
    }

    /// Which change was the last.
    pub async fn revision(&self) -> Result<Revision, RulesError> {
        Ok(rules::revision(&self.db.read()).await?)
    }

    /// Everything that is kept, checked: packs that are missing, are not what their hash says, or cannot be used, are told
    /// apart from a database that does not answer.
    pub async fn load(&self) -> Result<Kept, RulesError> {
        // Asked first: what changes while the rest is read is seen by the next look.
        let revision = self.revision().await?;
        let activation = rules::active(&self.db.read()).await?;
        let own = match &activation {
            Some(active) => match self.packs_of(active).await {
                Err(error) if !error.is_refusal() => return Err(error),
                read => read,
            },
            None => Ok(OwnPacks::default()),
        };
        let now = self.clock.now();
        let most = u32::try_from(ALLOWANCES_MAX).unwrap_or(u32::MAX);
        let allowances = rules::allowances(&self.db.read(), now, most).await?;
        let until = allowances.iter().map(|allowance| allowance.expires).min();
        let allowed = self.allow_list(allowances).await?;
        Ok(Kept { revision, activation, own, allowed, until })
    }

    async fn packs_of(&self, active: &Activation) -> Result<OwnPacks, RulesError> {
        self.trust.check(active)?;
        match &active.hash {
            Some(hash) => self.packs(hash).await,
            None => Ok(OwnPacks::default()),
        }
    }

    /// The signature that stored packs were last activated with.
    pub async fn note_of(&self, hash: &str) -> Result<Option<String>, RulesError> {
        let all = self.history(HISTORY_MAX).await?.into_iter();
        let mut notes = all.filter(|a| a.hash.as_deref() == Some(hash)).filter_map(|a| a.signed);
        Ok(notes.next().map(|signed| signed.note))
    }

    /// Stored packs by their hash.
    pub async fn packs(&self, hash: &str) -> Result<OwnPacks, RulesError> {
        let altered = |what| RulesError::Altered { hash: hash.to_owned(), what };
        let content = rules::bundle(&self.db.read(), hash).await?.ok_or_else(|| altered("are missing"))?;
        let texts: Vec<PackText> =
            serde_json::from_slice(&content).ok().ok_or_else(|| altered("do not parse"))?;
        // Expressions are made, which takes a while.
        let read = tokio::task::spawn_blocking(move || OwnPacks::read(texts)).await;
        let own = read.ok().ok_or(RulesError::Stopped)??;
        if own.hash() == hash { Ok(own) } else { Err(altered("are not what their hash says")) }
    }

    /// The one hash of stored packs that begins so.
    pub async fn hash_like(&self, prefix: &str) -> Result<String, RulesError> {
        let found = rules::bundles_like(&self.db.read(), prefix).await?;
        match <[String; 1]>::try_from(found) {
            Ok([hash]) => Ok(hash),
            Err(found) if found.is_empty() => Err(RulesError::NoBundle { hash: prefix.to_owned() }),
            Err(_) => Err(RulesError::Ambiguous { prefix: prefix.to_owned() }),
        }
    }

    /// Activations, the last first.
    pub async fn history(&self, at_most: u32) -> Result<Vec<Activation>, RulesError> {
        Ok(rules::activations(&self.db.read(), at_most).await?)
    }

    /// Makes packs judge, in a transaction of the caller, and writes the event. None are the rules that ship, alone. `note`
    /// is their signature.
    ///
    /// `None`: they are active already, and nothing was written.
    ///
    /// # Errors
    ///
    /// What [`Trust::signed`] refuses, and packs that are older than those that are active.
    pub async fn activate(
        &self,
        tx: &Tx,
        by: &Actor,
        own: &OwnPacks,
        note: Option<&str>,
    ) -> Result<Option<Activation>, RulesError> {
        let signed = self.trust.signed(own, note, self.clock.now())?;
        rules::lock(tx).await?;
        let active = rules::active(tx).await?;
        let hash = (!own.is_empty()).then(|| own.hash().to_owned());
        let is_same = |active: &Activation| active.hash == hash && active.signed == signed;
        if active.as_ref().map_or_else(|| hash.is_none(), is_same) {
            return Ok(None);
        }
        let before = active.as_ref().and_then(|a| a.signed.as_ref().map(|s| (s.serial, a.hash == hash)));
        if let (Some(signed), Some((serial, are_same))) = (&signed, before)
            && (signed.serial < serial || signed.serial == serial && !are_same)
        {
            return Err(RulesError::Serial { given: signed.serial, active: serial });
        }
        if let Some(hash) = &hash {
            let content = serde_json::to_vec(own.texts()).ok().ok_or(RulesError::Stopped)?;
            rules::put_bundle(tx, hash, &content, own.rules()).await?;
        }
        let number = active.as_ref().map_or(1, |a| a.number + 1);
        let made = Activation::new(number, hash, number, signed, said(by), self.clock.now());
        self.put(tx, by, active.as_ref(), &made, "activated").await?;
        Ok(Some(made))
    }

    /// Goes back to what was active before, in a transaction of the caller, and writes the event. Done again, it goes back
    /// further.
    pub async fn roll_back(&self, tx: &Tx, by: &Actor) -> Result<Activation, RulesError> {
        rules::lock(tx).await?;
        let active = rules::active(tx).await?.ok_or(RulesError::NothingBefore)?;
        let (hash, restores, signed) = before(tx, &active).await?;
        if self.trust.is_required && hash.is_some() {
            let now = self.clock.now();
            let signed = signed.as_ref().ok_or(RulesError::Untrusted { what: "are not signed" })?;
            if signed.not_after <= now {
                return Err(RulesError::Expired { at: signed.not_after });
            }
        }
        let made = Activation::new(active.number + 1, hash, restores, signed, said(by), self.clock.now());
        self.put(tx, by, Some(&active), &made, "rolled-back").await?;
        Ok(made)
    }

    /// The hash of the packs that going back would bring, `None` for the rules that ship alone.
    pub async fn before_active(&self) -> Result<Option<String>, RulesError> {
        let active = rules::active(&self.db.read()).await?.ok_or(RulesError::NothingBefore)?;
        Ok(before(&self.db.read(), &active).await?.0)
    }

    async fn put(
        &self,
        tx: &Tx,
        by: &Actor,
        before: Option<&Activation>,
        made: &Activation,
        how: &'static str,
    ) -> Result<(), RulesError> {
        rules::put_activation(tx, made).await?;
        let event = AuditEvent::new(EventKind::RulesChanged, by.clone(), made.at)
            .on(Target::new(rules::ACTIVATION_TARGET, made.number))
            .with("how", how)?
            .with_some("hash", made.hash.clone())?
            .with_some("hashBefore", before.and_then(|b| b.hash.clone()))?
            .with_some("serial", made.signed.as_ref().map(|s| s.serial))?
            .with(STATE, self.state_code(&made.state()).await?)?;
        outbox::put(tx, &event).await?;
        Ok(())
    }

    /// What is allowed now, the next to end first.
    pub async fn allowances(&self) -> Result<Vec<Allowance>, RulesError> {
        let most = u32::try_from(ALLOWANCES_MAX).unwrap_or(u32::MAX);
        Ok(rules::allowances(&self.db.read(), self.clock.now(), most).await?)
    }

    /// Allows a value or a host until a moment, in a transaction of the caller, and writes the event. The value itself is
    /// kept nowhere.
    #[expect(
        clippy::too_many_arguments,
        reason = "each has a type or a meaning of its own, and all are the change"
    )]
    pub async fn allow(
        &self,
        tx: &Tx,
        by: &Actor,
        what: &AllowWhat,
        owner: &str,
        reason: &str,
        until: Timestamp,
    ) -> Result<Allowance, RulesError> {
        let now = self.clock.now();
        hold_bounds(now, what, owner, reason, until)?;
        rules::lock(tx).await?;
        if rules::allowances(tx, now, u32::try_from(ALLOWANCES_MAX).unwrap_or(u32::MAX)).await?.len()
            >= ALLOWANCES_MAX
        {
            return Err(RulesError::AllowancesFull { max: ALLOWANCES_MAX });
        }
        let key = self.keys.active();
        let codes = self.allow_key(&key).await?;
        let (kind, rule, fingerprint) = match what {
            AllowWhat::Value { value, rule } => (Allowed::Value, rule.clone(), codes.value(value)),
            AllowWhat::Host(host) => {
                let code =
                    codes.host(host).ok_or_else(|| RulesError::HostPattern { host: host.to_string() })?;
                (Allowed::Host, None, code)
            }
        };
        let made = Allowance {
            id: EventId::fresh().to_string(),
            kind,
            rule,
            key,
            fingerprint,
            owner: owner.to_owned(),
            reason: reason.to_owned(),
            by: said(by),
            created: now,
            expires: until,
            ended: None,
            version: 1,
        };
        rules::put_allowance(tx, &made).await?;
        self.tell(tx, by, &made, "allowed").await?;
        Ok(made)
    }

    /// Takes an allowance back, in a transaction of the caller, and writes the event.
    pub async fn disallow(&self, tx: &Tx, by: &Actor, id: &str) -> Result<Allowance, RulesError> {
        rules::lock(tx).await?;
        let none = || RulesError::NoAllowance { id: id.chars().take(64).collect() };
        let ended = rules::end_allowance(tx, id, self.clock.now()).await?.ok_or_else(none)?;
        self.tell(tx, by, &ended, "taken-back").await?;
        Ok(ended)
    }

    async fn tell(&self, tx: &Tx, by: &Actor, of: &Allowance, how: &'static str) -> Result<(), RulesError> {
        let event = AuditEvent::new(EventKind::RulesChanged, by.clone(), self.clock.now())
            .on(Target::new(rules::ALLOWANCE_TARGET, &of.id))
            .with("how", how)?
            .with("kind", of.kind.as_str())?
            .with_some("rule", of.rule.clone())?
            .with("until", of.expires.to_string())?
            .with_personal("owner", &of.owner)?
            .with_personal("reason", &of.reason)?
            .with(STATE, self.state_code(&of.state()).await?)?;
        outbox::put(tx, &event).await?;
        Ok(())
    }

    /// All rows that their last event fixes, and what it fixes.
    pub async fn state_rows(&self) -> Result<Vec<StateRow>, RulesError> {
        const PAGE: u32 = 1000;
        let read = self.db.read();
        let activations = rules::activations(&read, u32::MAX).await?;
        let mut rows: Vec<StateRow> = activations
            .iter()
            .map(|a| {
                let target = Target::new(rules::ACTIVATION_TARGET, a.number);
                StateRow::new("database_rule_activations", target, a.state())
            })
            .collect();
        let mut after = String::new();
        loop {
            let page = rules::every_allowance(&read, &after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(rows) };
            after.clone_from(&last.id);
            rows.extend(page.iter().map(|a| {
                let target = Target::new(rules::ALLOWANCE_TARGET, &a.id);
                StateRow::new("database_rule_allowances", target, a.state())
            }));
        }
    }

    async fn allow_list(&self, allowances: Vec<Allowance>) -> Result<AllowList, RulesError> {
        let mut by_key: BTreeMap<KeyId, Vec<Allowance>> = BTreeMap::new();
        for allowance in allowances {
            by_key.entry(allowance.key.clone()).or_default().push(allowance);
        }
        let mut list = AllowList::default();
        for (key, allowances) in by_key {
            let why = |a: &Allowance| format!("{}: {}", a.id, a.reason);
            let of = |kind: Allowed| allowances.iter().filter(move |a| a.kind == kind);
            let values = of(Allowed::Value).map(|a| AllowedValue::new(a.fingerprint, a.rule.clone(), why(a)));
            let hosts = of(Allowed::Host).map(|a| AllowedHost::new(a.fingerprint, why(a)));
            list = list.with(self.allow_key(&key).await?, values, hosts);
        }
        Ok(list)
    }

    /// What codes are made with under a key of the deployment.
    async fn allow_key(&self, key: &KeyId) -> Result<AllowKey, RulesError> {
        let mac = self.keys.mac(key, CODE_CONTEXT, b"codes").await.map_err(RulesError::Key)?;
        Ok(AllowKey::new(mac.tag))
    }

    async fn state_code(&self, state: &[u8]) -> Result<String, RulesError> {
        let key = self.keys.active();
        let code = self.keys.mac(&key, STATE_CONTEXT, state).await.map_err(RulesError::Key)?;
        Ok(code.to_string())
    }
}

/// What was active before: packs, the number of their activation, and what was signed of them.
async fn before(
    on: &impl Statements,
    active: &Activation,
) -> Result<(Option<String>, i64, Option<Signed>), RulesError> {
    if active.restores == 0 {
        return Err(RulesError::NothingBefore);
    }
    let before = rules::made_before(on, active.restores).await?;
    Ok(before.map_or((None, 0, None), |b| (b.hash, b.number, b.signed)))
}

fn said(by: &Actor) -> String {
    format!("{}:{}", by.kind, by.id)
}

fn hold_bounds(
    now: Timestamp,
    what: &AllowWhat,
    owner: &str,
    reason: &str,
    until: Timestamp,
) -> Result<(), RulesError> {
    for (what, text, max) in [("owner", owner, OWNER_CHARS_MAX), ("reason", reason, REASON_CHARS_MAX)] {
        let fits = (1..=max).contains(&text.chars().count());
        if !fits || text.trim().is_empty() || text.contains(char::is_control) {
            return Err(RulesError::AllowanceText { what, max });
        }
    }
    let latest = now.plus(Duration::from_hours(24 * ALLOWANCE_DAYS_MAX));
    if until <= now || until > latest {
        return Err(RulesError::AllowanceTime { days: ALLOWANCE_DAYS_MAX });
    }
    match what {
        AllowWhat::Value { value, .. } if value.is_empty() || value.len() > ALLOWED_BYTES_MAX => {
            Err(RulesError::AllowanceValue { max: ALLOWED_BYTES_MAX })
        }
        _ => Ok(()),
    }
}
