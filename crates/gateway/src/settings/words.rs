//! The words that settings are made of.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use clawexchange_audit::SpoolConfig;
use clawexchange_database::{DatabaseConfig, Place, PostgresUrl};
use clawexchange_rate_limiter::{RedisConfig, RedisUrl, WhenAway};
use clawexchange_ssg_core::{ContentType, MasterKey, PluginFailure, RiskTier};
use serde::Serialize;

/// What the deployment is for. It decides the defaults, and what is refused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(clippy::exhaustive_enums, reason = "who has a default for each and forgets one must not compile")]
pub enum Environment {
    /// One person tries it.
    #[default]
    Development,
    /// As production will be; what production would refuse is said.
    Staging,
    /// Other people depend on it.
    Production,
}

impl Environment {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Development, Self::Staging, Self::Production];

    /// The word that stands in `CLAW_ENV`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Staging => "staging",
            Self::Production => "production",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|environment| environment.as_str() == text)
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where the rows are, and how long they may keep somebody waiting.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct DatabaseSettings {
    /// The PostgreSQL database; without one rows lie in SQLite, in the data folder.
    pub server: Option<PostgresUrl>,
    /// The same database as its owner sees it.
    pub owner: Option<PostgresUrl>,
    /// A copy that follows.
    pub replica: Option<PostgresUrl>,
    /// Connections that are kept open.
    pub pool_min: u32,
    /// Connections at most.
    pub pool_max: u32,
    /// How long a turn or a connection is waited for.
    pub acquire_timeout: Duration,
    /// How long one statement may take; no bound if it is zero.
    pub statement_timeout: Duration,
    /// Where verdicts are kept while the server is away; nowhere if it is off, or rows lie in a file.
    pub spool: Option<SpoolConfig>,
}

impl DatabaseSettings {
    /// How a database at `place` is opened.
    pub(crate) fn config(&self, place: Place) -> DatabaseConfig {
        let mut config = DatabaseConfig::new(place);
        config.replica.clone_from(&self.replica);
        config.connections_min = self.pool_min;
        config.connections_max = self.pool_max;
        config.acquire_timeout = self.acquire_timeout;
        config.statement_timeout = self.statement_timeout;
        config
    }
}

/// Where the counters are that several instances share, and how they are asked.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct RedisSettings {
    /// Redis or Valkey.
    pub url: RedisUrl,
    /// The certificates in PEM of the authorities that may speak for it; those of the system if there are none here.
    pub ca_pem: Option<Vec<u8>>,
    /// What the Sentinels want to hear.
    pub sentinel_password: Option<Password>,
    /// Whether it may be asked without TLS though it lies beyond this machine.
    pub plaintext: bool,
    /// What all keys begin with.
    pub prefix: String,
    /// How long an answer may take.
    pub deadline: Duration,
    /// How long a connection may take to be made.
    pub connect_deadline: Duration,
    /// Connections to each node.
    pub connections: usize,
    /// What is done while it does not answer.
    pub when_away: WhenAway,
    /// Instances that there are taken to be until it has said how many.
    pub instances: u32,
}

/// A password; nothing shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(pub(super) String);

impl Password {
    /// It, for whoever shows it to whom it is meant for.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(set)")
    }
}

impl RedisSettings {
    /// Whether what is said to it, and its password, can be read on the way.
    pub fn is_exposed(&self) -> bool {
        !self.url.is_tls() && !self.url.is_local() && !self.plaintext
    }

    /// How it is asked.
    pub(crate) fn config(&self) -> RedisConfig {
        let mut config = RedisConfig::new(self.url.clone());
        config.prefix.clone_from(&self.prefix);
        config.tls_ca_pem.clone_from(&self.ca_pem);
        config.sentinel_password = self.sentinel_password.as_ref().map(|password| password.0.clone());
        config.instances_assumed = self.instances;
        config.deadline = self.deadline;
        config.connect_deadline = self.connect_deadline;
        config.connections = self.connections;
        config.when_away = self.when_away;
        config
    }
}

/// The files of a certificate.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct TlsFiles {
    /// The certificate chain in PEM.
    pub cert: PathBuf,
    /// Its private key in PEM.
    pub key: PathBuf,
}

/// How the program prints what it says of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum LogFormat {
    /// For people.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// Whether verdicts hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum GateMode {
    /// They do.
    #[default]
    Enforce,
    /// The gate only watches: nothing is held, penalised or limited.
    Shadow,
}

impl GateMode {
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text {
            "enforce" => Some(Self::Enforce),
            "shadow" => Some(Self::Shadow),
            _ => None,
        }
    }
}

/// Whether verdicts hold, for each type of content.
///
/// ```
/// use clawexchange_gateway::{GateMode, GateModes};
/// use clawexchange_ssg_core::ContentType;
///
/// let modes = GateModes::all(GateMode::Enforce).with(ContentType::Comment, GateMode::Shadow);
/// assert_eq!(modes.of(ContentType::Comment), GateMode::Shadow);
/// assert_eq!(modes.of(ContentType::Post), GateMode::Enforce);
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct GateModes {
    usual: GateMode,
    others: Vec<(ContentType, GateMode)>,
}

impl GateModes {
    /// The same for every type.
    pub const fn all(usual: GateMode) -> Self {
        Self { usual, others: Vec::new() }
    }

    /// Another one for a type.
    #[must_use]
    pub fn with(mut self, content_type: ContentType, mode: GateMode) -> Self {
        self.others.retain(|(of, _)| *of != content_type);
        self.others.push((content_type, mode));
        self
    }

    /// Whether verdicts on this type hold.
    pub fn of(&self, content_type: ContentType) -> GateMode {
        self.others.iter().find(|(of, _)| *of == content_type).map_or(self.usual, |(_, mode)| *mode)
    }

    /// The types that are only watched.
    pub fn shadowed(&self) -> impl Iterator<Item = ContentType> + '_ {
        ContentType::ALL.into_iter().filter(|of| self.of(*of) == GateMode::Shadow)
    }
}

/// Where tiers begin unless that is said.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum PolicyProfile {
    /// 1, 20, 45, 70.
    Strict,
    /// 1, 30, 60, 85.
    #[default]
    Moderate,
    /// 1, 40, 75, 95.
    Permissive,
}

/// What is done with content in which something of a category is found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum CategoryActionSetting {
    /// It is refused.
    Block,
    /// It is held.
    Hold,
    /// What was found is taken out.
    Redact,
}

/// How many bytes a caller may have inspected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ByteQuota {
    /// In an hour.
    pub per_hour: u32,
    /// In a minute.
    pub per_minute: u32,
}

/// How held content is reviewed.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ModerationSettings {
    /// How long a leave to see content is good for.
    pub grant: Duration,
    /// How long a claimed item stays with whoever claimed it.
    pub claim: Duration,
    /// How sure a bot must be to release content of a tier, in thousandths; of a tier that is missing it releases none.
    pub bot_release_permille: BTreeMap<RiskTier, u16>,
    /// How sure a bot must be to delete content of a tier, in thousandths; of a tier that is missing it deletes none.
    pub bot_delete_permille: BTreeMap<RiskTier, u16>,
}

/// How one plugin is set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct PluginSetting {
    /// Whether it runs.
    pub enabled: bool,
    /// What its failure does.
    pub on_failure: PluginFailure,
}

impl Default for PluginSetting {
    fn default() -> Self {
        Self { enabled: true, on_failure: PluginFailure::Hold }
    }
}

/// Where the master key comes from.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum KeySource {
    /// One key, which was given.
    Given(MasterKey),
    /// Several keys by name, in a file that is read anew when it changes.
    File(PathBuf),
    /// Keys behind a command.
    Command {
        /// The program, by its absolute path, and its arguments.
        argv: Vec<String>,
        /// How long one answer may take.
        deadline: Duration,
    },
    /// It lies in a file of the state folder, named after the deployment, and was made when the data folder was.
    Generated,
}
