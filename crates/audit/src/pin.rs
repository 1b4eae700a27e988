//! Size and hash of both logs, kept where who can write the database cannot write.
//!
//! A log that was cut off at its end, or rewritten and rehashed, is whole in itself; it does not extend its pin.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use clawexchange_ssg_core::Mac;
use serde_json::{Value, json};

use crate::error::AuditError;
use crate::leaf::{Hash, Log, canonical};
use crate::log::AuditLog;
use crate::store;
use crate::walk::end_at;

const PIN_MAC: &[u8] = b"claw/pin/v1";

/// A pin is a few hundred bytes; a larger file is none.
const PIN_BYTES_MAX: u64 = 16 << 10;

/// How long one waits for its turn: the others read two rows and write a file.
const TURN: Duration = Duration::from_secs(30);

/// How often it asks whether it is its turn.
const ASK_AGAIN: Duration = Duration::from_millis(5);

/// What was pinned of one log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pinned {
    pub(crate) log: Log,
    pub(crate) origin: String,
    pub(crate) size: u64,
    pub(crate) hash: Hash,
}

impl AuditLog {
    /// Pins the present end of both logs, fsynced, if a place for it is set.
    ///
    /// # Errors
    ///
    /// A log that does not extend what is pinned is not pinned anew: the old pin is the evidence.
    pub async fn pin(&self) -> Result<(), AuditError> {
        let Some(path) = self.0.config.pin.clone() else { return Ok(()) };
        let _lock = lock(&path).await?;
        if let Some(pinned) = self.pinned().await? {
            for pin in &pinned {
                if !self.extends(pin).await? {
                    return Err(AuditError::NotExtended { log: pin.log.as_str(), pinned: pin.size });
                }
            }
        }
        let mut logs = serde_json::Map::new();
        for log in Log::ALL {
            let head =
                store::head(&self.0.db.read(), log).await?.ok_or(AuditError::Head { log: log.as_str() })?;
            let pin = json!({"origin": head.origin, "size": head.size, "head": hex(&head.hash)});
            logs.insert(log.as_str().to_owned(), pin);
        }
        let body = json!({"v": 1, "logs": logs});
        let key = self.0.keys.active();
        let mac = self.0.keys.mac(&key, PIN_MAC, &canonical(&body)?).await.map_err(AuditError::Key)?;
        let file = json!({"pin": body, "mac": mac.to_string()});
        write(&path, &canonical(&file)?).map_err(|source| AuditError::Pin { path, source })
    }

    /// Whether both logs extend what is pinned; `None` if nothing is. It looks at the ends alone and changes nothing.
    pub async fn extends_pin(&self) -> Result<Option<bool>, AuditError> {
        let Some(pinned) = self.pinned().await? else { return Ok(None) };
        for pin in &pinned {
            if !self.extends(pin).await? {
                return Ok(Some(false));
            }
        }
        Ok(Some(true))
    }

    /// What is pinned; `None` if nothing is.
    pub(crate) async fn pinned(&self) -> Result<Option<Vec<Pinned>>, AuditError> {
        let Some(path) = self.0.config.pin.clone() else { return Ok(None) };
        let Some(text) = read(&path).map_err(|source| AuditError::Pin { path: path.clone(), source })? else {
            return Ok(None);
        };
        let altered = || AuditError::PinAltered { path: path.clone() };
        let file: Value = serde_json::from_slice(&text).ok().ok_or_else(altered)?;
        let body = file.get("pin").ok_or_else(altered)?;
        let mac: Mac =
            file.get("mac").and_then(Value::as_str).and_then(|m| m.parse().ok()).ok_or_else(altered)?;
        let wanted = self.0.keys.mac(&mac.key, PIN_MAC, &canonical(body)?).await;
        if !wanted.is_ok_and(|w| subtle::ConstantTimeEq::ct_eq(&w.tag[..], &mac.tag[..]).into()) {
            return Err(altered());
        }
        Log::ALL
            .into_iter()
            .map(|log| parse(body, log).ok_or_else(altered))
            .collect::<Result<_, _>>()
            .map(Some)
    }

    /// Whether the log had this size and hash once, and so is the pinned one or longer.
    pub(crate) async fn extends(&self, pin: &Pinned) -> Result<bool, AuditError> {
        let Some(head) = store::head(&self.0.db.read(), pin.log).await? else { return Ok(false) };
        if head.origin != pin.origin || head.size < pin.size {
            return Ok(false);
        }
        let end = end_at(&self.0.db.read(), pin.log, &pin.origin, pin.size).await?;
        Ok(end.is_some_and(|end| end.hash == pin.hash))
    }
}

fn parse(body: &Value, log: Log) -> Option<Pinned> {
    let pin = body.get("logs")?.get(log.as_str())?;
    let text = pin.get("head")?.as_str()?;
    let mut hash = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, digits) in hash.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(Pinned {
        log,
        origin: pin.get("origin")?.as_str()?.to_owned(),
        size: pin.get("size")?.as_u64()?,
        hash,
    })
}

pub(crate) fn hex(hash: &Hash) -> String {
    hash.iter().fold(String::new(), |text, b| text + &format!("{b:02x}"))
}

/// Whoever pins at once takes turns, so that the older end never replaces the newer.
///
/// It asks again and again and does not wait in the system: one that waits there keeps a thread, on which the one that has
/// the turn may have to go on.
async fn lock(path: &Path) -> Result<File, AuditError> {
    let at = path.with_extension("pin-lock");
    let failed = |source| AuditError::Pin { path: at.clone(), source };
    let open = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&at);
    let (file, started) = (open.map_err(failed)?, Instant::now());
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if started.elapsed() < TURN => tokio::time::sleep(ASK_AGAIN).await,
            Err(error) => return Err(failed(error.into())),
        }
    }
}

fn read(path: &Path) -> std::io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    let mut text = Vec::new();
    file.take(PIN_BYTES_MAX).read_to_end(&mut text)?;
    Ok(Some(text))
}

fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let new = path.with_extension("pin-new");
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    File::open(folder)?.sync_all()
}
