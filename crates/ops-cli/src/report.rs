//! Errors for people and for programs: what, caused by what, what to do.

use std::error::Error;
use std::fmt::Write as _;
use std::process::ExitCode;

use clawexchange_ssg_core::{Escaped, Fault, FaultKind};
use serde_json::json;

use crate::args::Global;
use crate::exit::Exit;

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum CliError {
    /// A part of the pipeline says so.
    Fault(Box<dyn Fault>),
    /// A file or stream of the command itself.
    Io { doing: String, source: std::io::Error },
    /// The arguments do not go together.
    Usage(String),
    /// Whoever reads our output went away: nothing is left to say.
    NobodyReads,
}

impl CliError {
    pub(crate) fn io(doing: impl Into<String>, source: std::io::Error) -> Self {
        if source.kind() == std::io::ErrorKind::BrokenPipe {
            Self::NobodyReads
        } else {
            Self::Io { doing: doing.into(), source }
        }
    }

    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self::Usage(what.into())
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Fault(fault) => fault.kind().into(),
            Self::Io { source, .. } => match source.kind() {
                std::io::ErrorKind::StorageFull | std::io::ErrorKind::ReadOnlyFilesystem => Exit::Unavailable,
                _ => Exit::Failed,
            },
            Self::Usage(_) => Exit::Usage,
            Self::NobodyReads => Exit::Failed,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Fault(fault) => fault.code(),
            Self::Io { .. } => "ops-cli/io",
            Self::Usage(_) => "ops-cli/usage",
            Self::NobodyReads => "ops-cli/nobody-reads",
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Fault(fault) => fault.hint(),
            _ => None,
        }
    }

    /// The sentence and those of its causes, each once.
    fn sentences(&self) -> Vec<String> {
        match self {
            Self::Fault(fault) => chain(&**fault),
            Self::Io { doing, source } => vec![format!("could not {doing}"), source.to_string()],
            Self::Usage(what) => vec![what.clone()],
            Self::NobodyReads => Vec::new(),
        }
    }
}

impl<F: Fault> From<F> for CliError {
    fn from(fault: F) -> Self {
        Self::Fault(Box::new(fault))
    }
}

fn chain(error: &(dyn Error + 'static)) -> Vec<String> {
    let mut sentences = vec![error.to_string()];
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        // Some libraries repeat their source in their own text.
        if !sentences.last().is_some_and(|last| last.ends_with(&text)) {
            sentences.push(text);
        }
        source = cause.source();
    }
    sentences
}

/// `{"code","message","hint"}`, as every failure is printed for programs.
pub(crate) fn as_json(fault: &(impl Fault + ?Sized)) -> serde_json::Value {
    let mut error = json!({"code": fault.code(), "message": fault.to_string()});
    if let (Some(hint), Some(members)) = (fault.hint(), error.as_object_mut()) {
        members.insert("hint".to_owned(), hint.into());
    }
    error
}

/// Prints a failure and gives the exit code.
pub(crate) fn failure(error: &CliError, global: &Global) -> ExitCode {
    if !matches!(error, CliError::NobodyReads) {
        say(&error.sentences(), error.code(), error.hint(), global.is_json());
    }
    error.exit().into()
}

fn say(sentences: &[String], code: &str, hint: Option<String>, is_json: bool) {
    let mut text = String::new();
    if is_json {
        let mut error = json!({"code": code, "message": sentences.join(": ")});
        if let (Some(hint), Some(members)) = (&hint, error.as_object_mut()) {
            members.insert("hint".to_owned(), hint.as_str().into());
        }
        print_last(std::io::stdout(), &format!("{}\n", json!({ "error": error })));
        return;
    }
    for (i, sentence) in sentences.iter().enumerate() {
        let head = if i == 0 { "error: " } else { "  caused by: " };
        for (line, part) in sentence.lines().enumerate() {
            let head = if line == 0 { head } else { "" };
            // A string takes everything that is written to it.
            let _written = writeln!(text, "{head}{}", Escaped(part));
        }
    }
    if let Some(hint) = hint {
        let _written = writeln!(text, "hint: {}", Escaped(&hint));
    }
    print_last(std::io::stderr(), &text);
}

/// The last words: if nobody hears them, the exit code still speaks.
fn print_last(mut to: impl std::io::Write, text: &str) {
    let _heard = to.write_all(text.as_bytes()).and_then(|()| to.flush());
}

/// Prints what clap says, in its own words or as JSON, and gives the exit code.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    let wants_json = std::env::args_os()
        .collect::<Vec<_>>()
        .windows(2)
        .any(|w| w.first().is_some_and(|a| a == "--output") && w.last().is_some_and(|a| a == "json"))
        || std::env::args_os().any(|a| a == "--output=json");
    if error.use_stderr() && wants_json {
        let message = error.render().to_string();
        let first = message.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
        say(&[first], "ops-cli/usage", Some("see --help".to_owned()), true);
        return Exit::Usage.into();
    }
    // With colours on a terminal and without them elsewhere; if nobody hears it, the exit code still speaks.
    let _heard = error.print();
    if error.use_stderr() { Exit::Usage.into() } else { Exit::Ok.into() }
}

/// Whether waiting may help, for messages about single lines.
pub(crate) fn is_worth_another_try(kind: FaultKind) -> bool {
    matches!(kind, FaultKind::Unavailable | FaultKind::Locked | FaultKind::Limited)
}
