//! Every setting, where it came from, and all that is wrong with them at once.

mod campaigns;
mod counters;
mod database;
mod keys;
mod manual;
mod objects;
mod problem;
mod reader;
mod redis;
mod refused;
mod remote;
mod rules;
mod sections;
pub(crate) mod setting;
pub(crate) mod table;
mod value;
mod words;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clawexchange_detectors::Levels;
use clawexchange_quarantine::S3Config;
use clawexchange_rate_limiter::CampaignRules;
use clawexchange_ssg_core::{
    AgentId, Category, ContentType, EnvelopeBounds, PluginFailure, RiskTier, RuleMode, TierThresholds,
};
use ipnet::IpNet;
use serde::Serialize;

use crate::rules::Trust;
pub use problem::{Problem, SettingsError};
pub(crate) use problem::{nearest, printable, printable_path};
use reader::Reader;
pub use remote::{RemoteMode, RemoteSettings};
use setting::Setting;
use value::Value;
pub use words::{
    ByteQuota, CategoryActionSetting, DatabaseSettings, Environment, GateMode, GateModes, KeySource,
    LogFormat, ModerationSettings, Password, PluginSetting, PolicyProfile, RedisSettings, TlsFiles,
};

/// Where a value came from. Later ones win.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Origin {
    /// Nothing was set.
    Default,
    /// The file that `CLAW_CONFIG` names.
    File,
    /// The environment.
    Environment,
    /// The command line.
    Flag,
}

/// A setting as it holds; a secret shows no more than that it is set, and a database not its password.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[non_exhaustive]
pub struct Shown {
    /// Its name in the environment or the file.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Where that came from.
    pub origin: Origin,
    /// What it is.
    pub about: &'static str,
}

/// Where the settings are read from. A library reads no environment, so whoever runs hands it in.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Sources {
    /// The environment.
    pub env: BTreeMap<String, OsString>,
    /// `--data-dir`.
    pub data_dir: Option<PathBuf>,
    /// `--config`.
    pub config: Option<PathBuf>,
    /// `--listen`.
    pub listen: Option<SocketAddr>,
    /// `--admin-listen`.
    pub admin_listen: Option<SocketAddr>,
}

impl Sources {
    /// The environment and nothing from a command line.
    pub fn of_env(env: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let env =
            env.into_iter().filter_map(|(name, value)| Some((name.into_string().ok()?, value))).collect();
        Self { env, ..Self::default() }
    }
}

/// The settings of one deployment, parsed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// What the deployment is for.
    pub environment: Environment,
    /// Held content and counters, and the rows unless they are on a server.
    pub data_dir: PathBuf,
    /// Where the rows are.
    pub database: DatabaseSettings,
    /// Where the counters are; in this process unless they are in Redis.
    pub redis: Option<RedisSettings>,
    /// Generated keys and pins, outside the data folder.
    pub state_dir: PathBuf,
    /// Where the master keys come from.
    pub key: KeySource,
    /// The folder of the keys of weeks, if it was said.
    pub week_key_dir: Option<PathBuf>,
    /// Who may do everything before there are tokens.
    pub admin_user: Option<AgentId>,
    /// Where content is submitted.
    pub listen: SocketAddr,
    /// Where review, metrics and probes are.
    pub admin_listen: SocketAddr,
    /// The certificate, if both addresses speak TLS.
    pub tls: Option<TlsFiles>,
    /// Who is believed about whose request they pass on.
    pub trusted_proxies: Vec<IpNet>,
    /// Connections open at once.
    pub connections_max: usize,
    /// Requests at work at once.
    pub requests_max: usize,
    /// How long the header of a request may take.
    pub header_timeout: Duration,
    /// How long the body of a request may take.
    pub body_timeout: Duration,
    /// How long requests at work may take to end when the server stops.
    pub drain: Duration,
    /// How the program prints what it says of itself.
    pub log_format: LogFormat,
    /// Which parts say how much.
    pub log_filter: Option<String>,
    /// Whether verdicts hold.
    pub gate_mode: GateModes,
    /// Whether suspicious content is held; if not, it is refused and not stored.
    pub quarantine_enabled: bool,
    /// How long content is held before it expires.
    pub expiry: Duration,
    /// The bucket in which held content lies; in files of the data folder if there is none.
    pub objects: Option<S3Config>,
    /// Up to so many bytes sealed content lies in its row; above that it is an object.
    pub inline_bytes_max: usize,
    /// How often the server looks for what has expired.
    pub sweep_interval: Duration,
    /// Whether verdicts are logged.
    pub audit_enabled: bool,
    /// Why they are not.
    pub audit_off_reason: Option<String>,
    /// How often the server checks its own parts, if it does.
    pub healthchecks: Option<Duration>,
    /// Where tiers begin unless that was said.
    pub profile: PolicyProfile,
    /// Whether what would be passed on with a warning is held; `thresholds` has it already.
    pub safe_mode: bool,
    /// Where tiers begin.
    pub thresholds: TierThresholds,
    /// Up to which level of paranoia rules count, and up to which they are looked for.
    pub levels: Levels,
    /// Hosts that may be linked to, in lower case, a leading `*.` for every host below.
    pub allow_hosts: Vec<String>,
    /// Hosts that may not.
    pub deny_hosts: Vec<String>,
    /// Which types of content are accepted.
    pub content_types: Vec<ContentType>,
    /// How large content may be.
    pub bounds: EnvelopeBounds,
    /// What is done with content in which something of a category is found, if not what its score says.
    pub categories: BTreeMap<Category, CategoryActionSetting>,
    /// Rules that are not in their usual mode.
    pub rules: BTreeMap<String, RuleMode>,
    /// Whose signatures of rule packs count, and whether one is asked for.
    pub rule_trust: Trust,
    /// Plugins that are not set as usual.
    pub plugins: BTreeMap<String, PluginSetting>,
    /// How much a caller may have inspected without submitting it.
    pub inspect_bytes: ByteQuota,
    /// From when on many who submit the same are a campaign; nothing is counted if there are none.
    pub campaigns: Option<CampaignRules>,
    /// The classifier that is asked, if there is one.
    pub remote: Option<RemoteSettings>,
    /// How held content is reviewed.
    pub moderation: ModerationSettings,
    shown: Vec<Shown>,
    unknown: Vec<String>,
    notices: Vec<String>,
}

impl Settings {
    /// Reads everything and says everything that is wrong.
    pub fn read(sources: &Sources) -> Result<Self, SettingsError> {
        let mut reader = Reader::new(sources);
        let mut settings = reader.settings();
        reader.refuse_what_is_not_there();
        reader.look_for_misspelt();
        refused::judge(&mut settings, &mut reader);
        if !reader.problems.is_empty() {
            return Err(SettingsError { problems: reader.problems });
        }
        settings.shown = reader.take_shown();
        settings.unknown = reader.unknown;
        Ok(settings)
    }

    /// The same settings for whoever owns the schema: the owner's connection, if one is set, no copy that lags behind,
    /// and statements that take what they take.
    #[must_use]
    pub fn as_owner(mut self) -> Self {
        let database = &mut self.database;
        if let Some(owner) = database.owner.take() {
            database.server = Some(owner);
        }
        database.replica = None;
        database.statement_timeout = Duration::ZERO;
        self
    }

    /// Variables that look like ours and mean nothing, a sentence each: perhaps a name is misspelt.
    pub fn unknown(&self) -> &[String] {
        &self.unknown
    }

    /// What whoever runs should know though nothing is wrong, a sentence each: what is switched off, what only watches,
    /// what production would refuse.
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// The switches by name, for probes and metrics.
    pub fn flags(&self) -> Vec<(&'static str, bool)> {
        vec![
            ("quarantine_enabled", self.quarantine_enabled),
            ("audit_enabled", self.audit_enabled),
            ("gate_shadow", self.gate_mode.shadowed().next().is_some()),
            ("safe_mode", self.safe_mode),
            ("campaigns_counted", self.campaigns.is_some()),
            ("healthchecks_enabled", self.healthchecks.is_some()),
            // This version takes no other value.
            ("moderation_enforced", false),
            ("tls", self.tls.is_some()),
        ]
    }

    /// Every setting as it holds.
    pub fn shown(&self) -> &[Shown] {
        &self.shown
    }

    /// A settings file in TOML in which everything stands as a comment at its default, with the environment beside it.
    pub fn example(environment: Environment) -> String {
        manual::example(environment)
    }

    /// The JSON Schema (2020-12) of the settings file.
    pub fn schema() -> serde_json::Value {
        manual::schema()
    }

    /// The reference of all settings in Markdown.
    pub fn reference() -> String {
        manual::reference()
    }
}

impl Reader<'_> {
    /// Everything, with something harmless in the place of each value that is wrong.
    fn settings(&mut self) -> Settings {
        let profile = self.word(&table::PROFILE, |text| match text {
            "strict" => Some(PolicyProfile::Strict),
            "permissive" => Some(PolicyProfile::Permissive),
            _ => Some(PolicyProfile::Moderate),
        });
        self.profile = profile.unwrap_or_default();
        let safe_mode = self.boolean(&table::SAFE_MODE);
        let (listen, admin_listen) = self.addresses();
        let (allow_hosts, deny_hosts) = self.hosts();
        let data_dir = self.path(&table::DATA_DIR).unwrap_or_default();
        let objects = self.objects();
        Settings {
            environment: self.environment,
            database: self.database(&data_dir),
            data_dir,
            redis: self.redis(),
            state_dir: self.state_dir(),
            key: self.key_source(),
            week_key_dir: self.path(&table::WEEK_KEYS),
            admin_user: self.word(&table::ADMIN_USER, |text| AgentId::new(text).ok()),
            listen,
            admin_listen,
            tls: self.tls(),
            trusted_proxies: match self.value(&table::TRUSTED_PROXIES) {
                Some(Value::Networks(networks)) => networks,
                _ => Vec::new(),
            },
            connections_max: self.count(&table::CONNECTIONS),
            requests_max: self.count(&table::REQUESTS),
            header_timeout: self.seconds(&table::HEADER_TIMEOUT),
            body_timeout: self.seconds(&table::BODY_TIMEOUT),
            drain: self.seconds(&table::DRAIN),
            log_format: match self.text(&table::LOG_FORMAT).as_deref() {
                Some("json") => LogFormat::Json,
                _ => LogFormat::Human,
            },
            log_filter: self.text(&table::LOG_FILTER),
            gate_mode: self.gate_modes(),
            quarantine_enabled: self.boolean(&table::QUARANTINE),
            expiry: self.seconds(&table::EXPIRY) * 3600,
            inline_bytes_max: self.inline_bytes_max(objects.is_some()),
            objects,
            sweep_interval: self.seconds(&table::SWEEP),
            audit_enabled: self.boolean(&table::AUDIT),
            audit_off_reason: self.text(&table::AUDIT_OFF_REASON),
            healthchecks: self.healthchecks(),
            profile: self.profile,
            safe_mode,
            thresholds: self.thresholds(safe_mode),
            levels: self.levels(),
            allow_hosts,
            deny_hosts,
            content_types: self.content_types(),
            bounds: self.bounds(),
            categories: self.categories(),
            rules: self.rules(),
            rule_trust: self.rule_trust(),
            plugins: self.plugins(),
            inspect_bytes: self.inspect_bytes(),
            campaigns: self.campaigns(),
            remote: self.remote(),
            moderation: ModerationSettings {
                grant: self.seconds(&table::GRANT),
                claim: self.seconds(&table::CLAIM) * 60,
                bot_release_permille: self.shares(&table::BOT_RELEASE),
                bot_delete_permille: self.shares(&table::BOT_DELETE),
            },
            shown: Vec::new(),
            unknown: Vec::new(),
            notices: Vec::new(),
        }
    }

    fn addresses(&mut self) -> (SocketAddr, SocketAddr) {
        let (listen, admin) = (self.address(&table::LISTEN), self.address(&table::ADMIN_LISTEN));
        // Port 0 is another one each time.
        if listen == admin && listen.port() != 0 {
            self.problem(
                table::ADMIN_LISTEN.name(),
                "it is the address of CLAW_LISTEN; the two need one each",
            );
        }
        (listen, admin)
    }

    fn tls(&mut self) -> Option<TlsFiles> {
        match (self.path(&table::TLS_CERT), self.path(&table::TLS_KEY)) {
            (Some(cert), Some(key)) => {
                self.try_file(&table::TLS_CERT, &cert);
                self.try_file(&table::TLS_KEY, &key);
                Some(TlsFiles { cert, key })
            }
            (Some(_), None) => {
                self.problem(table::TLS_KEY.name(), "CLAW_TLS_CERT_FILE is set without it; set both or none");
                None
            }
            (None, Some(_)) => {
                self.problem(table::TLS_CERT.name(), "CLAW_TLS_KEY_FILE is set without it; set both or none");
                None
            }
            (None, None) => None,
        }
    }

    fn gate_modes(&mut self) -> GateModes {
        let usual = self.word(&table::GATE_MODE, GateMode::parse).unwrap_or_default();
        let named = self.named(&table::GATE_TYPES);
        named.iter().fold(GateModes::all(usual), |modes, (name, mode)| {
            match (content_type(name), GateMode::parse(&mode.to_string())) {
                (Some(of), Some(mode)) => modes.with(of, mode),
                _ => modes,
            }
        })
    }

    fn healthchecks(&mut self) -> Option<Duration> {
        let (enabled, interval) =
            (self.boolean(&table::HEALTHCHECKS), self.seconds(&table::HEALTH_INTERVAL) * 60);
        enabled.then_some(interval)
    }

    fn thresholds(&mut self, safe_mode: bool) -> TierThresholds {
        let before = self.problems.len();
        let [low, moderate, high, critical] = table::TIERS.each_ref().map(|setting| self.small(setting));
        if self.problems.len() > before {
            return TierThresholds::default();
        }
        let said = TierThresholds::new(low, moderate, high, critical);
        // A tier is never empty: MODERATE keeps the one score below, which would have been LOW.
        let safe = moderate.saturating_sub(1);
        match (&said, safe_mode) {
            (Ok(_), true) if safe <= low => {
                self.problem(
                    "policy.safe_mode",
                    "it needs tiers.moderate to be at least two above tiers.low",
                );
            }
            (Err(error), _) => self.problem("tiers", error.to_string()),
            _ => {}
        }
        if safe_mode { TierThresholds::new(low, safe, moderate, critical) } else { said }.unwrap_or_default()
    }

    fn levels(&mut self) -> Levels {
        let before = self.problems.len();
        let small = |n: u64| u8::try_from(n).unwrap_or(u8::MAX);
        let level = small(self.number(&table::LEVEL));
        let detection = match self.value(&table::DETECTION_LEVEL) {
            Some(Value::Number(said)) => small(said),
            _ => level.max(Levels::default().detection()),
        };
        if self.problems.len() > before {
            return Levels::default();
        }
        let levels = Levels::new(level, detection);
        if levels.is_err() {
            self.problem(table::DETECTION_LEVEL.name(), "it must be at least policy.level");
        }
        levels.unwrap_or_default()
    }

    fn hosts(&mut self) -> (Vec<String>, Vec<String>) {
        let (allowed, denied) = (self.list(&table::ALLOW_HOSTS), self.list(&table::DENY_HOSTS));
        if let Some(host) = denied.iter().find(|host| allowed.contains(host)) {
            self.problem("policy.deny_hosts", format!("{host} stands in policy.allow_hosts too"));
        }
        (allowed, denied)
    }

    fn content_types(&mut self) -> Vec<ContentType> {
        let words = self.list(&table::ACCEPTED);
        ContentType::ALL.into_iter().filter(|of| words.iter().any(|word| word == of.as_str())).collect()
    }

    fn bounds(&mut self) -> EnvelopeBounds {
        let mut bounds = EnvelopeBounds::default();
        let before = self.problems.len();
        bounds.text_bytes_max = self.count(&table::TEXT_BYTES);
        bounds.body_bytes_max = self.count(&table::BODY_BYTES);
        if bounds.body_bytes_max < bounds.text_bytes_max && self.problems.len() == before {
            self.problem("policy.body_bytes_max", "it must be at least policy.text_bytes_max");
        }
        bounds.fields_max = self.count(&table::FIELDS);
        bounds.depth_max = self.count(&table::DEPTH);
        bounds
    }

    fn categories(&mut self) -> BTreeMap<Category, CategoryActionSetting> {
        let named = self.named(&table::CATEGORY);
        let actions = named.iter().filter_map(|(name, action)| {
            let category = Category::ALL.into_iter().find(|category| category.as_str() == name)?;
            Some((
                category,
                match action.to_string().as_str() {
                    "block" => CategoryActionSetting::Block,
                    "hold" => CategoryActionSetting::Hold,
                    _ => CategoryActionSetting::Redact,
                },
            ))
        });
        actions.collect()
    }

    fn rules(&mut self) -> BTreeMap<String, RuleMode> {
        let named = self.named(&table::RULE_MODE).into_iter();
        named
            .map(|(id, mode)| match mode.to_string().as_str() {
                "shadow" => (id, RuleMode::Shadow),
                "off" => (id, RuleMode::Off),
                _ => (id, RuleMode::Enforce),
            })
            .collect()
    }

    fn plugins(&mut self) -> BTreeMap<String, PluginSetting> {
        let mut plugins: BTreeMap<String, PluginSetting> = BTreeMap::new();
        for (id, enabled) in self.named(&table::PLUGIN_ENABLED) {
            plugins.entry(id).or_default().enabled = matches!(enabled, Value::Boolean(true));
        }
        for (id, on_failure) in self.named(&table::PLUGIN_FAILURE) {
            let ignores = on_failure.to_string() == "ignore";
            plugins.entry(id).or_default().on_failure =
                if ignores { PluginFailure::Ignore } else { PluginFailure::Hold };
        }
        plugins
    }

    fn inspect_bytes(&mut self) -> ByteQuota {
        let before = self.problems.len();
        let quota = ByteQuota {
            per_hour: self.small(&table::INSPECT_HOUR),
            per_minute: self.small(&table::INSPECT_MINUTE),
        };
        if quota.per_minute > quota.per_hour && self.problems.len() == before {
            self.problem(
                "limits.inspect_bytes_per_minute",
                "it must be at most limits.inspect_bytes_per_hour",
            );
        }
        quota
    }

    fn shares(&mut self, settings: &'static [Setting; 3]) -> BTreeMap<RiskTier, u16> {
        let tiers = [RiskTier::Moderate, RiskTier::High, RiskTier::Critical];
        let shares =
            tiers.into_iter().zip(settings).filter_map(|(tier, setting)| match self.value(setting) {
                Some(Value::Share(Some(permille))) => Some((tier, permille)),
                _ => None,
            });
        shares.collect()
    }
}

fn content_type(word: &str) -> Option<ContentType> {
    ContentType::ALL.into_iter().find(|of| of.as_str() == word)
}

#[cfg(test)]
mod tests;
