//! What is to be done about each failure.

use clawexchange_ssg_core::{Fault, FaultKind};

use super::QuarantineError;
use crate::status::Status;

impl Fault for QuarantineError {
    fn code(&self) -> &'static str {
        match self {
            Self::Damaged { .. } => "quarantine/damaged",
            Self::TooLarge { .. } => "quarantine/too-large",
            Self::WrappedKey => "quarantine/wrapped-key",
            Self::KeyUnknown { .. } => "quarantine/key-unknown",
            Self::KeyTwice { .. } => "quarantine/key-twice",
            Self::KeyFile { .. } => "quarantine/key-file",
            Self::KeyFileOpen { .. } => "quarantine/key-file-open",
            Self::KeyFileLine { .. } => "quarantine/key-file-line",
            Self::KeysUnused => "quarantine/keys-unused",
            Self::MasterMissing { .. } => "quarantine/master-missing",
            Self::Lagging { .. } => "quarantine/keys-lagging",
            Self::KeyRetired { .. } => "quarantine/key-retired",
            Self::KeyNotActive { .. } => "quarantine/key-not-active",
            Self::KeyActive { .. } => "quarantine/key-active",
            Self::KeyNeeded { .. } => "quarantine/key-needed",
            Self::WeekKeyGone { .. } => "quarantine/week-key-gone",
            Self::WeekKeyElsewhere { .. } => "quarantine/week-key-elsewhere",
            Self::WeekKeysBusy => "quarantine/week-keys-busy",
            Self::WeekKeyFile { .. } => "quarantine/week-key-file",
            Self::KeyCommand { .. } => "quarantine/key-command",
            Self::KeyCommandAway { .. } => "quarantine/key-command-away",
            Self::KeyCommandAnswer { .. } => "quarantine/key-command-answer",
            Self::KeyCommandDenied { .. } => "quarantine/key-command-denied",
            Self::NoRandomness => "quarantine/no-randomness",
            Self::ObjectKey => "quarantine/object-key",
            Self::Objects { .. } => "quarantine/objects",
            Self::ObjectsDenied { .. } => "quarantine/objects-denied",
            #[cfg(feature = "s3")]
            Self::S3(trouble) => trouble.code(),
            #[cfg(feature = "s3")]
            Self::Shared(error) => error.code(),
            Self::ObjectTaken { .. } => "quarantine/object-taken",
            Self::ObjectMissing { .. } => "quarantine/object-missing",
            Self::NoLink { .. } => "quarantine/no-link",
            Self::NotFound { .. } => "quarantine/not-found",
            Self::Gone { .. } => "quarantine/gone",
            Self::NeverKept { .. } => "quarantine/never-kept",
            Self::Conflict { .. } => "quarantine/conflict",
            Self::NotShown { .. } => "quarantine/not-shown",
            Self::Altered { .. } => "quarantine/altered",
            Self::Claimed { .. } => "quarantine/claimed",
            Self::StaleClaim { .. } => "quarantine/stale-claim",
            Self::Lease => "quarantine/lease",
            Self::LegalHold { .. } => "quarantine/legal-hold",
            Self::NoLegalHold { .. } => "quarantine/no-legal-hold",
            Self::GrantRefused => "quarantine/grant-refused",
            Self::HumansOnly => "quarantine/humans-only",
            Self::ProgramsOnly => "quarantine/programs-only",
            Self::PlatformOnly => "quarantine/platform-only",
            Self::TooManyHolds { .. } => "quarantine/too-many-holds",
            Self::Full { .. } => "quarantine/full",
            Self::Text { .. } => "quarantine/text",
            Self::UnknownWord { .. } => "quarantine/unknown-word",
            Self::Cursor => "quarantine/cursor",
            Self::Offset { .. } => "quarantine/offset",
            Self::Config { .. } => "quarantine/config",
            Self::Row { .. } => "quarantine/row",
            Self::Event(error) => error.code(),
            Self::Database(error) => error.code(),
            Self::Port { source, .. } => source.code(),
            Self::Stopped => "quarantine/stopped",
        }
    }

    fn kind(&self) -> FaultKind {
        match self {
            Self::Damaged { .. }
            | Self::WrappedKey
            | Self::ObjectTaken { .. }
            | Self::ObjectMissing { .. }
            | Self::Altered { .. }
            | Self::Row { .. } => FaultKind::Integrity,
            Self::TooLarge { .. } => FaultKind::TooLarge,
            Self::KeyUnknown { .. }
            | Self::KeyTwice { .. }
            | Self::KeyFile { .. }
            | Self::KeyFileOpen { .. }
            | Self::KeyFileLine { .. }
            | Self::KeysUnused
            | Self::MasterMissing { .. }
            | Self::WeekKeyElsewhere { .. }
            | Self::KeyCommand { .. }
            | Self::KeyCommandDenied { .. }
            | Self::Config { .. } => FaultKind::Configuration,
            Self::NoRandomness
            | Self::Objects { .. }
            | Self::ObjectsDenied { .. }
            | Self::Full { .. }
            | Self::WeekKeysBusy
            | Self::WeekKeyFile { .. }
            | Self::KeyCommandAway { .. }
            | Self::KeyCommandAnswer { .. } => FaultKind::Unavailable,
            #[cfg(feature = "s3")]
            Self::S3(trouble) => trouble.kind(),
            #[cfg(feature = "s3")]
            Self::Shared(error) => error.kind(),
            Self::NotFound { .. } | Self::Gone { .. } | Self::NeverKept { .. } | Self::WeekKeyGone { .. } => {
                FaultKind::NotFound
            }
            Self::Lagging { .. } => FaultKind::Pending,
            Self::Conflict { .. }
            | Self::NoLink { .. }
            | Self::KeyRetired { .. }
            | Self::KeyNotActive { .. }
            | Self::KeyActive { .. }
            | Self::KeyNeeded { .. }
            | Self::NotShown { .. }
            | Self::Claimed { .. }
            | Self::StaleClaim { .. }
            | Self::LegalHold { .. }
            | Self::NoLegalHold { .. } => FaultKind::Conflict,
            Self::GrantRefused | Self::HumansOnly | Self::ProgramsOnly | Self::PlatformOnly => {
                FaultKind::NotAllowed
            }
            Self::TooManyHolds { .. } => FaultKind::Limited,
            Self::ObjectKey
            | Self::Text { .. }
            | Self::UnknownWord { .. }
            | Self::Cursor
            | Self::Offset { .. }
            | Self::Lease => FaultKind::Invalid,
            Self::Event(error) => error.kind(),
            Self::Database(error) => error.kind(),
            Self::Port { source, .. } => source.kind(),
            Self::Stopped => FaultKind::Internal,
        }
    }

    fn is_transient(&self) -> bool {
        match self {
            Self::Database(error) => error.is_transient(),
            Self::Port { source, .. } => source.is_transient(),
            #[cfg(feature = "s3")]
            Self::S3(trouble) => trouble.is_transient(),
            #[cfg(feature = "s3")]
            Self::Shared(error) => error.is_transient(),
            Self::ObjectsDenied { .. } => false,
            _ => matches!(self.kind(), FaultKind::Unavailable | FaultKind::Limited),
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Damaged { .. } | Self::WrappedKey | Self::Altered { .. } | Self::Row { .. } => {
                "run `claw audit verify`, and compare with the last backup"
            }
            Self::KeyUnknown { .. } => "give the key that was in use when the content was held",
            Self::MasterMissing { .. } => "give the key of this name: the deployment was used with it",
            Self::Lagging { .. } => {
                "give the key to each of them (they read their key file anew by themselves), or stop them, and try again"
            }
            Self::KeyRetired { .. } => "activate another: `claw keys generate --add`",
            Self::KeyNotActive { .. } => "run `claw keys rewrap` again",
            Self::KeyActive { .. } => "`claw keys status` says which there are; activate another first",
            Self::KeyNeeded { .. } => "run `claw keys rewrap`, then try again",
            Self::WeekKeyGone { .. } => {
                "content that was destroyed stays so; after a restore from a backup `claw quarantine reconcile` lists it"
            }
            Self::WeekKeyElsewhere { .. } => {
                "set CLAW_WEEK_KEY_DIR to the folder that the other processes use"
            }
            Self::WeekKeyFile { .. } => {
                "see who owns the folder of the keys of weeks, and whether its disk has room"
            }
            Self::KeyCommand { .. } => {
                "CLAW_KEY_COMMAND names a program by its absolute path; see that it can be run"
            }
            Self::KeyCommandAway { .. } | Self::KeyCommandAnswer { .. } => {
                "run the command by hand with {\"v\":1,\"op\":\"list\"} on its standard input"
            }
            Self::KeyCommandDenied { .. } => "see what the key service permits this deployment",
            Self::KeyFileOpen { .. } => {
                "make it readable by its owner alone: chmod 600, and chown if need be"
            }
            Self::KeyFileLine { .. } => "a line is a key in base64, or its name, a space, and the key",
            Self::Objects { .. } => "free some space, or mount the folder for writing, and try again",
            Self::ObjectsDenied { .. } => "give the folder to the user that runs this",
            #[cfg(feature = "s3")]
            Self::S3(trouble) => return trouble.hint(),
            #[cfg(feature = "s3")]
            Self::Shared(error) => return error.hint(),
            Self::ObjectMissing { .. } => "run `claw quarantine reconcile`",
            Self::NoLink { .. } => "it lies in its row or in a file: `claw quarantine content ID` opens it",
            Self::NeverKept { .. } => {
                "what is known of it is in `claw quarantine show ID` and `claw audit query --target ID`"
            }
            Self::NotShown { current: Status::Deleted | Status::Expired, .. } => {
                "bring it back with `claw quarantine restore ID --reason TEXT` while its grace lasts"
            }
            Self::Claimed { .. } => "wait until then, or ask them to give it back",
            Self::StaleClaim { .. } => "claim the record again, and look at it as it is now",
            Self::LegalHold { .. } => "lift the hold first: `claw quarantine hold ID --lift`",
            Self::GrantRefused => "ask for a new grant: one opens once, for whoever asked, for a few minutes",
            Self::TooManyHolds { .. } => "somebody has to decide about what is held first",
            Self::Full { .. } => "decide about what is held, or raise the bound",
            Self::Database(error) => return error.hint(),
            Self::Port { source, .. } => return source.hint(),
            _ => return None,
        };
        Some(hint.to_owned())
    }
}
