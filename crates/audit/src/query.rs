//! Rows out, by key: newest first for people, oldest first for followers.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use clawexchange_database::{Row, Statements as _, Value};
use clawexchange_ssg_core::{ActorType, Cursor, EventId, EventKind, KeyId, Page, PageLimit, Timestamp};
use serde::Serialize;

use crate::error::AuditError;
use crate::leaf::Log;
use crate::log::AuditLog;
use crate::pin::hex;
use crate::subjects::{self, Subject};

/// Which events are wanted. What is not set does not matter.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Query {
    /// In which log.
    pub log: Option<Log>,
    /// Of one of these types; of any if empty.
    pub kinds: Vec<EventKind>,
    /// By this actor: an agent's or owner's own id, or another actor's.
    pub actor: Option<String>,
    /// By this sort of actor.
    pub actor_type: Option<ActorType>,
    /// About the thing of this id; an agent's own id finds what was done to it.
    pub target: Option<String>,
    /// About this sort of thing.
    pub target_type: Option<String>,
    /// At or after this moment.
    pub since: Option<Timestamp>,
    /// At or before this moment.
    pub until: Option<Timestamp>,
    /// Whether a copy of the database that is a while behind may be asked. No, unless set.
    pub may_be_behind: bool,
}

/// One event of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Entry {
    /// Its id.
    pub id: String,
    /// The log that it is in.
    pub log: &'static str,
    /// Its place there, from 0.
    pub index: u64,
    /// What happened.
    pub event_type: String,
    /// Who did it; `erased:<alias>` if the subject was erased.
    pub actor_id: String,
    /// What sort of actor that is.
    pub actor_type: String,
    /// To what it was done.
    pub target_id: Option<String>,
    /// What sort of thing that is.
    pub target_type: Option<String>,
    /// From which network.
    pub ip_address: Option<String>,
    /// The details; sealed texts are opened while their key exists.
    pub metadata: serde_json::Map<String, serde_json::Value>,
    /// When.
    pub created_at: Timestamp,
}

/// The end of a log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct LogHead {
    /// The log.
    pub log: &'static str,
    /// Which log of which deployment it is.
    pub origin: String,
    /// How many events it has.
    pub size: u64,
    /// The hash of its last batch, which covers all before, in lower-case hex.
    pub head_hash: String,
}

const COLUMNS: &str = "l.log, l.batch_id, l.ord, b.start_index, l.leaf, l.id, l.event_type, l.actor_type, l.actor_id, \
                       l.target_type, l.target_id, l.ip_address, l.created_us \
                       FROM audit_logs l JOIN audit_batches b ON b.log = l.log AND b.batch_id = l.batch_id \
                       AND b.month = l.month";

impl AuditLog {
    /// A page of events, newest first: by time, then log, then index, all descending.
    pub async fn query(
        &self,
        query: &Query,
        after: Option<&Cursor>,
        limit: PageLimit,
    ) -> Result<Page<Entry>, AuditError> {
        let mut sql = Conditions::default();
        self.select(query, &mut sql).await?;
        if let Some(cursor) = after {
            let (us, log, batch, ord) = parse_cursor(cursor).ok_or(AuditError::Cursor)?;
            let (us, log, batch, ord) = (sql.put(us), sql.put(log), sql.put(batch), sql.put(ord));
            sql.wanted
                .push(format!("(l.created_us, l.log, l.batch_id, l.ord) < ({us}, {log}, {batch}, {ord})"));
        }
        let most = usize::from(limit.get());
        let text = sql.newest(most + 1);
        let on = if query.may_be_behind { self.0.db.replica() } else { self.0.db.read() };
        let mut rows = on.rows(&text, sql.values).await?;
        let more = rows.len() > most;
        rows.truncate(most);
        let next = match rows.last() {
            Some(last) if more => Some(cursor_of(last)?),
            _ => None,
        };
        Ok(Page::new(self.entries(&rows).await?, next))
    }

    /// Up to `at_most` events of a log from `index` on, oldest first: what followers read.
    pub async fn read_from(&self, log: Log, index: u64, at_most: u16) -> Result<Vec<Entry>, AuditError> {
        let index = i64::try_from(index).ok().ok_or(AuditError::Cursor)?;
        let sql = format!(
            "SELECT {COLUMNS} WHERE l.log = $1 AND b.start_index + l.ord >= $2 AND b.start_index >= COALESCE(\
             (SELECT MAX(start_index) FROM audit_batches WHERE log = $1 AND start_index <= $2), 0) \
             ORDER BY b.start_index, l.ord LIMIT $3"
        );
        let values = [log.as_str().into(), index.into(), i64::from(at_most).into()];
        let rows = self.0.db.read().rows(&sql, values).await?;
        self.entries(&rows).await
    }

    /// The event of an id, in whichever log it is.
    pub async fn find(&self, id: EventId) -> Result<Option<Entry>, AuditError> {
        let sql = format!("SELECT {COLUMNS} WHERE l.id = $1 LIMIT 1");
        let rows = self.0.db.read().rows(&sql, [id.to_string().into()]).await?;
        Ok(self.entries(&rows).await?.into_iter().next())
    }

    /// The end of a log: what it comes to, to be kept elsewhere and compared later.
    pub async fn head(&self, log: Log) -> Result<LogHead, AuditError> {
        let head = crate::store::head(&self.0.db.read(), log).await?;
        let head = head.ok_or(AuditError::Head { log: log.as_str() })?;
        Ok(LogHead { log: log.as_str(), origin: head.origin, size: head.size, head_hash: hex(&head.hash) })
    }

    /// How many events a log has.
    pub async fn size(&self, log: Log) -> Result<u64, AuditError> {
        let head = crate::store::head(&self.0.db.read(), log).await?;
        Ok(head.ok_or(AuditError::Head { log: log.as_str() })?.size)
    }

    /// How many rows of each table of the log need a key: their keys are wrapped by it, their codes or signatures made
    /// with it.
    pub async fn rows_by_key(&self, key: &KeyId) -> Result<Vec<(&'static str, u64)>, AuditError> {
        let prefix = format!("{key}:");
        let subjects = format!("key_id = $1 OR substr(mac, 1, {}) = $2", prefix.len());
        let (mut rows, read) = (Vec::new(), self.0.db.read());
        for (table, condition) in
            [("audit_subjects", subjects.as_str()), ("audit_checkpoints", "key_id IN ($1, $2)")]
        {
            let sql = format!("SELECT COUNT(*) AS n FROM {table} WHERE {condition}");
            let row = read.row(&sql, [key.as_str().into(), prefix.as_str().into()]).await?;
            rows.push((table, row.map_or(Ok(0), |row| row.get_u64("n"))?));
        }
        Ok(rows)
    }

    async fn select(&self, query: &Query, sql: &mut Conditions) -> Result<(), AuditError> {
        if let Some(log) = query.log {
            sql.equal("l.log", log.as_str());
        }
        if !query.kinds.is_empty() {
            let kinds: Vec<String> = query.kinds.iter().map(|kind| sql.put(kind.as_str())).collect();
            sql.wanted.push(format!("l.event_type IN ({})", kinds.join(", ")));
        }
        if let Some(actor) = &query.actor {
            // An agent stands under its alias; whoever asks knows only its id.
            let names = [subjects::agent_subject(actor), subjects::owner_subject(actor)];
            let known = subjects::find(&self.0.db.read(), "subject_id", &names).await?;
            let mut ids: Vec<String> = known.into_iter().map(|s| s.alias).collect();
            ids.push(actor.clone());
            ids.extend(actor.strip_prefix("erased:").map(ToOwned::to_owned));
            sql.one_of("l.actor_id", ids);
        }
        if let Some(kind) = query.actor_type {
            sql.equal("l.actor_type", kind.as_str());
        }
        if let Some(target) = &query.target {
            let names = [subjects::agent_subject(target)];
            let known = subjects::find(&self.0.db.read(), "subject_id", &names).await?;
            let ids = known.into_iter().map(|s| s.alias).chain([target.clone()]).collect();
            sql.one_of("l.target_id", ids);
        }
        if let Some(kind) = &query.target_type {
            sql.equal("l.target_type", kind.clone());
        }
        if let Some(since) = query.since {
            let mark = sql.put(since.as_micros());
            sql.wanted.push(format!("l.created_us >= {mark}"));
        }
        if let Some(until) = query.until {
            let mark = sql.put(until.as_micros());
            sql.wanted.push(format!("l.created_us <= {mark}"));
        }
        Ok(())
    }

    async fn entries(&self, rows: &[Row]) -> Result<Vec<Entry>, AuditError> {
        let mut entries = Vec::with_capacity(rows.len());
        for row in rows {
            entries.push(entry(row)?);
        }
        let aliases: BTreeSet<String> = entries.iter().flat_map(aliases_of).collect();
        let aliases: Vec<String> = aliases.into_iter().collect();
        let mut known: HashMap<String, Subject> = HashMap::new();
        for subject in subjects::find(&self.0.db.read(), "ref", &aliases).await? {
            known.insert(subject.alias.clone(), subject);
        }
        self.name(&mut entries, &known).await?;
        Ok(entries)
    }

    /// Puts names for aliases and opens what is sealed.
    async fn name(&self, entries: &mut [Entry], known: &HashMap<String, Subject>) -> Result<(), AuditError> {
        let named = |alias: &str| match known.get(alias) {
            Some(subject) => subject.id.split_once(':').map_or(subject.id.as_str(), |(_, id)| id).to_owned(),
            None => format!("erased:{alias}"),
        };
        for entry in entries {
            let sealed = match entry.metadata.remove("sealed") {
                Some(serde_json::Value::Object(sealed)) => sealed,
                _ => serde_json::Map::new(),
            };
            if !sealed.is_empty() {
                let subject = if entry.actor_type == ActorType::Agent.as_str() {
                    known.get(&entry.actor_id).cloned()
                } else {
                    let name = format!("{}:{}", entry.actor_type, entry.actor_id);
                    subjects::find(&self.0.db.read(), "subject_id", &[name]).await?.pop()
                };
                let texts = match subject {
                    Some(subject) => subjects::open(&*self.0.keys, &subject, &entry.id, &sealed).await?,
                    None => BTreeMap::new(),
                };
                entry.metadata.extend(texts.into_iter().map(|(name, text)| (name, text.into())));
            }
            if let Some(alias) = entry.metadata.get("owner").and_then(|owner| owner.as_str()) {
                let owner = named(alias);
                entry.metadata.insert("owner".to_owned(), owner.into());
            }
            if entry.actor_type == ActorType::Agent.as_str() {
                entry.actor_id = named(&entry.actor_id);
            }
        }
        Ok(())
    }
}

fn aliases_of(entry: &Entry) -> Vec<String> {
    let agent = (entry.actor_type == ActorType::Agent.as_str()).then(|| entry.actor_id.clone());
    let owner = entry.metadata.get("owner").and_then(|owner| owner.as_str()).map(ToOwned::to_owned);
    agent.into_iter().chain(owner).collect()
}

fn entry(row: &Row) -> Result<Entry, AuditError> {
    let leaf: serde_json::Value =
        serde_json::from_slice(&row.get::<Vec<u8>>("leaf")?).ok().ok_or(AuditError::Leaf)?;
    let metadata = match leaf.get("meta") {
        Some(serde_json::Value::Object(meta)) => meta.clone(),
        _ => return Err(AuditError::Leaf),
    };
    Ok(Entry {
        id: row.get("id")?,
        log: Log::parse(&row.get::<String>("log")?).ok_or(AuditError::Leaf)?.as_str(),
        index: row.get_u64("start_index")? + row.get_u64("ord")?,
        event_type: row.get("event_type")?,
        actor_id: row.get("actor_id")?,
        actor_type: row.get("actor_type")?,
        target_id: row.get("target_id")?,
        target_type: row.get("target_type")?,
        ip_address: row.get("ip_address")?,
        metadata,
        created_at: Timestamp::from_micros(row.get("created_us")?),
    })
}

#[derive(Default)]
struct Conditions {
    wanted: Vec<String>,
    /// Of these one must hold, and no two do.
    either: Vec<String>,
    values: Vec<Value>,
}

impl Conditions {
    /// Adds a value and gives the mark that stands for it.
    fn put(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("${}", self.values.len())
    }

    fn equal(&mut self, column: &str, value: impl Into<Value>) {
        let mark = self.put(value);
        self.wanted.push(format!("{column} = {mark}"));
    }

    /// One of some values, which are sought for one by one if no other column is: an index has the newest rows of one
    /// value at hand, and those of two values only one after the other.
    fn one_of(&mut self, column: &str, mut values: Vec<String>) {
        values.sort_unstable();
        values.dedup();
        let marks: Vec<String> = values.into_iter().map(|value| self.put(value)).collect();
        if self.either.is_empty() {
            self.either = marks.iter().map(|mark| format!("{column} = {mark}")).collect();
        } else {
            self.wanted.push(format!("{column} IN ({})", marks.join(", ")));
        }
    }

    /// The statement for so many of the newest.
    fn newest(&self, at_most: usize) -> String {
        let order =
            format!("ORDER BY l.created_us DESC, l.log DESC, l.batch_id DESC, l.ord DESC LIMIT {at_most}");
        let select = |one: Option<&String>| {
            let wanted: Vec<&str> = self.wanted.iter().chain(one).map(String::as_str).collect();
            let clause = if wanted.is_empty() { "" } else { "WHERE" };
            format!("SELECT {COLUMNS} {clause} {} {order}", wanted.join(" AND "))
        };
        match self.either.as_slice() {
            [] | [_] => select(self.either.first()),
            several => {
                let parts = several.iter().enumerate();
                let parts = parts.map(|(n, one)| format!("SELECT * FROM ({}) AS part{n}", select(Some(one))));
                format!("SELECT * FROM ({}) AS l {order}", parts.collect::<Vec<_>>().join(" UNION ALL "))
            }
        }
    }
}

fn cursor_of(row: &Row) -> Result<Cursor, AuditError> {
    let (us, log): (i64, String) = (row.get("created_us")?, row.get("log")?);
    let (batch, ord): (i64, i64) = (row.get("batch_id")?, row.get("ord")?);
    Ok(Cursor::new(format!("{us}.{log}.{batch}.{ord}")))
}

fn parse_cursor(cursor: &Cursor) -> Option<(i64, &'static str, i64, i64)> {
    let mut parts = cursor.as_str().split('.');
    let us = parts.next()?.parse().ok()?;
    let log = Log::parse(parts.next()?)?.as_str();
    let (batch, ord) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    parts.next().is_none().then_some((us, log, batch, ord))
}
