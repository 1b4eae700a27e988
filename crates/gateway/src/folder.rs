//! The data folder: whose it is, who may look into it, who serves it.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use clawexchange_ssg_core::{Fault, FaultKind};

/// A folder that is ours and open to nobody else.
#[derive(Clone, Debug)]
pub struct DataFolder(PathBuf);

impl DataFolder {
    /// Takes a folder that is there and holds a database.
    pub fn existing(path: &Path) -> Result<Self, FolderError> {
        let folder = Self::checked(path)?;
        match folder.database().try_exists() {
            Ok(true) => Ok(folder),
            Ok(false) => Err(FolderError::Missing { path: path.to_owned() }),
            Err(source) => Err(FolderError::Unreadable { path: path.to_owned(), source }),
        }
    }

    /// Takes a folder that may not be there yet: where rows are on a server, it has what this process holds and counts.
    pub fn expected(path: &Path) -> Result<Self, FolderError> {
        match Self::checked(path) {
            Err(FolderError::Missing { path }) => Ok(Self(path)),
            checked => checked,
        }
    }

    /// Takes a folder, and makes it if there is none, for its owner only.
    pub fn created(path: &Path) -> Result<Self, FolderError> {
        if fs::symlink_metadata(path).is_err() {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
            made.map_err(|source| FolderError::Unwritable { path: path.to_owned(), source })?;
        }
        Self::checked(path)
    }

    fn checked(path: &Path) -> Result<Self, FolderError> {
        let about = match fs::metadata(path) {
            Ok(about) => about,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Err(FolderError::Missing { path: path.to_owned() });
            }
            Err(source) => return Err(FolderError::Unreadable { path: path.to_owned(), source }),
        };
        let uid = rustix::process::geteuid().as_raw();
        if !about.is_dir() {
            return Err(FolderError::NotAFolder { path: path.to_owned() });
        }
        if about.uid() != uid {
            return Err(FolderError::OfAnother { path: path.to_owned(), owner: about.uid(), uid });
        }
        if about.mode() & 0o077 != 0 {
            return Err(FolderError::OpenToOthers { path: path.to_owned(), mode: about.mode() & 0o777 });
        }
        Ok(Self(path.to_owned()))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The database, readable by stock sqlite3, unless rows are on a server.
    pub fn database(&self) -> PathBuf {
        self.0.join("claw.db")
    }

    /// Sealed content that is too large for its row.
    pub fn objects(&self) -> PathBuf {
        self.0.join("objects")
    }

    /// Counters of the limiter.
    pub fn journal(&self) -> PathBuf {
        self.0.join("limits.journal")
    }

    /// Takes the folder for serving: one process at a time does.
    pub fn lock(&self) -> Result<FolderLock, FolderError> {
        let path = self.0.join("claw.lock");
        let unwritable = |source| FolderError::Unwritable { path: path.clone(), source };
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(unwritable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let read = Read::by_ref(&mut file).take(64).read_to_string(&mut holder);
                let pid = read.ok().and_then(|_| holder.trim().parse().ok());
                return Err(FolderError::Served { path: self.0.clone(), pid });
            }
            Err(TryLockError::Error(source)) => return Err(unwritable(source)),
        }
        let noted = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        noted.map_err(unwritable)?;
        Ok(FolderLock(file))
    }
}

/// While it lives, no other process serves the folder.
#[derive(Debug)]
pub struct FolderLock(#[expect(dead_code, reason = "the lock is held as long as the file is open")] File);

/// Why a folder is not used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// There is none, or no database in it.
    #[error("no data at {}", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// It is a file.
    #[error("{} is not a folder", path.display())]
    NotAFolder {
        /// What was given.
        path: PathBuf,
    },
    /// It cannot be looked at.
    #[error("could not read {}", path.display())]
    Unreadable {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It cannot be written.
    #[error("could not write {}", path.display())]
    Unwritable {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another user owns it.
    #[error("{} belongs to user {owner}, not to user {uid}", path.display())]
    OfAnother {
        /// The folder.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Who runs.
        uid: u32,
    },
    /// Others may look into it.
    #[error("{} is open to others (mode {mode:o})", path.display())]
    OpenToOthers {
        /// The folder.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Another process serves it.
    #[error("{} is served by {}", path.display(), served_by(*pid))]
    Served {
        /// The folder.
        path: PathBuf,
        /// The process, if it said so.
        pid: Option<u32>,
    },
}

fn served_by(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

impl Fault for FolderError {
    fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "gateway/no-data",
            Self::NotAFolder { .. } => "gateway/not-a-folder",
            Self::Unreadable { .. } => "gateway/unreadable",
            Self::Unwritable { .. } => "gateway/unwritable",
            Self::OfAnother { .. } => "gateway/folder-of-another",
            Self::OpenToOthers { .. } => "gateway/folder-open",
            Self::Served { .. } => "gateway/folder-served",
        }
    }

    fn kind(&self) -> FaultKind {
        match self {
            Self::Missing { .. } => FaultKind::NotFound,
            Self::Unreadable { .. } | Self::Unwritable { .. } => FaultKind::Unavailable,
            Self::NotAFolder { .. } | Self::OfAnother { .. } | Self::OpenToOthers { .. } => {
                FaultKind::NotAllowed
            }
            Self::Served { .. } => FaultKind::Locked,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Missing { .. } => "name the folder with --data-dir or CLAW_DATA_DIR; `claw submit` and `claw migrate up` make one".to_owned(),
            Self::NotAFolder { .. } => "name a folder with --data-dir or CLAW_DATA_DIR".to_owned(),
            Self::Unreadable { .. } | Self::Unwritable { .. } => "see who owns it, and whether the disk is full or read-only".to_owned(),
            Self::OfAnother { owner, .. } => format!("run as user {owner}, or name another folder"),
            Self::OpenToOthers { path, .. } => format!("chmod 700 {}", path.display()),
            Self::Served { .. } => "wait until it is done, or stop it; commands that only read work beside it".to_owned(),
        })
    }
}
