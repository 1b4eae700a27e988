//! The order in which settings are read about.

use super::remote::{
    REMOTE_DEADLINE, REMOTE_FAILURE, REMOTE_MODE, REMOTE_PLAINTEXT, REMOTE_TOKEN, REMOTE_URL,
};
use super::rules::{REQUIRE_SIGNATURE, TRUSTED_KEYS};
use super::setting::{Section, Setting};
use super::table::{
    ACCEPTED, ACQUIRE_TIMEOUT, ADMIN_LISTEN, ADMIN_USER, ALLOW_HOSTS, AUDIT, AUDIT_OFF_REASON, AUTOBACKUP,
    BODY_BYTES, BODY_TIMEOUT, BOT_DELETE, BOT_RELEASE, CATEGORY, CLAIM, CONFIG, CONNECTIONS, DATA_DIR,
    DATABASE, DB_HOST, DB_NAME, DB_PASSWORD, DB_PORT, DB_USER, DENY_HOSTS, DEPTH, DETECTION_LEVEL, DRAIN,
    ENFORCE_MODERATION, ENV, EXPIRY, FIELDS, GATE_MODE, GATE_TYPES, GRANT, HEADER_TIMEOUT, HEALTH_INTERVAL,
    HEALTHCHECKS, INLINE, INSPECT_HOUR, INSPECT_MINUTE, INSTANCES, KEY, KEY_COMMAND, KEY_COMMAND_TIMEOUT,
    KEYRING, LEVEL, LISTEN, LOG_FILTER, LOG_FORMAT, OWNER_DATABASE, PLUGIN_ENABLED, PLUGIN_FAILURE, POOL,
    POOL_MIN, PROFILE, QUARANTINE, READ_DATABASE, REDIS, REDIS_CA, REDIS_CONNECT, REDIS_CONNECTIONS,
    REDIS_DEADLINE, REDIS_PLAINTEXT, REDIS_PREFIX, REQUESTS, RULE_MODE, SAFE_MODE, SENTINEL_PASSWORD, SPOOL,
    SPOOL_BYTES, SPOOL_DIR, STATE_DIR, STATEMENT_TIMEOUT, SWEEP, TEXT_BYTES, TIERS, TLS_CERT, TLS_KEY,
    TRUSTED_PROXIES, WEEK_KEYS, WHEN_AWAY,
};
use super::{campaigns, objects};

/// Where held content lies in S3.
pub(super) const OBJECTS: &[&Setting] = &[
    &objects::ENDPOINT,
    &objects::BUCKET,
    &objects::ACCESS_KEY,
    &objects::SECRET_KEY,
    &objects::REGION,
    &objects::STYLE,
    &objects::PREFIX,
    &objects::AUTHORITIES,
    &objects::CONNECT_TIMEOUT,
    &objects::ATTEMPT_TIMEOUT,
    &objects::DEADLINE,
    &objects::CONNECTIONS,
];

/// All settings in the order in which they are read about.
pub(crate) static SECTIONS: [Section; 15] = [
    Section { title: "Deployment", settings: &[&ENV, &CONFIG, &DATA_DIR, &STATE_DIR, &ADMIN_USER] },
    Section {
        title: "Database",
        settings: &[
            &DATABASE,
            &DB_HOST,
            &DB_PORT,
            &DB_NAME,
            &DB_USER,
            &DB_PASSWORD,
            &OWNER_DATABASE,
            &READ_DATABASE,
            &POOL_MIN,
            &POOL,
            &ACQUIRE_TIMEOUT,
            &STATEMENT_TIMEOUT,
            &SPOOL,
            &SPOOL_DIR,
            &SPOOL_BYTES,
        ],
    },
    Section {
        title: "Counters",
        settings: &[
            &REDIS,
            &REDIS_CA,
            &SENTINEL_PASSWORD,
            &REDIS_PLAINTEXT,
            &REDIS_PREFIX,
            &REDIS_DEADLINE,
            &REDIS_CONNECT,
            &REDIS_CONNECTIONS,
            &WHEN_AWAY,
            &INSTANCES,
        ],
    },
    Section {
        title: "Server",
        settings: &[
            &LISTEN,
            &ADMIN_LISTEN,
            &TLS_CERT,
            &TLS_KEY,
            &TRUSTED_PROXIES,
            &CONNECTIONS,
            &REQUESTS,
            &HEADER_TIMEOUT,
            &BODY_TIMEOUT,
            &DRAIN,
        ],
    },
    Section { title: "What the program says of itself", settings: &[&LOG_FORMAT, &LOG_FILTER] },
    Section { title: "Gate", settings: &[&GATE_MODE, &GATE_TYPES] },
    Section {
        title: "Held content",
        settings: &[
            &QUARANTINE,
            &KEY,
            &KEYRING,
            &KEY_COMMAND,
            &KEY_COMMAND_TIMEOUT,
            &WEEK_KEYS,
            &EXPIRY,
            &INLINE,
            &SWEEP,
        ],
    },
    Section { title: "Bucket of held content", settings: OBJECTS },
    Section { title: "Log of decisions", settings: &[&AUDIT, &AUDIT_OFF_REASON] },
    Section {
        title: "Operations",
        settings: &[&HEALTHCHECKS, &HEALTH_INTERVAL, &ENFORCE_MODERATION, &AUTOBACKUP],
    },
    Section {
        title: "Policy",
        settings: &[
            &PROFILE,
            &SAFE_MODE,
            &LEVEL,
            &DETECTION_LEVEL,
            &ALLOW_HOSTS,
            &DENY_HOSTS,
            &ACCEPTED,
            &TEXT_BYTES,
            &BODY_BYTES,
            &FIELDS,
            &DEPTH,
            &CATEGORY,
            &TIERS[0],
            &TIERS[1],
            &TIERS[2],
            &TIERS[3],
            &RULE_MODE,
            &TRUSTED_KEYS,
            &REQUIRE_SIGNATURE,
            &PLUGIN_ENABLED,
            &PLUGIN_FAILURE,
        ],
    },
    Section {
        title: "A classifier that is asked",
        settings: &[
            &REMOTE_URL,
            &REMOTE_TOKEN,
            &REMOTE_MODE,
            &REMOTE_DEADLINE,
            &REMOTE_FAILURE,
            &REMOTE_PLAINTEXT,
        ],
    },
    Section { title: "Limits", settings: &[&INSPECT_HOUR, &INSPECT_MINUTE] },
    Section {
        title: "Campaigns",
        settings: &[&campaigns::ENABLED, &campaigns::OWNERS, &campaigns::REPEATS, &campaigns::HOLD_OWNERS],
    },
    Section {
        title: "Moderation",
        settings: &[
            &GRANT,
            &CLAIM,
            &BOT_RELEASE[0],
            &BOT_RELEASE[1],
            &BOT_RELEASE[2],
            &BOT_DELETE[0],
            &BOT_DELETE[1],
            &BOT_DELETE[2],
        ],
    },
];
