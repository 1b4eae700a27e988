//! The one table of settings. Reading, showing, the example, the schema and the reference are all made of it.

pub(super) use super::counters::*;
use super::setting::{Setting, Usual};
use super::value::Kind;

/// Every setting.
pub(crate) fn all() -> impl Iterator<Item = &'static Setting> {
    super::sections::SECTIONS.iter().flat_map(|section| section.settings.iter().copied())
}

/// The names that a part in angle brackets stands for.
pub(crate) fn names_of(part: &str) -> Vec<String> {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    match part {
        "<rule>" => rule_ids(),
        "<plugin>" => owned(&PLUGINS),
        "<type>" => owned(&CONTENT_TYPES),
        "<category>" => owned(&CATEGORIES),
        _ => Vec::new(),
    }
}

/// The rules that ship. Packs are tested, so that none but an empty list could come of one that is broken.
fn rule_ids() -> Vec<String> {
    clawexchange_detectors::Detectors::new(&std::collections::BTreeMap::new())
        .map(|detectors| detectors.rules().map(|rule| rule.id.to_owned()).collect())
        .unwrap_or_default()
}

/// The plugins that ship.
pub(crate) const PLUGINS: [&str; 5] =
    ["secrets", "personal-data", "attacks", "malicious-code", "obfuscation"];

pub(crate) const CONTENT_TYPES: [&str; 4] = ["POST", "COMMENT", "MESSAGE", "PROFILE"];

pub(crate) const CATEGORIES: [&str; 8] = [
    "credentials",
    "personal-data",
    "contact-data",
    "injection",
    "social-engineering",
    "malicious-code",
    "obfuscation",
    "other",
];

/// What the vault takes: a year and a day.
const EXPIRY_HOURS_MAX: u64 = 366 * 24;
/// More would make rows of megabytes.
const INLINE_BYTES_MAX: u64 = 1 << 20;
/// What one machine's ports and memory bear.
const CONNECTIONS_MAX: u64 = 1 << 16;
/// A header that takes longer is held back on purpose.
const HEADER_SECONDS_MAX: u64 = 120;
/// Ten minutes for a body of megabytes: slower is held back on purpose.
const BODY_SECONDS_MAX: u64 = 600;
/// No orchestrator waits longer before it ends a process.
const DRAIN_SECONDS_MAX: u64 = 600;
/// All categories at their caps give less than 300 points: beyond that a bound only switches its tier off.
const TIER_BOUND_MAX: u64 = 10_000;
/// What one inspection does within its deadline.
pub(crate) const TEXT_BYTES_MAX: u64 = 16 << 20;
/// Twice the text, for escapes.
pub(crate) const BODY_BYTES_MAX: u64 = 32 << 20;
/// Each field is inspected in several views.
const FIELDS_MAX: u64 = 4096;
/// Each level costs stack.
const DEPTH_MAX: u64 = 64;
/// What the limiter counts in.
const QUOTA_MAX: u64 = u32::MAX as u64;
/// More connections than this a server of PostgreSQL does not bear.
const POOL_MAX: u64 = 1000;
/// Who waits longer for a connection has long been given up by whoever asked.
const ACQUIRE_SECONDS_MAX: u64 = 60;
/// An hour for one statement: longer ones belong to `claw migrate`, which has no bound.
const STATEMENT_SECONDS_MAX: u64 = 3600;
/// As long as a name of PostgreSQL gets, and a host a little longer.
const NAME_CHARS_MAX: usize = 255;
/// A path and some arguments.
const COMMAND_CHARS_MAX: usize = 4000;
/// Whoever waits for a key holds up a submission.
const KEY_COMMAND_SECONDS_MAX: u64 = 60;
/// A reason is a sentence or two.
const REASON_CHARS_MAX: usize = 500;
/// A filter names a few modules.
const FILTER_CHARS_MAX: usize = 1000;

const _: () = assert!(
    BODY_BYTES_MAX <= clawexchange_quarantine::CONTENT_BYTES_MAX,
    "what is received must be small enough to be held"
);

pub(super) const fn number(min: u64, max: u64, unit: &'static str) -> Kind {
    Kind::Number { min, max, unit }
}

pub(super) static ENV: Setting = Setting::env(
    "CLAW_ENV",
    Kind::Word(&["development", "staging", "production"]),
    Usual::Same("development"),
    "what the deployment is for; it decides the defaults, and what is refused",
);
pub(super) static CONFIG: Setting =
    Setting::env("CLAW_CONFIG", Kind::Path, Usual::Unset("no file"), "a TOML file of settings")
        .flag("--config");
pub(super) static DATA_DIR: Setting = Setting::env(
    "CLAW_DATA_DIR",
    Kind::Path,
    Usual::Same("./claw-data"),
    "the folder of counters and held content, and of the rows unless DATABASE_URL is set",
)
.flag("--data-dir");
pub(super) static STATE_DIR: Setting = Setting::env(
    "XDG_STATE_HOME",
    Kind::Path,
    Usual::Unset("$HOME/.local/state"),
    "where generated keys and pins lie, in a folder `claw`",
);
pub(super) static ADMIN_USER: Setting =
    Setting::env("ADMIN_USER_ID", Kind::Id, Usual::Unset("nobody"), "the id of the first administrator");

pub(super) static DATABASE: Setting = Setting::env(
    "DATABASE_URL",
    Kind::Postgres,
    Usual::Unset("SQLite in the data folder"),
    "the PostgreSQL database of the rows; a server beyond this machine must prove its name by a certificate unless `sslmode` says otherwise",
);
pub(super) static DB_HOST: Setting = Setting::env(
    "DB_HOST",
    Kind::Text { chars_max: NAME_CHARS_MAX },
    Usual::Unset("not asked for"),
    "the host of the database, for who has the parts of DATABASE_URL apart",
);
pub(super) static DB_PORT: Setting =
    Setting::env("DB_PORT", number(1, 65_535, ""), Usual::Same("5432"), "its port, beside DB_HOST");
pub(super) static DB_NAME: Setting = Setting::env(
    "DB_NAME",
    Kind::Text { chars_max: NAME_CHARS_MAX },
    Usual::Unset("not asked for"),
    "the name of the database, beside DB_HOST",
);
pub(super) static DB_USER: Setting = Setting::env(
    "DB_USER",
    Kind::Text { chars_max: NAME_CHARS_MAX },
    Usual::Unset("not asked for"),
    "who the database is asked as, beside DB_HOST",
);
pub(super) static DB_PASSWORD: Setting =
    Setting::env("DB_PASSWORD", Kind::Password, Usual::Unset("none"), "the password of DB_USER");
pub(super) static OWNER_DATABASE: Setting = Setting::env(
    "CLAW_MIGRATE_DATABASE_URL",
    Kind::Postgres,
    Usual::Unset("as DATABASE_URL"),
    "the same database for its owner, as whom `claw migrate` changes the schema and `claw audit retire` takes old events out",
);
pub(super) static READ_DATABASE: Setting = Setting::env(
    "CLAW_READ_DATABASE_URL",
    Kind::Postgres,
    Usual::Unset("as DATABASE_URL"),
    "a copy that follows the database, for lists and searches",
);
pub(super) static POOL_MIN: Setting = Setting::env(
    "CLAW_DB_POOL_MIN",
    number(0, POOL_MAX, ""),
    Usual::Same("2"),
    "PostgreSQL: how many connections are kept open",
)
.key("database.pool_min");
pub(super) static POOL: Setting = Setting::env(
    "CLAW_DB_POOL_MAX",
    number(2, POOL_MAX, ""),
    Usual::Same("20"),
    "PostgreSQL: how many connections are open at once",
)
.key("database.pool_max");
pub(super) static SPOOL: Setting = Setting::env(
    "CLAW_SPOOL",
    Kind::Boolean,
    Usual::Same("true"),
    "PostgreSQL: whether a server keeps verdicts in files while the database is away; if not, submissions are answered 503 then",
)
.key("database.spool");
pub(super) static SPOOL_DIR: Setting = Setting::env(
    "CLAW_SPOOL_DIR",
    Kind::Path,
    Usual::Unset("`spool` in the data folder"),
    "PostgreSQL: where they are kept; it must outlive the process, and one server uses it",
)
.key("database.spool_dir");
pub(super) static SPOOL_BYTES: Setting = Setting::env(
    "CLAW_SPOOL_MAX_BYTES",
    number(1 << 20, 1 << 40, "bytes"),
    Usual::Same("1073741824"),
    "PostgreSQL: how much of that there may be; beyond, submissions are answered 503",
)
.key("database.spool_max_bytes");
pub(super) static ACQUIRE_TIMEOUT: Setting = Setting::env(
    "CLAW_DB_ACQUIRE_TIMEOUT",
    number(1, ACQUIRE_SECONDS_MAX, "seconds"),
    Usual::Same("5"),
    "how long a transaction waits for its turn, and PostgreSQL for a connection",
)
.key("database.acquire_timeout_seconds");
pub(super) static STATEMENT_TIMEOUT: Setting = Setting::env(
    "CLAW_DB_STATEMENT_TIMEOUT",
    number(1, STATEMENT_SECONDS_MAX, "seconds"),
    Usual::Same("5"),
    "PostgreSQL: how long one statement may take; those of `claw migrate` may take what they take",
)
.key("database.statement_timeout_seconds");

pub(super) static LISTEN: Setting = Setting::env(
    "CLAW_LISTEN",
    Kind::Address,
    Usual::Same("127.0.0.1:8080"),
    "the address at which content is submitted",
)
.key("server.listen")
.flag("--listen");
pub(super) static ADMIN_LISTEN: Setting = Setting::env(
    "CLAW_ADMIN_LISTEN",
    Kind::Address,
    Usual::Same("127.0.0.1:9090"),
    "the address of review, metrics and probes",
)
.key("server.admin_listen")
.flag("--admin-listen");
pub(super) static TLS_CERT: Setting = Setting::env(
    "CLAW_TLS_CERT_FILE",
    Kind::Path,
    Usual::Unset("no TLS"),
    "the certificate chain in PEM; with its key, the public address speaks TLS, and the admin address unless it is on loopback",
)
.key("server.tls_cert_file");
pub(super) static TLS_KEY: Setting = Setting::env(
    "CLAW_TLS_KEY_FILE",
    Kind::Path,
    Usual::Unset("no TLS"),
    "the private key of the certificate in PEM",
)
.key("server.tls_key_file");
pub(super) static TRUSTED_PROXIES: Setting = Setting::env(
    "CLAW_TRUSTED_PROXIES",
    Kind::Networks,
    Usual::Unset("none"),
    "proxies that are believed when they say whose request they pass on",
)
.key("server.trusted_proxies");
pub(super) static CONNECTIONS: Setting = Setting::env(
    "CLAW_CONNECTIONS_MAX",
    number(1, CONNECTIONS_MAX, ""),
    Usual::Same("1024"),
    "how many connections are open at once",
)
.key("server.connections_max");
pub(super) static REQUESTS: Setting = Setting::env(
    "CLAW_REQUESTS_MAX",
    number(1, CONNECTIONS_MAX, ""),
    Usual::Same("256"),
    "how many requests are at work at once; further ones are answered 503",
)
.key("server.requests_max");
pub(super) static HEADER_TIMEOUT: Setting = Setting::env(
    "CLAW_HEADER_TIMEOUT_SECONDS",
    number(1, HEADER_SECONDS_MAX, "seconds"),
    Usual::Same("10"),
    "how long the header of a request may take",
)
.key("server.header_timeout_seconds");
pub(super) static BODY_TIMEOUT: Setting = Setting::env(
    "CLAW_BODY_TIMEOUT_SECONDS",
    number(1, BODY_SECONDS_MAX, "seconds"),
    Usual::Same("30"),
    "how long the body of a request may take",
)
.key("server.body_timeout_seconds");
pub(super) static DRAIN: Setting = Setting::env(
    "CLAW_DRAIN_SECONDS",
    number(0, DRAIN_SECONDS_MAX, "seconds"),
    Usual::Same("25"),
    "how long requests at work may take to end when the server stops",
)
.key("server.drain_seconds");

pub(super) static LOG_FORMAT: Setting = Setting::env(
    "CLAW_LOG_FORMAT",
    Kind::Word(&["human", "json"]),
    Usual::Preset(["human", "human", "json"]),
    "how what the program says of itself is printed",
)
.key("log.format");
pub(super) static LOG_FILTER: Setting = Setting::env(
    "CLAW_LOG",
    Kind::Text { chars_max: FILTER_CHARS_MAX },
    Usual::Unset("warnings, more with `-v`"),
    "which parts say how much, such as `info,sqlx=warn`",
);

pub(super) static GATE_MODE: Setting = Setting::env(
    "CLAW_GATE_MODE",
    Kind::Word(&["enforce", "shadow"]),
    Usual::Same("enforce"),
    "whether verdicts hold, or the gate only watches and nothing is held, penalised or limited",
)
.key("gate.mode");
pub(super) static GATE_TYPES: Setting = Setting::file(
    "gate.content_types.<type>",
    Kind::Word(&["enforce", "shadow"]),
    Usual::Unset("as the gate"),
    "the same for one type of content; it wins over the mode of the gate wherever that is set",
);

pub(super) static QUARANTINE: Setting = Setting::env(
    "QUARANTINE_ENABLED",
    Kind::Boolean,
    Usual::Same("true"),
    "whether suspicious content is held; if not, it is refused with 403 and not stored",
)
.key("quarantine.enabled");
pub(super) static KEY: Setting = Setting::env(
    "ENCRYPTION_MASTER_KEY",
    Kind::MasterKey,
    Usual::Unset("a generated file in the state folder"),
    "the master key: standard base64 of 32 bytes",
);
pub(super) static KEYRING: Setting = Setting::env(
    "CLAW_KEYRING_FILE",
    Kind::Path,
    Usual::Unset("not used"),
    "a file of several master keys by name, in the place of ENCRYPTION_MASTER_KEY: a line is a name, a space and a key, and a running server reads it anew",
);
pub(super) static KEY_COMMAND: Setting = Setting::env(
    "CLAW_KEY_COMMAND",
    Kind::Text { chars_max: COMMAND_CHARS_MAX },
    Usual::Unset("not used"),
    "a program that keeps the master keys, in the place of ENCRYPTION_MASTER_KEY: its absolute path and its arguments, separated by spaces or as a JSON array",
);
pub(super) static KEY_COMMAND_TIMEOUT: Setting = Setting::env(
    "CLAW_KEY_COMMAND_TIMEOUT",
    number(1, KEY_COMMAND_SECONDS_MAX, "seconds"),
    Usual::Same("10"),
    "how many seconds one answer of that program may take",
);
pub(super) static WEEK_KEYS: Setting = Setting::env(
    "CLAW_WEEK_KEY_DIR",
    Kind::Path,
    Usual::Unset("the state folder; with PostgreSQL the bucket, or else the database"),
    "the folder of the keys of weeks, which all processes of a deployment share; destroyed content stays so only if it is in no backup of the database",
);
pub(super) static EXPIRY: Setting = Setting::env(
    "QUARANTINE_EXPIRY_HOURS",
    number(1, EXPIRY_HOURS_MAX, "hours"),
    Usual::Same("72"),
    "how many hours content is held before it expires",
)
.key("quarantine.expiry_hours");
pub(super) static INLINE: Setting = Setting::env(
    "CLAW_QUARANTINE_INLINE_MAX",
    number(0, INLINE_BYTES_MAX, "bytes"),
    Usual::Same("65536"),
    "up to so many bytes sealed content lies in its row, above that in a file; 0 unless set where S3_ENDPOINT is",
)
.key("quarantine.inline_bytes_max");
pub(super) static SWEEP: Setting = Setting::env(
    "CLAW_SWEEP_INTERVAL_SECONDS",
    number(5, 3600, "seconds"),
    Usual::Same("60"),
    "how often the server looks for what has expired",
)
.key("quarantine.sweep_interval_seconds");

pub(super) static AUDIT: Setting = Setting::env(
    "AUDIT_ENABLED",
    Kind::Boolean,
    Usual::Same("true"),
    "whether verdicts are logged; reveals, decisions and keys always are",
)
.key("audit.enabled");
pub(super) static AUDIT_OFF_REASON: Setting = Setting::env(
    "CLAW_AUDIT_OFF_REASON",
    Kind::Text { chars_max: REASON_CHARS_MAX },
    Usual::Unset("none"),
    "why verdicts are not logged; production asks for it",
)
.key("audit.off_reason");

pub(super) static HEALTHCHECKS: Setting = Setting::env(
    "SECOPS_ENABLE_HEALTHCHECKS",
    Kind::Boolean,
    Usual::Preset(["false", "true", "true"]),
    "whether the server checks its own parts from time to time",
)
.key("health.enabled");
pub(super) static HEALTH_INTERVAL: Setting = Setting::env(
    "SECOPS_HEALTHCHECK_INTERVAL_MIN",
    number(1, 1440, "minutes"),
    Usual::Same("5"),
    "how often it does",
)
.key("health.interval_minutes");
pub(super) static ENFORCE_MODERATION: Setting = Setting::env(
    "SECOPS_ENFORCE_MODERATION",
    Kind::Boolean,
    Usual::Same("false"),
    "whether strikes restrict agents; this version takes no more than false",
);
pub(super) static AUTOBACKUP: Setting = Setting::env(
    "SECOPS_ENABLE_AUTOBACKUP",
    Kind::Boolean,
    Usual::Same("false"),
    "whether backups are made by the clock; this version takes no more than false",
);

const LEVELS: Kind = number(1, clawexchange_detectors::Levels::MAX as u64, "");

pub(super) static PROFILE: Setting = Setting::file(
    "policy.profile",
    Kind::Word(&["strict", "moderate", "permissive"]),
    Usual::Same("moderate"),
    "where tiers begin, unless `[tiers]` says it",
);
pub(super) static SAFE_MODE: Setting = Setting::file(
    "policy.safe_mode",
    Kind::Boolean,
    Usual::Same("false"),
    "whether what would be passed on with a warning is held: HIGH begins where MODERATE did, and only the score just below still warns",
);
pub(super) static LEVEL: Setting = Setting::env(
    "CLAW_POLICY_LEVEL",
    LEVELS,
    Usual::Same("1"),
    "up to which level of paranoia rules count; the higher, the more is found, and in more ordinary texts",
)
.key("policy.level");
pub(super) static DETECTION_LEVEL: Setting = Setting::env(
    "CLAW_DETECTION_LEVEL",
    LEVELS,
    Usual::Unset("2, or policy.level where that is higher"),
    "up to which level rules are looked for: those above policy.level are shown to operators and change nothing",
)
.key("policy.detection_level");
pub(super) static ALLOW_HOSTS: Setting = Setting::file(
    "policy.allow_hosts",
    Kind::Hosts,
    Usual::Unset("none"),
    "hosts that may be linked to; a leading `*.` stands for every host below",
);
pub(super) static DENY_HOSTS: Setting = Setting::file(
    "policy.deny_hosts",
    Kind::Hosts,
    Usual::Unset("none"),
    "hosts that may not be linked to; a leading `*.` stands for every host below",
);
pub(super) static ACCEPTED: Setting = Setting::file(
    "policy.content_types",
    Kind::Words(&CONTENT_TYPES),
    Usual::Same("POST,COMMENT,MESSAGE,PROFILE"),
    "which types of content are accepted",
);
pub(super) static TEXT_BYTES: Setting = Setting::file(
    "policy.text_bytes_max",
    number(1, TEXT_BYTES_MAX, "bytes"),
    Usual::Same("1048576"),
    "how long all inspected text of one content may be",
);
pub(super) static BODY_BYTES: Setting = Setting::file(
    "policy.body_bytes_max",
    number(1, BODY_BYTES_MAX, "bytes"),
    Usual::Same("2097152"),
    "how long the body of a request or a line may be; at least as long as the text",
);
pub(super) static FIELDS: Setting = Setting::file(
    "policy.fields_max",
    number(1, FIELDS_MAX, ""),
    Usual::Same("256"),
    "how many values one content may have",
);
pub(super) static DEPTH: Setting = Setting::file(
    "policy.depth_max",
    number(1, DEPTH_MAX, ""),
    Usual::Same("32"),
    "how deep objects and arrays may lie in each other",
);
pub(super) static CATEGORY: Setting = Setting::file(
    "policy.categories.<category>",
    Kind::Word(&["block", "hold", "redact"]),
    Usual::Unset("as the score says"),
    "what is done with content in which something of this category is found",
);
pub(super) static TIERS: [Setting; 4] = [
    tier("tiers.low", ["1", "1", "1"], "the first score of tier LOW"),
    tier("tiers.moderate", ["20", "30", "40"], "the first score of tier MODERATE"),
    tier("tiers.high", ["45", "60", "75"], "the first score of tier HIGH"),
    tier("tiers.critical", ["70", "85", "95"], "the first score of tier CRITICAL"),
];

const fn tier(key: &'static str, usual: [&'static str; 3], about: &'static str) -> Setting {
    Setting::file(key, number(1, TIER_BOUND_MAX, "points"), Usual::Profile(usual), about)
}

pub(super) static RULE_MODE: Setting = Setting::file(
    "rules.<rule>.mode",
    Kind::Word(&["enforce", "shadow", "off"]),
    Usual::Unset("as the rule ships"),
    "whether the rule counts, only watches, or is not looked for",
);
pub(super) static PLUGIN_ENABLED: Setting =
    Setting::file("plugins.<plugin>.enabled", Kind::Boolean, Usual::Unset("true"), "whether the plugin runs");
pub(super) static PLUGIN_FAILURE: Setting = Setting::file(
    "plugins.<plugin>.on_failure",
    Kind::Word(&["hold", "ignore"]),
    Usual::Unset("hold"),
    "what is done when the plugin fails",
);

pub(super) static INSPECT_HOUR: Setting = Setting::file(
    "limits.inspect_bytes_per_hour",
    number(1, QUOTA_MAX, "bytes"),
    Usual::Same("268435456"),
    "how much one caller may have inspected in an hour without submitting it",
);
pub(super) static INSPECT_MINUTE: Setting = Setting::file(
    "limits.inspect_bytes_per_minute",
    number(1, QUOTA_MAX, "bytes"),
    Usual::Same("33554432"),
    "the same in a minute; no more than in an hour",
);

pub(super) static GRANT: Setting = Setting::file(
    "moderation.grant_seconds",
    number(30, 900, "seconds"),
    Usual::Same("300"),
    "how long a leave to see held content is good for",
);
pub(super) static CLAIM: Setting = Setting::file(
    "moderation.claim_minutes",
    number(1, 60, "minutes"),
    Usual::Same("10"),
    "how long a claimed item stays with whoever claimed it",
);
pub(super) static BOT_RELEASE: [Setting; 3] = [
    bot(
        "moderation.bot_release_confidence.MODERATE",
        "0.9",
        "how sure a bot must be to release content of tier MODERATE",
    ),
    bot(
        "moderation.bot_release_confidence.HIGH",
        "0.95",
        "how sure a bot must be to release content of tier HIGH",
    ),
    bot(
        "moderation.bot_release_confidence.CRITICAL",
        "never",
        "how sure a bot must be to release content of tier CRITICAL",
    ),
];
pub(super) static BOT_DELETE: [Setting; 3] = [
    bot(
        "moderation.bot_delete_confidence.MODERATE",
        "0.95",
        "how sure a bot must be to delete content of tier MODERATE",
    ),
    bot(
        "moderation.bot_delete_confidence.HIGH",
        "0.95",
        "how sure a bot must be to delete content of tier HIGH",
    ),
    bot(
        "moderation.bot_delete_confidence.CRITICAL",
        "0.95",
        "how sure a bot must be to delete content of tier CRITICAL",
    ),
];

const fn bot(key: &'static str, usual: &'static str, about: &'static str) -> Setting {
    Setting::file(key, Kind::Share, Usual::Same(usual), about)
}
