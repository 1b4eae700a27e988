//! Master keys behind a command: a program that asks a key service (a cloud's, Vault, a PKCS #11 module) and answers.
//!
//! The program is run for each question, without a shell. It is given one JSON object on standard input and gives one
//! back on standard output; binary values are standard base64. It exits with 0, or what it says is not believed.
//!
//! | question | answer |
//! | --- | --- |
//! | `{"v":1,"op":"list"}` | `{"keys":["k-2","k-1"]}`: names, first the one that a new deployment begins with |
//! | `{"v":1,"op":"wrap","key":"k-2","context":"…","dataKey":"…"}` | `{"wrapped":"…"}`, at most 4 KiB |
//! | `{"v":1,"op":"unwrap","key":"k-2","context":"…","wrapped":"…"}` | `{"dataKey":"…"}`, 32 bytes |
//! | any of them | `{"error":"unknown-key"}`, `"altered"`, `"denied"` or `"unavailable"` |
//!
//! `context` says what a key is wrapped for; a service that can bind it (additional data, encryption context) should.
//! What the program writes to standard error is shown in errors: its last line, at most 200 characters of it, and nothing
//! in it that could be a key.

use std::io::{self, Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clawexchange_ssg_core::{DataKey, Escaped, KEY_BYTES, KeyId, PortError};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use serde::Deserialize;
use tokio::sync::Semaphore;
use zeroize::{Zeroize as _, Zeroizing};

use crate::error::QuarantineError;
use crate::keyring::KEYS_MAX;
use crate::masters::MasterKeys;

/// What a command may answer in bytes: a wrapped key of 4 KiB in base64, and room for 64 names.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// What is kept of what it says beside.
const TALK_BYTES_MAX: usize = 4 << 10;
/// Services wrap 32 bytes into some hundred.
const WRAPPED_BYTES_MAX: usize = 4 << 10;
/// Commands at once: each is a process.
const AT_ONCE: usize = 4;
/// How long names are believed before the command is asked again. A name that is not among them is asked for at once, but
/// not more often than [`AGAIN`].
const LISTED: Duration = Duration::from_secs(30);
const AGAIN: Duration = Duration::from_secs(1);

/// Master keys behind a command.
pub struct KeyCommand {
    asked: Arc<Asked>,
    places: Semaphore,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Asked {
    program: PathBuf,
    args: Vec<String>,
    hidden: Vec<String>,
    deadline: Duration,
}

#[derive(Debug)]
struct Known {
    ids: Vec<KeyId>,
    looked: Instant,
}

/// What a command answers, whatever it was asked.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Answer {
    keys: Option<Vec<String>>,
    wrapped: Option<String>,
    data_key: Option<String>,
    error: Option<String>,
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let Some(key) = &mut self.data_key {
            key.zeroize();
        }
    }
}

impl KeyCommand {
    /// Asks which keys there are. `argv` is the program, by its absolute path, and its arguments; variables of the
    /// environment that are `hidden` are not handed on to it. Each answer must come within `deadline`.
    pub async fn open(
        argv: Vec<String>,
        hidden: Vec<String>,
        deadline: Duration,
    ) -> Result<Self, QuarantineError> {
        let mut words = argv.into_iter();
        let program = words.next().map(PathBuf::from).filter(|path| path.is_absolute());
        let program = program.ok_or(QuarantineError::Config {
            setting: "the key command",
            expected: "the absolute path of a program, and its arguments",
        })?;
        let me = Self {
            asked: Arc::new(Asked { program, args: words.collect(), hidden, deadline }),
            places: Semaphore::new(AT_ONCE),
            known: Mutex::new(Known { ids: Vec::new(), looked: Instant::now() }),
        };
        me.list().await?;
        Ok(me)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn list(&self) -> Result<(), QuarantineError> {
        // Also after a failure: a service that is away is not asked more often for it.
        self.known().looked = Instant::now();
        let mut answer = self.ask("list", None, serde_json::json!({"v": 1, "op": "list"})).await?;
        let names = answer.keys.take().ok_or(unfit("it names no keys"))?;
        if names.is_empty() || names.len() > KEYS_MAX {
            return Err(unfit("it names no keys, or more than 64"));
        }
        let ids: Result<Vec<KeyId>, _> = names.iter().map(KeyId::new).collect();
        let ids = ids.ok().ok_or(unfit("a name is no name of a key"))?;
        if ids.iter().enumerate().any(|(n, id)| ids.iter().skip(n + 1).any(|other| other == id)) {
            return Err(unfit("it names a key twice"));
        }
        self.known().ids = ids;
        Ok(())
    }

    async fn ask(
        &self,
        op: &'static str,
        key: Option<&KeyId>,
        question: serde_json::Value,
    ) -> Result<Answer, QuarantineError> {
        let _place = self.places.acquire().await.ok().ok_or(QuarantineError::Stopped)?;
        let asked = Arc::clone(&self.asked);
        let text = Zeroizing::new(question.to_string());
        wipe(question);
        let ran = tokio::task::spawn_blocking(move || run(&asked, text)).await;
        let said = ran.ok().ok_or(QuarantineError::Stopped)??;
        let answer: Answer =
            serde_json::from_slice(&said).ok().ok_or(unfit("it is not the JSON that was asked for"))?;
        match (answer.error.as_deref(), key) {
            (None, _) => Ok(answer),
            (Some("unknown-key"), Some(key)) => Err(QuarantineError::KeyUnknown { key: key.clone() }),
            (Some("altered"), _) => Err(QuarantineError::WrappedKey),
            (Some("denied"), _) => Err(QuarantineError::KeyCommandDenied { op }),
            (Some(_), _) => {
                Err(QuarantineError::KeyCommandAway { what: "it says that its service is away".to_owned() })
            }
        }
    }
}

/// A question with a key in it does not stay in memory longer than it must.
fn wipe(question: serde_json::Value) {
    if let serde_json::Value::Object(members) = question {
        for (_, value) in members {
            if let serde_json::Value::String(mut text) = value {
                text.zeroize();
            }
        }
    }
}

const fn unfit(what: &'static str) -> QuarantineError {
    QuarantineError::KeyCommandAnswer { what }
}

impl std::fmt::Debug for KeyCommand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Arguments may be secret, though they should not.
        f.debug_struct("KeyCommand").field("program", &self.asked.program).finish_non_exhaustive()
    }
}

#[async_trait]
impl MasterKeys for KeyCommand {
    fn ids(&self) -> Vec<KeyId> {
        self.known().ids.clone()
    }

    async fn refresh(&self) -> Result<(), PortError> {
        if self.known().looked.elapsed() >= LISTED {
            self.list().await?;
        }
        Ok(())
    }

    async fn look_for(&self, key: &KeyId) -> Result<(), PortError> {
        let is_due = {
            let known = self.known();
            !known.ids.contains(key) && known.looked.elapsed() >= AGAIN
        };
        if is_due {
            self.list().await?;
        }
        Ok(())
    }

    async fn wrap(&self, key: &KeyId, context: &[u8], data_key: &DataKey) -> Result<Vec<u8>, PortError> {
        let question = serde_json::json!({
            "v": 1, "op": "wrap", "key": key, "context": STANDARD.encode(context),
            "dataKey": STANDARD.encode(data_key.expose()),
        });
        let answer = self.ask("wrap", Some(key), question).await?;
        let wrapped = answer.wrapped.as_deref().ok_or(unfit("it has no wrapped key"))?;
        let wrapped = STANDARD.decode(wrapped).ok().ok_or(unfit("a wrapped key is not base64"))?;
        if wrapped.is_empty() || wrapped.len() > WRAPPED_BYTES_MAX {
            return Err(unfit("a wrapped key is empty or longer than 4 KiB").into());
        }
        Ok(wrapped)
    }

    async fn unwrap(&self, key: &KeyId, context: &[u8], wrapped: &[u8]) -> Result<DataKey, PortError> {
        let question = serde_json::json!({
            "v": 1, "op": "unwrap", "key": key, "context": STANDARD.encode(context),
            "wrapped": STANDARD.encode(wrapped),
        });
        let answer = self.ask("unwrap", Some(key), question).await?;
        let text = answer.data_key.as_deref().ok_or(unfit("it has no key"))?;
        let bytes = Zeroizing::new(STANDARD.decode(text).ok().ok_or(unfit("a key is not base64"))?);
        let bytes: Option<&[u8; KEY_BYTES]> = bytes.as_slice().try_into().ok();
        Ok(DataKey::new(*bytes.ok_or(unfit("a key has other than 32 bytes"))?))
    }
}

/// What a run of the program comes to, piece by piece.
enum Piece {
    Out(Zeroizing<Vec<u8>>),
    Talk(Vec<u8>),
    Ended,
}

/// Runs the program once. It and what it started in its group are gone when this returns, whatever they did.
fn run(asked: &Asked, question: Zeroizing<String>) -> Result<Zeroizing<Vec<u8>>, QuarantineError> {
    let mut command = Command::new(&asked.program);
    command.args(&asked.args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // A group of its own, so that it can be ended with all that it started.
    command.process_group(0);
    for name in &asked.hidden {
        command.env_remove(name);
    }
    let failed = |source: io::Error| QuarantineError::KeyCommand { source };
    let until = Instant::now() + asked.deadline;
    let mut child = command.spawn().map_err(failed)?;
    let number = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let heard = listen(&mut child, number, question);
    let said = collect(&heard, number, until);
    end(number);
    let status = child.wait().map_err(failed)?;
    let (out, talk) = said?;
    if out.len() > ANSWER_BYTES_MAX {
        return Err(unfit("it is longer than 64 KiB"));
    }
    if !status.success() {
        return Err(QuarantineError::KeyCommandAway { what: harmless(&talk) });
    }
    Ok(out)
}

/// Writes the question and reads what comes, each where it holds up none of the others.
fn listen(child: &mut Child, number: Option<Pid>, question: Zeroizing<String>) -> Receiver<Piece> {
    let (tell, heard) = mpsc::channel();
    if let Some(mut stdin) = child.stdin.take() {
        thread::spawn(move || {
            // A program that reads no question may still have an answer.
            let _unread = stdin.write_all(question.as_bytes());
        });
    }
    if let Some(stdout) = child.stdout.take() {
        let tell = tell.clone();
        thread::spawn(move || {
            let mut out = Zeroizing::new(Vec::with_capacity(ANSWER_BYTES_MAX + 1));
            let most = u64::try_from(ANSWER_BYTES_MAX + 1).unwrap_or(u64::MAX);
            // What cannot be read any more is no JSON.
            let _cut = stdout.take(most).read_to_end(&mut out);
            let _late = tell.send(Piece::Out(out));
        });
    }
    if let Some(mut stderr) = child.stderr.take() {
        let tell = tell.clone();
        thread::spawn(move || {
            let mut talk = Vec::new();
            let mut some = [0; 1024];
            while let Ok(n @ 1..) = stderr.read(&mut some) {
                talk.extend_from_slice(some.get(..n).unwrap_or_default());
                let over = talk.len().saturating_sub(TALK_BYTES_MAX);
                talk.drain(..over);
            }
            let _late = tell.send(Piece::Talk(talk));
        });
    }
    thread::spawn(move || {
        if let Some(number) = number {
            // It stays a zombie, so that its number remains its own until the group was ended.
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            let _gone = waitid(WaitId::Pid(number), options);
        }
        let _late = tell.send(Piece::Ended);
    });
    heard
}

fn collect(
    heard: &Receiver<Piece>,
    number: Option<Pid>,
    until: Instant,
) -> Result<(Zeroizing<Vec<u8>>, Vec<u8>), QuarantineError> {
    let (mut out, mut talk, mut has_ended) = (None, None, false);
    while out.is_none() || talk.is_none() || !has_ended {
        let left = until.saturating_duration_since(Instant::now());
        match heard.recv_timeout(left) {
            Ok(Piece::Out(bytes)) => {
                if bytes.len() > ANSWER_BYTES_MAX {
                    return Ok((bytes, Vec::new()));
                }
                out = Some(bytes);
            }
            Ok(Piece::Talk(bytes)) => talk = Some(bytes),
            Ok(Piece::Ended) => {
                has_ended = true;
                // What it left behind has its pipes, and would keep them open.
                end(number);
            }
            Err(_) => return Err(QuarantineError::KeyCommandAway { what: "it took too long".to_owned() }),
        }
    }
    Ok((out.unwrap_or_default(), talk.unwrap_or_default()))
}

fn end(group: Option<Pid>) {
    if let Some(group) = group {
        // Nobody may be left of it.
        let _gone = kill_process_group(group, Signal::KILL);
    }
}

/// Longer runs of such characters may be a key.
const WORD_CHARS_MAX: usize = 20;
const LINE_CHARS_MAX: usize = 200;

/// The last line that a program said, without what could be a key.
fn harmless(talk: &[u8]) -> String {
    let text = String::from_utf8_lossy(talk);
    let Some(line) = text.lines().rev().find(|line| !line.trim().is_empty()) else {
        return "it failed and said nothing".to_owned();
    };
    let is_of_a_key = |c: char| c.is_ascii_alphanumeric() || "+/=_-".contains(c);
    let mut said = String::new();
    let mut word = String::new();
    for c in line.trim().chars().chain([' ']) {
        if is_of_a_key(c) {
            word.push(c);
            continue;
        }
        said.push_str(if word.len() > WORD_CHARS_MAX { "[…]" } else { &word });
        word.clear();
        said.push(c);
    }
    let said: String = said.trim().chars().take(LINE_CHARS_MAX).collect();
    format!("it failed and said: {}", Escaped(&said))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_says_is_shown_without_what_could_be_a_key() {
        let said = harmless(
            b"first\nno token AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA= for vault.example \x1b[2J\n\n",
        );
        assert!(!said.contains("AQID") && !said.contains('\u{1b}') && !said.contains("first"), "{said}");
        assert!(said.contains("no token […] for vault.example"), "{said}");
        assert_eq!(harmless(b" \n"), "it failed and said nothing");
        assert!(harmless("x ".repeat(5000).as_bytes()).len() < 300);
    }
}
