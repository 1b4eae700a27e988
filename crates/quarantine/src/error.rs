//! What can go wrong here.

mod fault;

use std::io;
use std::path::PathBuf;
#[cfg(feature = "s3")]
use std::sync::Arc;

use clawexchange_database::DatabaseError;
use clawexchange_ssg_core::{EventError, KeyId, MasterKeyError, PortError, QuarantineId, Timestamp};

#[cfg(feature = "s3")]
use crate::bucket::trouble::S3Trouble;
use crate::status::Status;
use crate::vault::KeyUse;

/// Why something was not held, shown, decided or kept. No variant carries content, a key or a token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QuarantineError {
    /// Sealed bytes are not what was sealed.
    #[error("sealed content was altered: {flaw}")]
    Damaged {
        /// What does not fit.
        flaw: Flaw,
    },
    /// The content is longer than what is held.
    #[error("content of more than {max} bytes is not held")]
    TooLarge {
        /// The bound.
        max: u64,
    },
    /// A wrapped key does not open: it was altered, or wrapped for something else.
    #[error("a wrapped key was altered")]
    WrappedKey,
    /// No such master key is here.
    #[error("master key {key} is not in the key ring")]
    KeyUnknown {
        /// Its name.
        key: KeyId,
    },
    /// Two keys have one name.
    #[error("the key ring has two keys named {key}")]
    KeyTwice {
        /// The name.
        key: KeyId,
    },
    /// The key file cannot be read or written.
    #[error("could not use the key file {}", path.display())]
    KeyFile {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The key file can be read by others.
    #[error("the key file {} is open to others, or not a file of this user", path.display())]
    KeyFileOpen {
        /// Where.
        path: PathBuf,
    },
    /// The key file is not written as key files are.
    #[error("line {line} of the key file {} is not a key", path.display())]
    KeyFileLine {
        /// Where.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// Why, where it is the key itself.
        source: Option<MasterKeyError>,
    },
    /// No key was ever used here, and none is made.
    #[error("no key was used here yet")]
    KeysUnused,
    /// A master key that is needed is not here, or is another one of the same name.
    #[error("master key {key} is not here, or is not the one that was in use")]
    MasterMissing {
        /// Its name.
        key: KeyId,
    },
    /// Processes that serve do not know of a change of keys yet.
    #[error("not ready for a change of master key {key}: {instances}")]
    Lagging {
        /// The key.
        key: KeyId,
        /// Which processes.
        instances: String,
    },
    /// A key that is retired stays so.
    #[error("master key {key} is retired")]
    KeyRetired {
        /// The key.
        key: KeyId,
    },
    /// Another key was activated meanwhile.
    #[error("master key {key} is not the active one any more")]
    KeyNotActive {
        /// The key.
        key: KeyId,
    },
    /// The key that wraps what is new cannot be retired.
    #[error("master key {key} is the active one, or was never in use")]
    KeyActive {
        /// The key.
        key: KeyId,
    },
    /// Rows need the key.
    #[error(
        "{} rows of {} need master key {}, the first of them {}",
        needed.rows, needed.table, needed.key, needed.first
    )]
    KeyNeeded {
        /// Which.
        needed: Box<KeyUse>,
    },
    /// The key of a week was destroyed, and what it wrapped is gone with it.
    #[error("the key of a week, {key}, is gone, and what it wrapped with it")]
    WeekKeyGone {
        /// Its name.
        key: KeyId,
    },
    /// The key of a week lies outside the database, and it was not said where.
    #[error("the key of a week, {key}, lies outside the database, and it is not said where")]
    WeekKeyElsewhere {
        /// Its name.
        key: KeyId,
    },
    /// Keys of weeks were exchanged faster than something could be stored.
    #[error("keys of weeks are being exchanged")]
    WeekKeysBusy,
    /// The file of the key of a week cannot be used.
    #[error("could not {act} the file of a week's key")]
    WeekKeyFile {
        /// What was tried.
        act: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The program that keeps master keys cannot be run.
    #[error("could not run the key command")]
    KeyCommand {
        /// Why.
        source: io::Error,
    },
    /// It failed, or took too long.
    #[error("the key command has no answer: {what}")]
    KeyCommandAway {
        /// What is known of it.
        what: String,
    },
    /// What it answered is no answer.
    #[error("the answer of the key command cannot be used: {what}")]
    KeyCommandAnswer {
        /// What is wrong with it.
        what: &'static str,
    },
    /// Its service refuses.
    #[error("the key command may not {op}")]
    KeyCommandDenied {
        /// What was asked.
        op: &'static str,
    },
    /// The machine gave no random bytes.
    #[error("the machine gave no random bytes")]
    NoRandomness,
    /// The text is not the key of an object.
    #[error("not the key of an object")]
    ObjectKey,
    /// The place where objects lie is away, full or read-only.
    #[error("could not {act} an object")]
    Objects {
        /// What was tried.
        act: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The place where objects lie does not let this user in.
    #[error("not permitted to {act} an object")]
    ObjectsDenied {
        /// What was tried.
        act: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A bucket did not do it.
    #[cfg(feature = "s3")]
    #[error(transparent)]
    S3(#[from] S3Trouble),
    /// What failed for several at once.
    #[cfg(feature = "s3")]
    #[error("{0}")]
    Shared(Arc<Self>),
    /// An object of this name is there already.
    #[error("the object of record {id} is there already, and it is another")]
    ObjectTaken {
        /// The record.
        id: QuarantineId,
    },
    /// The object of a record is not there.
    #[error("the object of record {id} is missing")]
    ObjectMissing {
        /// The record.
        id: QuarantineId,
    },
    /// The sealed bytes of a record do not lie where a link leads.
    #[error("the sealed bytes of record {id} do not lie in a bucket")]
    NoLink {
        /// The record.
        id: QuarantineId,
    },
    /// There is no such record.
    #[error("no record {id}")]
    NotFound {
        /// The name.
        id: QuarantineId,
    },
    /// The content was destroyed.
    #[error("the content of record {id} is gone for good")]
    Gone {
        /// The record.
        id: QuarantineId,
    },
    /// The content of an adopted record cannot be recovered.
    #[error("the content of record {id} cannot be opened: the system that held it never kept what opens it")]
    NeverKept {
        /// The record.
        id: QuarantineId,
    },
    /// The record is in a state that does not permit it, or has changed meanwhile.
    #[error("record {id} is {current}")]
    Conflict {
        /// The record.
        id: QuarantineId,
        /// What it is now.
        current: Status,
    },
    /// Content of such a record is not shown.
    #[error("record {id} is {current}, and its content is not shown")]
    NotShown {
        /// The record.
        id: QuarantineId,
        /// What it is now.
        current: Status,
    },
    /// A row is not as its last change left it: somebody edited the table.
    #[error("the row of record {id} was altered behind the log's back")]
    Altered {
        /// The record.
        id: QuarantineId,
    },
    /// Somebody else looks at the record.
    #[error("somebody else has claimed record {id} until {until}")]
    Claimed {
        /// The record.
        id: QuarantineId,
        /// Until when.
        until: Timestamp,
    },
    /// The claim is not the one that stands.
    #[error("the claim on record {id} does not stand any more")]
    StaleClaim {
        /// The record.
        id: QuarantineId,
    },
    /// Nobody looks at a record for so short or so long.
    #[error("a claim lasts 1 minute to 1 hour")]
    Lease,
    /// A legal hold forbids it.
    #[error("record {id} is under a legal hold")]
    LegalHold {
        /// The record.
        id: QuarantineId,
    },
    /// There is no legal hold to lift.
    #[error("record {id} is under no legal hold")]
    NoLegalHold {
        /// The record.
        id: QuarantineId,
    },
    /// The grant is unknown, used, too old, or somebody else's: which of these is not said.
    #[error("the grant does not open anything")]
    GrantRefused,
    /// Only people look at held content.
    #[error("held content is shown to people only")]
    HumansOnly,
    /// People do not escalate: they decide.
    #[error("only programs leave content to a person")]
    ProgramsOnly,
    /// Released content is handed to who publishes it.
    #[error("released content is handed to the platform only")]
    PlatformOnly,
    /// An agent or owner has too much held already.
    #[error("the {scope} has {max} {unit} held already")]
    TooManyHolds {
        /// `agent` or `owner`.
        scope: &'static str,
        /// The bound.
        max: u64,
        /// `records` or `bytes`.
        unit: &'static str,
    },
    /// Nothing more can be held.
    #[error("{max} {unit} are held already: the quarantine is full")]
    Full {
        /// The bound.
        max: u64,
        /// `records` or `bytes`.
        unit: &'static str,
    },
    /// A text that somebody gave is empty, too long or has characters that hide or forge.
    #[error("a {what} is 1 to {max} bytes of text without control characters")]
    Text {
        /// Which text.
        what: &'static str,
        /// The bound.
        max: usize,
    },
    /// The word is none of those known.
    #[error("not one of {known}")]
    UnknownWord {
        /// The words that are known, with `|` between them.
        known: &'static str,
    },
    /// The cursor was not made by this list.
    #[error("the cursor was not made by this list")]
    Cursor,
    /// A page by offset is too far away, too large or empty.
    #[error("a page begins after {max} records at most, and has 1 to {items_max}")]
    Offset {
        /// The furthest.
        max: u64,
        /// The most records.
        items_max: u64,
    },
    /// A setting is out of its range.
    #[error("{setting} must be {expected}")]
    Config {
        /// The setting.
        setting: &'static str,
        /// Its range.
        expected: &'static str,
    },
    /// A row has what no row of ours has.
    #[error("column {column} of record {id} has a value that was never written there")]
    Row {
        /// The record, as far as it can be told.
        id: String,
        /// The column.
        column: &'static str,
    },
    /// The event of a change cannot be made.
    #[error("could not put the change into words")]
    Event(#[from] EventError),
    /// The database did not do it.
    #[error("the database did not do it")]
    Database(#[from] DatabaseError),
    /// Another part did not do it: who keeps the keys, who drains the outbox, where objects lie.
    #[error("could not {act}")]
    Port {
        /// What was asked of it.
        act: &'static str,
        /// Why.
        source: PortError,
    },
    /// A task of ours ended before its work did.
    #[error("stopped before it was done")]
    Stopped,
}

impl QuarantineError {
    /// Why a master key cannot be retired that rows of another crate need.
    pub fn needed(key: &KeyId, table: &'static str, rows: u64) -> Self {
        let needed = KeyUse { key: key.clone(), table, rows, first: "not looked up".to_owned() };
        Self::KeyNeeded { needed: Box::new(needed) }
    }
}

/// What does not fit in sealed bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flaw {
    /// They do not begin as sealed content does, or are of a version or suite that is not known.
    Format,
    /// The header is not in its one spelling.
    Header,
    /// The header tells of something else than the record does.
    Context,
    /// The key is not the one that they were sealed with.
    Commitment,
    /// A chunk was altered, moved or left out.
    Chunk,
    /// The end is missing, or something follows it.
    Length,
}

impl std::fmt::Display for Flaw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Format => "its format is not known",
            Self::Header => "its header is not well-formed",
            Self::Context => "its header is that of another record",
            Self::Commitment => "its key is another",
            Self::Chunk => "a chunk does not open",
            Self::Length => "its length is not what it was",
        })
    }
}

impl From<Flaw> for QuarantineError {
    fn from(flaw: Flaw) -> Self {
        Self::Damaged { flaw }
    }
}
