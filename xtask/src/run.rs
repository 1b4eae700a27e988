//! Starts programs, shows what they say while they say it, and keeps it.

use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, Write as _};
use std::process::{Command, ExitCode, ExitStatus, Output, Stdio};

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

/// Runs a command and gives each line that it says, on either stream, to our stderr, to `log` and to `on_line`.
///
/// Both streams go through one pipe, so that lines keep their order.
pub(crate) fn streamed(
    mut command: Command,
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
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    let mut talk = std::io::stderr().lock();
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line).map_err(broken)? == 0 {
            break;
        }
        // A terminal that went away is no reason to stop the run.
        drop(talk.write_all(&line));
        if let Some(log) = log.as_deref_mut() {
            log.write_all(&line).map_err(|e| Failed::new(format!("could not keep the output: {e}")))?;
        }
        on_line(String::from_utf8_lossy(&line).trim_end());
    }
    child.wait().map_err(broken)
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
