//! `claw`: the operator's binary of the pipeline.

mod args;
mod ask;
mod command;
mod doctor;
mod exit;
mod explained;
mod lines;
mod output;
mod progress;
mod report;
mod summary;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Parser as _;
use clawexchange_gateway::{LogFormat, Settings};

use crate::args::{Cli, Command};
use crate::exit::Exit;

fn main() -> ExitCode {
    say_no_panic_text();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return report::usage(&error),
    };
    // How a server logs is a setting, so its settings are read first.
    let serving = match &cli.command {
        Command::Serve(args) => match command::serve::settings(args, &cli.global) {
            Ok(settings) => Some(settings),
            Err(error) => return report::failure(&error, &cli.global),
        },
        _ => None,
    };
    init_tracing(cli.global.verbose, serving.as_ref());
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return report::failure(&report::CliError::io("start", error), &cli.global),
    };
    match runtime.block_on(command::run(&cli, serving)) {
        Ok(exit) => exit.into(),
        Err(error) => report::failure(&error, &cli.global),
    }
}

/// A panic's text may quote content; where it happened may be said.
fn say_no_panic_text() {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "a part of the program panicked");
    }));
}

/// Talk goes to stderr: warnings, and with `-v` more; `CLAW_LOG` says it in detail. A server says what it answers, with
/// the time.
fn init_tracing(verbose: u8, serving: Option<&Settings>) {
    use tracing_subscriber::EnvFilter;
    let usual = match verbose {
        0 if serving.is_none() => "warn",
        // Each step of a migration is a line of its own there.
        0 => "info,sea_orm_migration=warn",
        1 => "info",
        _ => "debug",
    };
    let filter = EnvFilter::try_from_env("CLAW_LOG").unwrap_or_else(|_| EnvFilter::new(usual));
    let talk =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    match serving.map(|settings| settings.log_format) {
        None => talk.without_time().init(),
        Some(LogFormat::Json) => talk.json().flatten_event(true).init(),
        Some(_) => talk.with_ansi(std::io::stderr().is_terminal()).init(),
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
