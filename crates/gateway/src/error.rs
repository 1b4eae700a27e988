//! What can go wrong while the parts are put together.

use std::net::SocketAddr;
use std::path::PathBuf;

use clawexchange_audit::AuditError;
use clawexchange_database::{DatabaseError, MigrateError};
use clawexchange_detectors::DetectorsError;
use clawexchange_migrations::adopt::AdoptError;
use clawexchange_moderation::ModerationError;
use clawexchange_quarantine::QuarantineError;
use clawexchange_rate_limiter::LimitError;
use clawexchange_ssg_core::{
    AgentId, EventError, EventId, Fault, FaultKind, GateError, IdError, KeyId, PortError, RegistryError,
};

use crate::folder::FolderError;
use crate::rules::RulesError;

/// Why a part could not be opened or did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PartsError {
    /// The data folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The schema.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    /// Tables of the first system, or of somebody else, have names of ours.
    #[error(transparent)]
    Adopt(#[from] AdoptError),
    /// Migrations stand out.
    #[error("{} step{} of the schema {} not run", pending.len(), if pending.len() == 1 { "" } else { "s" }, if pending.len() == 1 { "has" } else { "have" })]
    Pending {
        /// Their names.
        pending: Vec<&'static str>,
    },
    /// A newer version was here.
    #[error("the data was written by a newer version: step {step} is not known")]
    Newer {
        /// A step that this version does not know.
        step: String,
    },
    /// The log.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// Held content.
    #[error(transparent)]
    Quarantine(#[from] QuarantineError),
    /// The limiter.
    #[error(transparent)]
    Limits(#[from] LimitError),
    /// The rules.
    #[error(transparent)]
    Detectors(#[from] DetectorsError),
    /// The rules as they are kept.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// The plugins.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The gate.
    #[error(transparent)]
    Gate(#[from] GateError),
    /// An event could not be made.
    #[error(transparent)]
    Event(#[from] EventError),
    /// A name is no id.
    #[error("not a usable name")]
    Id(#[from] IdError),
    /// A part behind a port.
    #[error("a part did not do what it was asked")]
    Port(#[source] PortError),
    /// The file of the generated key is gone.
    #[error("the key of this data folder is not at {}", path.display())]
    KeyGone {
        /// Where it should be.
        path: PathBuf,
    },
    /// The key is not the folder's.
    #[error("the master key does not open this data folder: it was used with key {bound}")]
    WrongKey {
        /// The key that the folder was used with.
        bound: KeyId,
    },
    /// The place of keys and pins could not be made.
    #[error("could not make {}", path.display())]
    State {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// What was answered before cannot be made again by the rules that hold now.
    #[error("the rules have changed since this was first sent")]
    RulesChanged,
    /// It cannot be listened there.
    #[error("could not listen on {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// Certificate or key cannot be used.
    #[error("{} cannot be used for TLS: {why}", path.display())]
    Tls {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Tokens and the desk.
    #[error(transparent)]
    Moderation(#[from] ModerationError),
    /// The counters in Redis are taught by another deployment.
    #[error("the counters in Redis are those of the deployment {deployment}")]
    CountersOfAnother {
        /// Which.
        deployment: EventId,
        /// The key that says so.
        key: String,
    },
    /// The classifier that is to be asked cannot be.
    #[error("the classifier cannot be asked: {what}")]
    Remote {
        /// What is wrong.
        what: &'static str,
    },
    /// There is nothing to lift.
    #[error("{agent} is not suspended")]
    NotSuspended {
        /// Who.
        agent: AgentId,
    },
    /// A line has no agent.
    #[error("it is not said which agent posts")]
    NoAgent,
}

impl PartsError {
    fn inner(&self) -> Option<&dyn Fault> {
        Some(match self {
            Self::Folder(e) => e,
            Self::Database(e) => e,
            Self::Migrate(e) => e,
            Self::Adopt(e) => e,
            Self::Audit(e) => e,
            Self::Quarantine(e) => e,
            Self::Limits(e) => e,
            Self::Detectors(e) => e,
            Self::Rules(e) => e,
            Self::Registry(e) => e,
            Self::Gate(e) => e,
            Self::Event(e) => e,
            Self::Moderation(e) => e,
            _ => return None,
        })
    }
}

impl Fault for PartsError {
    fn code(&self) -> &'static str {
        match self {
            Self::Pending { .. } => "gateway/migrations-pending",
            Self::Newer { .. } => "gateway/newer-data",
            Self::Id(_) => "gateway/name",
            Self::Port(e) => e.code(),
            Self::KeyGone { .. } => "gateway/key-gone",
            Self::WrongKey { .. } => "gateway/wrong-key",
            Self::State { .. } => "gateway/state-folder",
            Self::RulesChanged => "gateway/rules-changed",
            Self::Listen { .. } => "gateway/listen",
            Self::Tls { .. } => "gateway/tls",
            Self::CountersOfAnother { .. } => "gateway/counters-of-another",
            Self::Remote { .. } => "gateway/remote",
            Self::NotSuspended { .. } => "gateway/not-suspended",
            Self::NoAgent => "gateway/no-agent",
            other => other.inner().map_or("gateway/parts", Fault::code),
        }
    }

    fn kind(&self) -> FaultKind {
        match self {
            Self::Pending { .. } => FaultKind::Pending,
            Self::Newer { .. } => FaultKind::NotAllowed,
            Self::Id(_) | Self::NoAgent => FaultKind::Invalid,
            Self::RulesChanged => FaultKind::Conflict,
            Self::NotSuspended { .. } => FaultKind::NotFound,
            Self::Port(e) => e.kind(),
            Self::KeyGone { .. }
            | Self::WrongKey { .. }
            | Self::Tls { .. }
            | Self::Remote { .. }
            | Self::CountersOfAnother { .. } => FaultKind::Configuration,
            Self::State { .. } | Self::Listen { .. } => FaultKind::Unavailable,
            other => other.inner().map_or(FaultKind::Internal, Fault::kind),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Pending { .. } => Some("`claw migrate plan` shows them, `claw migrate up` runs them".to_owned()),
            Self::Newer { .. } => Some("run the version that wrote it, or a newer one".to_owned()),
            Self::KeyGone { .. } => Some("restore the file, or give the key in ENCRYPTION_MASTER_KEY; without it held content stays sealed".to_owned()),
            Self::WrongKey { .. } => Some("give the key that the folder was made with".to_owned()),
            Self::State { .. } => Some("set XDG_STATE_HOME to a folder that can be written".to_owned()),
            Self::RulesChanged => Some("send it again under a new Idempotency-Key".to_owned()),
            Self::Listen { .. } => Some("see who listens there already, or name another address with --listen, --admin-listen, CLAW_LISTEN or CLAW_ADMIN_LISTEN".to_owned()),
            Self::Tls { .. } => Some("CLAW_TLS_CERT_FILE is a chain and CLAW_TLS_KEY_FILE its key, both in PEM".to_owned()),
            Self::CountersOfAnother { key, .. } => Some(format!("set CLAW_REDIS_PREFIX to one that no other deployment has; if that one is gone, take its mark away: redis-cli DEL {key}")),
            Self::NotSuspended { .. } => Some("`claw limits suspended` lists who is; a quota of 0 is lifted with `claw limits override`".to_owned()),
            Self::Remote { .. } => Some("CLAW_REMOTE_URL and CLAW_REMOTE_TOKEN say where it is and what it is shown".to_owned()),
            Self::NoAgent => Some("name it with `agentId` in the line or with --agent".to_owned()),
            Self::Port(e) => e.hint(),
            other => other.inner().and_then(Fault::hint),
        }
    }
}
