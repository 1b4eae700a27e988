//! Who stands behind an alias, and the key that seals what is said of them.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clawexchange_database::{Database, Statements, Tx};
use clawexchange_ssg_core::{ActorType, AgentId, AuditEvent, DataKey, KeyId, KeyProvider, Mac};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Map, Value};

use crate::error::AuditError;
use crate::store::Together;

const SUBJECT_MAC: &[u8] = b"claw/subject/v1";
const SUBJECT_KEY: &[u8] = b"claw/subject-key/v1/";

/// Rows asked for in one statement: SQLite takes 32,766 parameters, and one page needs far fewer.
const ASK_MAX: usize = 500;

/// A row of `audit_subjects`.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) id: String,
    pub(crate) alias: String,
    pub(crate) key: KeyId,
    pub(crate) wrapped: Vec<u8>,
    pub(crate) mac: String,
}

/// Subjects by how they are named in the table.
pub(crate) type Subjects = HashMap<String, Arc<Subject>>;

/// The names of subjects, each written over the one before: a batch asks for thousands.
#[derive(Default)]
pub(crate) struct Name(String);

impl Name {
    /// How an actor is named in the table: sort and id, so that an agent and an owner of one name stay two.
    pub(crate) fn of_actor(&mut self, event: &AuditEvent) -> &str {
        self.of(event.actor().kind.as_str(), event.actor().id.as_str())
    }

    /// How the owner is, if there is one.
    pub(crate) fn of_owner(&mut self, event: &AuditEvent) -> Option<&str> {
        event.owner().map(|owner| self.of("owner", owner.as_str()))
    }

    fn of(&mut self, sort: &str, id: &str) -> &str {
        self.0.clear();
        for part in [sort, ":", id] {
            self.0.push_str(part);
        }
        &self.0
    }
}

/// How an agent is named in the table.
pub(crate) fn agent_subject(id: &str) -> String {
    format!("{}:{id}", ActorType::Agent)
}

/// How an owner is named in the table.
pub(crate) fn owner_subject(id: &str) -> String {
    format!("owner:{id}")
}

/// Names the subjects that the leaf of an event needs: agents and owners always, others if something is sealed.
fn each_needed(groups: &[Together], mut named: impl FnMut(&str)) {
    let mut name = Name::default();
    for event in groups.iter().flat_map(|group| &group.events) {
        if event.actor().kind == ActorType::Agent || !event.personal().is_empty() {
            named(name.of_actor(event));
        }
        if let Some(owner) = name.of_owner(event) {
            named(owner);
        }
    }
}

/// Finds the subjects of `events`, and makes rows for those that have none.
pub(crate) async fn put(
    tx: &Tx,
    keys: &dyn KeyProvider,
    groups: &[Together],
) -> Result<Subjects, AuditError> {
    let mut needed = HashSet::new();
    each_needed(groups, |name| {
        if !needed.contains(name) {
            needed.insert(name.to_owned());
        }
    });
    ensure(tx, keys, needed.into_iter().collect()).await
}

/// The alias of one agent.
pub(crate) async fn alias(tx: &Tx, keys: &dyn KeyProvider, agent: &AgentId) -> Result<String, AuditError> {
    let known = ensure(tx, keys, vec![agent_subject(agent.as_str())]).await?;
    known.into_values().next().map(|subject| subject.alias.clone()).ok_or(AuditError::Leaf)
}

/// Aliases that were looked up and are remembered, for PostgreSQL, where looking is a round trip. An alias that is erased
/// meanwhile is not used: the database counts erasures, and refuses a batch whose writer knows another count.
#[derive(Debug, Default)]
pub(crate) struct Known(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    /// How many erasures there had been before the first of them was looked up.
    erased: Option<i64>,
    subjects: Subjects,
}

/// Aliases remembered at most; some 300 bytes each.
const KNOWN_MAX: usize = 20_000;

impl Known {
    /// The subjects that a batch needs, and the count of erasures that they go with. Those that have no row yet get one.
    pub(crate) async fn of(
        &self,
        db: &Database,
        keys: &dyn KeyProvider,
        batch: &Together,
    ) -> Result<(Subjects, i64), AuditError> {
        let (mut subjects, erased, missing) = self.look(batch);
        let erased = match erased {
            Some(erased) => erased,
            // Counted before anything is looked up, so that an erasure in between is noticed.
            None => count_erased(db).await?,
        };
        if !missing.is_empty() {
            let tx = db.begin().await?;
            let made = ensure(&tx, keys, missing).await?;
            tx.commit().await?;
            self.remember(erased, &made);
            subjects.extend(made);
        }
        Ok((subjects, erased))
    }

    /// Forgets all of them.
    pub(crate) fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Remembered::default();
    }

    fn look(&self, batch: &Together) -> (Subjects, Option<i64>, Vec<String>) {
        let remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut found, mut missing) = (Subjects::new(), HashSet::new());
        each_needed(std::slice::from_ref(batch), |name| {
            if found.contains_key(name) || missing.contains(name) {
                return;
            }
            match remembered.subjects.get(name) {
                Some(subject) => drop(found.insert(name.to_owned(), Arc::clone(subject))),
                None => drop(missing.insert(name.to_owned())),
            }
        });
        (found, remembered.erased, missing.into_iter().collect())
    }

    fn remember(&self, erased: i64, made: &Subjects) {
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if *remembered.erased.get_or_insert(erased) != erased {
            return;
        }
        if remembered.subjects.len() + made.len() > KNOWN_MAX {
            remembered.subjects.clear();
        }
        let made = made.iter().take(KNOWN_MAX).map(|(id, subject)| (id.clone(), Arc::clone(subject)));
        remembered.subjects.extend(made);
    }
}

async fn count_erased(db: &Database) -> Result<i64, AuditError> {
    let row = db.read().row("SELECT audit_erased() AS erased", []).await?;
    Ok(row.map(|row| row.get("erased")).transpose()?.unwrap_or_default())
}

async fn ensure(tx: &Tx, keys: &dyn KeyProvider, mut needed: Vec<String>) -> Result<Subjects, AuditError> {
    let named = |subjects: Vec<Subject>| subjects.into_iter().map(|s| (s.id.clone(), Arc::new(s)));
    let mut known: Subjects = named(find(tx, "subject_id", &needed).await?).collect();
    let mut overtaken = Vec::new();
    // In the order of their names, so that two transactions that make the same ones wait for each other in one
    // direction.
    needed.sort_unstable();
    for id in needed {
        if let Entry::Vacant(vacant) = known.entry(id) {
            let subject = make(keys, vacant.key()).await?;
            let sql = "INSERT INTO audit_subjects (subject_id, ref, key_id, wrapped_key, mac) \
                       VALUES ($1, $2, $3, $4, $5) ON CONFLICT (subject_id) DO NOTHING";
            let values = [
                subject.id.clone().into(),
                subject.alias.clone().into(),
                subject.key.as_str().into(),
                subject.wrapped.clone().into(),
                subject.mac.clone().into(),
            ];
            if tx.execute(sql, values).await? == 1 {
                vacant.insert(Arc::new(subject));
            } else {
                overtaken.push(subject.id);
            }
        }
    }
    // Whoever was quicker has committed: there is one row, and it is not ours.
    known.extend(named(find(tx, "subject_id", &overtaken).await?));
    Ok(known)
}

async fn make(keys: &dyn KeyProvider, id: &str) -> Result<Subject, AuditError> {
    let (mut alias, mut data_key) = ([0; 16], [0; 32]);
    random(&mut alias)?;
    random(&mut data_key)?;
    let alias = alias.iter().fold(String::new(), |hex, b| hex + &format!("{b:02x}"));
    let key = keys.active();
    let wrapped =
        keys.wrap(&key, &key_context(&alias), &DataKey::new(data_key)).await.map_err(AuditError::Key)?;
    let mac = keys.mac(&key, SUBJECT_MAC, &mac_message(id, &alias)).await.map_err(AuditError::Key)?;
    Ok(Subject { id: id.to_owned(), alias, key, wrapped, mac: mac.to_string() })
}

fn random(bytes: &mut [u8]) -> Result<(), AuditError> {
    SystemRandom::new().fill(bytes).ok().ok_or(AuditError::Seal)
}

fn key_context(alias: &str) -> Vec<u8> {
    [SUBJECT_KEY, alias.as_bytes()].concat()
}

fn mac_message(id: &str, alias: &str) -> Vec<u8> {
    [&(id.len() as u64).to_be_bytes(), id.as_bytes(), alias.as_bytes()].concat()
}

/// The rows whose `column` (`subject_id` or `ref`) is one of `wanted`.
pub(crate) async fn find(
    on: &impl Statements,
    column: &'static str,
    wanted: &[String],
) -> Result<Vec<Subject>, AuditError> {
    let mut found = Vec::new();
    for some in wanted.chunks(ASK_MAX) {
        let (is_any, values) = on.dialect().is_any_of(1, some);
        let sql = format!(
            "SELECT subject_id, ref, key_id, wrapped_key, mac FROM audit_subjects WHERE {column} {is_any}"
        );
        for row in on.rows(&sql, values).await? {
            found.push(subject(&row)?);
        }
    }
    Ok(found)
}

/// Some rows after `after`, in the order of their names.
pub(crate) async fn page(db: &Database, after: &str, at_most: u32) -> Result<Vec<Subject>, AuditError> {
    let sql = "SELECT subject_id, ref, key_id, wrapped_key, mac FROM audit_subjects \
               WHERE subject_id > $1 ORDER BY subject_id LIMIT $2";
    let rows = db.read().rows(sql, [after.into(), i64::from(at_most).into()]).await?;
    rows.iter().map(subject).collect()
}

fn subject(row: &clawexchange_database::Row) -> Result<Subject, AuditError> {
    Ok(Subject {
        id: row.get("subject_id")?,
        alias: row.get("ref")?,
        key: row.get_parsed("key_id")?,
        wrapped: row.get("wrapped_key")?,
        mac: row.get("mac")?,
    })
}

/// Whether a row is as it was written: its code fits and its key opens. `Err` if a key is not here.
pub(crate) async fn is_genuine(keys: &dyn KeyProvider, subject: &Subject) -> Result<bool, AuditError> {
    let Ok(mac) = subject.mac.parse::<Mac>() else { return Ok(false) };
    let message = mac_message(&subject.id, &subject.alias);
    let wanted = match keys.mac(&mac.key, SUBJECT_MAC, &message).await {
        Ok(wanted) => wanted,
        Err(e) if is_altered(&e) => return Ok(false),
        Err(e) => return Err(AuditError::Key(e)),
    };
    if subtle::ConstantTimeEq::ct_eq(&wanted.tag[..], &mac.tag[..]).unwrap_u8() != 1 {
        return Ok(false);
    }
    match keys.unwrap(&subject.key, &key_context(&subject.alias), &subject.wrapped).await {
        Ok(_) => Ok(true),
        Err(e) if is_altered(&e) => Ok(false),
        Err(e) => Err(AuditError::Key(e)),
    }
}

/// A key id that names no key of ours is an alteration of the row as much as a bent byte is.
pub(crate) fn is_altered(error: &clawexchange_ssg_core::PortError) -> bool {
    use clawexchange_ssg_core::FaultKind::{Configuration, Integrity};
    matches!(error.kind(), Integrity | Configuration)
}

/// Seals the personal texts of an event under the key of its actor.
pub(crate) async fn seal(
    keys: &dyn KeyProvider,
    subject: &Subject,
    event: &AuditEvent,
) -> Result<Map<String, Value>, AuditError> {
    let key = opened(keys, subject).await?;
    let mut sealed = Map::new();
    for (name, text) in event.personal() {
        let mut nonce = [0; NONCE_LEN];
        random(&mut nonce)?;
        let mut bytes = text.clone().into_bytes();
        let aad = Aad::from(aad(&event.id().to_string(), name));
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut bytes)
            .ok()
            .ok_or(AuditError::Seal)?;
        sealed.insert(name.clone(), STANDARD.encode([&nonce[..], &bytes].concat()).into());
    }
    Ok(sealed)
}

/// Opens the sealed texts of a leaf; those that do not open are left out.
pub(crate) async fn open(
    keys: &dyn KeyProvider,
    subject: &Subject,
    event_id: &str,
    sealed: &Map<String, Value>,
) -> Result<BTreeMap<String, String>, AuditError> {
    let key = opened(keys, subject).await?;
    let mut texts = BTreeMap::new();
    for (name, value) in sealed {
        let decoded = value.as_str().and_then(|text| STANDARD.decode(text).ok());
        let text = decoded.and_then(|bytes| {
            let (nonce, bytes) = bytes.split_at_checked(NONCE_LEN)?;
            let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
            let mut bytes = bytes.to_vec();
            let plain = key.open_in_place(nonce, Aad::from(aad(event_id, name)), &mut bytes).ok()?;
            String::from_utf8(plain.to_vec()).ok()
        });
        if let Some(text) = text {
            texts.insert(name.clone(), text);
        }
    }
    Ok(texts)
}

async fn opened(keys: &dyn KeyProvider, subject: &Subject) -> Result<LessSafeKey, AuditError> {
    let key = keys
        .unwrap(&subject.key, &key_context(&subject.alias), &subject.wrapped)
        .await
        .map_err(AuditError::Key)?;
    let unbound = UnboundKey::new(&AES_256_GCM, key.expose()).ok().ok_or(AuditError::Seal)?;
    Ok(LessSafeKey::new(unbound))
}

fn aad(event_id: &str, name: &str) -> Vec<u8> {
    [event_id.as_bytes(), &[0], name.as_bytes()].concat()
}
