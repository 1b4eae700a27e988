//! What is looked at in a deployment, and what is found. Nothing that is looked at is changed.

mod bucket;
mod deployment;
mod elsewhere;
mod files;
mod flow;
mod keys;
mod people;
mod postgres;
mod redis;
mod rights;
mod rows;
mod rules;

use std::pin::Pin;

use clawexchange_ssg_core::Fault;
use serde::Serialize;

pub(crate) use self::deployment::Deployment;

/// How something is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// As it should be.
    Ok,
    /// It works, and somebody should see to it.
    Warn,
    /// It does not work, or is not safe.
    Fail,
    /// There is no such thing here.
    Skip,
    /// It cannot be told from here.
    Unknown,
}

impl State {
    /// How much it matters beside others.
    const fn weight(self) -> u8 {
        match self {
            Self::Skip => 0,
            Self::Ok => 1,
            Self::Unknown => 2,
            Self::Warn => 3,
            Self::Fail => 4,
        }
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::Skip => "skip",
            Self::Unknown => "unknown",
        }
    }
}

/// What one look came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Found {
    pub(crate) state: State,
    /// What is so.
    pub(crate) text: String,
    /// What mends it: a command, or a setting.
    pub(crate) fix: Option<String>,
}

impl Found {
    fn ok(text: impl Into<String>) -> Self {
        Self { state: State::Ok, text: text.into(), fix: None }
    }

    fn warn(text: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { state: State::Warn, text: text.into(), fix: Some(fix.into()) }
    }

    fn fail(text: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { state: State::Fail, text: text.into(), fix: Some(fix.into()) }
    }

    fn skip(why: impl Into<String>) -> Self {
        Self { state: State::Skip, text: why.into(), fix: None }
    }

    fn unknown(why: &str, fix: Option<&str>) -> Self {
        Self { state: State::Unknown, text: format!("cannot tell: {why}"), fix: fix.map(ToOwned::to_owned) }
    }

    fn unknown_until(check: &str) -> Self {
        Self::unknown(&format!("{check} comes first"), None)
    }
}

/// A part that cannot be opened or read is a failure, with its own hint as what mends it.
impl<F: Fault> From<F> for Found {
    fn from(fault: F) -> Self {
        let mut sentences = vec![fault.to_string()];
        let mut source = fault.source();
        while let Some(cause) = source {
            sentences.push(cause.to_string());
            source = cause.source();
        }
        sentences.dedup();
        let fix = fault.hint().unwrap_or_else(|| "see docs/operations.md".to_owned());
        Self::fail(sentences.join(": "), fix)
    }
}

/// Either way something was found; what could not be looked at is found to be so.
type Looked = Result<Found, Found>;

/// One thing that is looked at.
pub(crate) struct Check {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    look: for<'a> fn(&'a Deployment) -> Pin<Box<dyn Future<Output = Looked> + 'a>>,
}

impl Check {
    pub(crate) async fn look(&self, deployment: &Deployment) -> Found {
        (self.look)(deployment).await.unwrap_or_else(|found| found)
    }
}

macro_rules! check {
    ($name:literal, $about:literal, $look:path) => {
        Check { name: $name, about: $about, look: |deployment| Box::pin($look(deployment)) }
    };
}

/// Every check, in the order in which they are told: what others need stands first.
pub(crate) const CHECKS: [Check; 66] = [
    check!("config", "every setting is one, and means what it should", files::config),
    check!("data-folder", "the data folder is ours and open to nobody else", files::data_folder),
    check!("space", "the disk of the data folder has room", files::space),
    check!("writable", "the data folder can be written", files::writable),
    check!(
        "state-folder",
        "keys and pins lie outside the data folder, open to nobody else",
        files::state_folder
    ),
    check!("master-key", "the master key opens this folder and nobody else reads it", files::master_key),
    check!(
        "key-source",
        "the master key comes from a file or a secrets manager, not from the environment",
        files::key_source
    ),
    check!("key-age", "the master key was exchanged within a year", keys::age),
    check!("keys-known", "every process that serves has the keys that are here", keys::known),
    check!("keys-in-use", "nothing needs a master key that is not active", keys::in_use),
    check!(
        "week-keys",
        "keys of weeks lie where no backup of the database has them, and go when they should",
        keys::week_keys
    ),
    check!("database", "the database opens, and the turn to write comes", rows::database),
    check!("integrity", "the pages of the database are whole", rows::integrity),
    check!("schema", "every step of the schema has run, and nothing else has", rows::schema),
    check!("append-only", "triggers refuse to change or delete events", rows::append_only),
    check!(
        "log-rights",
        "the role of the application appends to the log and reads it, and nothing else",
        rights::log_rights
    ),
    check!("partitions", "the months ahead have their part of the log", postgres::partitions),
    check!("outbox", "no event waits for the log, and none lies aside", rows::outbox),
    check!("spool", "events kept for the log lie on a disk that stays, and none waits for long", flow::spool),
    check!("pin", "both logs extend what was pinned outside the data folder", rows::pin),
    check!("clock", "clocks agree, and none went back behind the log", rows::clock),
    check!("actions-logged", "the newest decisions have their events", rows::actions_logged),
    check!("gate", "an ordinary word is judged CLEAR", flow::gate),
    check!("quarantine", "what is sealed with the keys opens again", flow::quarantine),
    check!("held-content", "held content has its objects and its keys", flow::held_content),
    check!("room-for-holds", "there is room for further holds", flow::room_for_holds),
    check!("sweep", "what is due is swept", flow::sweep),
    check!("limits", "the limits in the database are valid", flow::limits),
    check!(
        "rules",
        "the rule packs in the database can be used, and are signed for a while yet",
        rules::active
    ),
    check!("journal", "the journal of the limiter can be read", flow::journal),
    check!("quarantine-enabled", "suspicious content is held", flow::quarantine_enabled),
    check!("audit-enabled", "verdicts are logged", flow::audit_enabled),
    check!("gate-mode", "verdicts hold", flow::gate_mode),
    check!("admin", "an administrator has a token", people::admin),
    check!("token-age", "no token that never ends is older than 180 days", people::token_age),
    check!("bot-auth", "routes for programs ask for a token of a program", people::bot_auth),
    check!("human-auth", "routes that decide ask for a moderator or an administrator", people::human_auth),
    check!("grants", "leave to see held content is short", people::grants),
    check!("listeners", "what listens beyond this machine has TLS or a proxy", people::listeners),
    check!("server", "who serves the folder is ready", people::server),
    check!("backups", "the log is backed up", elsewhere::backups),
    check!("secrets-in-git", "no secret stands in the history of a repository", elsewhere::secrets_in_git),
    check!("bucket", "the bucket of held content answers, to this key and in this region", bucket::answers),
    check!("s3-credentials", "S3 credentials have the least rights", bucket::rights),
    check!("s3-private", "the bucket of held content lets nobody in who has no key", bucket::anonymous),
    check!("bucket-policy", "the bucket of held content is not public", bucket::policy),
    check!("bucket-versions", "deleted content leaves the bucket in all versions", bucket::versions),
    check!("bucket-rules", "no rule of the bucket deletes or moves held content", bucket::rules),
    check!("bucket-lock", "the bucket does not keep content from being destroyed", bucket::lock),
    check!("redis", "Redis answers in time, and is of a version that is known to do", redis::answers),
    check!("redis-auth", "Redis asks for a password", redis::auth),
    check!("redis-private", "Redis cannot be reached from outside", redis::private),
    check!("redis-memory", "Redis forgets no counter for want of memory", redis::memory),
    check!("redis-persistence", "Redis knows its counters again after a restart", redis::persistence),
    check!("redis-cluster", "every slot of the cluster has a node", redis::cluster),
    check!("redis-history", "the counters are this deployment's, and know what the log says", redis::history),
    check!("server-settings", "PostgreSQL keeps what it acknowledged", postgres::server_settings),
    check!("sessions", "no session of PostgreSQL holds up the others", postgres::sessions),
    check!("table-sizes", "how much room the tables of PostgreSQL take", postgres::table_sizes),
    check!("pooler", "a pooler before PostgreSQL keeps what connections set", postgres::pooler),
    check!("postgres-private", "PostgreSQL cannot be reached from outside", postgres::private),
    check!(
        "database-credentials",
        "database credentials are changed from time to time",
        postgres::credentials
    ),
    check!("database-superuser", "the user of the database is no SUPERUSER", rights::superuser),
    check!("tls-to-services", "connections to services speak TLS", elsewhere::services),
    check!("read-replica", "queries of the log have a replica", postgres::replica),
    check!("health-checks", "the server checks its own parts", flow::health_checks),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_check_has_a_name_of_its_own() {
        let names: BTreeSet<&str> = CHECKS.iter().map(|check| check.name).collect();
        assert_eq!(names.len(), CHECKS.len());
        assert!(
            names
                .iter()
                .all(|name| name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'))
        );
    }
}
