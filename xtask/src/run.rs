//! Starts programs, shows what they say while they say it, and keeps it.

use std::fmt;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, PipeReader, Write as _};
use std::process::{Command, ExitCode, ExitStatus, Output, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

/// Why a command of ours ends early, what to do about it, and the exit code.
#[derive(Debug)]
pub(crate) struct Failed {
    what: String,
    hint: Option<String>,
    code: u8,
}

impl Failed {
    /// Exit code for a program that is not there, as `claw` has it.
    const UNAVAILABLE: u8 = 69;

    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), hint: None, code: 1 }
    }

    pub(crate) fn start(program: &str, error: &std::io::Error) -> Self {
        Self { code: Self::UNAVAILABLE, ..Self::new(format!("could not start {program}: {error}")) }
    }

    pub(crate) fn missing(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), code: Self::UNAVAILABLE, ..Self::new(what) }
    }

    pub(crate) fn hinting(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn in_step(mut self, step: impl fmt::Display) -> Self {
        self.what = format!("step {step}: {}", self.what);
        self
    }

    pub(crate) fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

/// How long a program of ours may be silent: a build, or one test with nothing to say, takes two minutes at most.
pub(crate) const PATIENCE: Duration = Duration::from_mins(10);

/// Runs a command and gives each line that it says, on either stream, to our stderr, to `log` and to `on_line`.
///
/// Both streams go through one pipe, so that lines keep their order. If nothing is said for as long as `patience`,
/// something hangs: what the program started, and what that waits for, is said and killed, so that a run has a reason and
/// goes on, and does not end with somebody else's deadline. The program itself is killed when it started nothing.
pub(crate) fn streamed(
    mut command: Command,
    patience: Duration,
    mut log: Option<&mut File>,
    mut on_line: impl FnMut(&str),
) -> Result<ExitStatus, Failed> {
    let program = command.get_program().to_string_lossy().into_owned();
    let broken = |e: std::io::Error| Failed::new(format!("could not read what {program} says: {e}"));
    let (reader, writer) = std::io::pipe().map_err(broken)?;
    command.stdout(writer.try_clone().map_err(broken)?).stderr(writer);
    let mut child = command.spawn().map_err(|e| Failed::start(&program, &e))?;
    // It has the pipe's writing end too, and the reading below would never end.
    drop(command);
    let lines = lines(reader);
    let mut talk = std::io::stderr().lock();
    loop {
        let line = match lines.recv_timeout(patience) {
            Ok(line) => line.map_err(broken)?,
            Err(RecvTimeoutError::Disconnected) => break,
            // It ended, and something that it left behind has its end of the pipe.
            Err(RecvTimeoutError::Timeout) if child.try_wait().map_err(broken)?.is_some() => break,
            Err(RecvTimeoutError::Timeout) => {
                let hung = hung(child.id());
                kill(&hung);
                let waited = patience.as_secs();
                format!("{program} said nothing for {waited} s, so this was killed:\n{}", Shown(&hung))
                    .into_bytes()
            }
        };
        // A terminal that went away is no reason to stop the run.
        drop(talk.write_all(&line));
        if let Some(log) = log.as_deref_mut() {
            log.write_all(&line).map_err(|e| Failed::new(format!("could not keep the output: {e}")))?;
        }
        on_line(String::from_utf8_lossy(&line).trim_end());
    }
    child.wait().map_err(broken)
}

/// What is said on a pipe, line by line, until everybody has closed it.
fn lines(reader: PipeReader) -> Receiver<std::io::Result<Vec<u8>>> {
    let (said, heard) = mpsc::channel();
    std::thread::spawn(move || {
        let mut reader = BufReader::new(reader);
        loop {
            let mut line = Vec::new();
            let read = reader.read_until(b'\n', &mut line);
            let is_end = !matches!(read, Ok(1..));
            let line = match read {
                Ok(0) => return,
                read => read.map(|_| line),
            };
            if said.send(line).is_err() || is_end {
                return;
            }
        }
    });
    heard
}

/// A process, as `/proc` shows it.
struct Process {
    id: u32,
    parent: u32,
    /// `stat`'s letter: R runs, S sleeps, D waits for a disk, Z is dead and not waited for.
    state: String,
    args: String,
    /// In which function of the kernel each of its threads waits, where that may be read.
    waits: Vec<String>,
}

/// What a program started, what that started, and so on; the program itself, if it started nothing.
fn hung(program: u32) -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    // One that ended meanwhile is not among them.
    let mut others: Vec<Process> = ids.filter_map(Process::read).collect();
    let (mut found, mut parents) = (Vec::new(), vec![program]);
    while let Some(parent) = parents.pop() {
        for child in others.extract_if(.., |process| process.parent == parent) {
            parents.push(child.id);
            found.push(child);
        }
    }
    if found.is_empty() {
        found.extend(Process::read(program));
    }
    found
}

impl Process {
    fn read(id: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The name before it is in brackets and may have brackets in it.
        let (_, after_name) = stat.rsplit_once(')')?;
        let mut columns = after_name.split_whitespace();
        let (state, parent) = (columns.next()?.to_owned(), columns.next()?.parse().ok()?);
        let args = fs::read(format!("/proc/{id}/cmdline")).ok()?;
        let args = String::from_utf8_lossy(&args).trim_end_matches('\0').replace('\0', " ");
        let threads = fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
        let waits =
            threads.filter_map(|thread| fs::read_to_string(thread.path().join("wchan")).ok()).collect();
        Some(Self { id, parent, state, args, waits })
    }
}

/// A line for each process.
struct Shown<'a>(&'a [Process]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Process { id, parent, state, args, waits } in self.0 {
            writeln!(f, "  {id} (of {parent}) {state} [{}] {args}", waits.join(" "))?;
        }
        Ok(())
    }
}

/// Kills processes that hang, the children before those who might start new ones.
fn kill(processes: &[Process]) {
    let ids = processes.iter().rev().map(|process| process.id.to_string());
    if let Err(error) = Command::new("kill").arg("-KILL").args(ids).status() {
        eprintln!("what hangs could not be killed: {error}");
    }
}

/// Runs a command that answers on stdout, and keeps both streams.
pub(crate) fn captured(mut command: Command) -> Result<Output, Failed> {
    let program = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).output().map_err(|e| Failed::start(&program, &e))
}

/// Runs a command on our own terminal and gives its exit code on.
pub(crate) fn handed_over(mut command: Command) -> Result<ExitCode, Failed> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command.status().map_err(|e| Failed::start(&program, &e))?;
    Ok(code_of(status))
}

fn code_of(status: ExitStatus) -> ExitCode {
    // One that a signal ended has no code.
    status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_nothing_any_more_is_killed_with_its_children_and_named() {
        let mut command = Command::new("sh");
        command.args([
            "-c",
            "echo begun; sh -c 'sleep 600; echo late' || echo killed $?; echo next; exec sleep 600",
        ]);
        let mut lines = Vec::new();
        let status =
            streamed(command, Duration::from_millis(300), None, |line| lines.push(line.to_owned())).unwrap();
        let said = lines.join("\n");
        assert!(!status.success(), "{status}");
        let places: Vec<_> = ["begun", "said nothing", "sleep 600", "killed 137", "next", "said nothing"]
            .iter()
            .scan(0, |from, what| {
                let at = said[*from..].find(what).map(|at| *from + at);
                *from = at.unwrap_or(*from);
                Some((what, at))
            })
            .collect();
        assert!(places.iter().all(|(_, at)| at.is_some()), "{places:?}\n{said}");
        assert!(said.lines().all(|line| line != "late"), "{said}");
    }

    #[test]
    fn what_goes_on_talking_is_let_be_however_long_it_takes() {
        let mut command = Command::new("sh");
        command.args(["-c", "for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.2; done"]);
        let mut said = String::new();
        let status = streamed(command, Duration::from_secs(1), None, |line| said += line).unwrap();
        assert!(status.success(), "{status}");
        assert_eq!(said, "12345678");
    }
}
