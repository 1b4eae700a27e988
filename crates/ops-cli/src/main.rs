//! `claw`: the operator's binary of the pipeline.

mod args;
mod command;
mod exit;
mod lines;
mod output;
mod progress;
mod report;
mod summary;

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::Cli;
use crate::exit::Exit;

fn main() -> ExitCode {
    say_no_panic_text();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return report::usage(&error),
    };
    init_tracing(cli.global.verbose);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return report::failure(&report::CliError::io("start", error), &cli.global),
    };
    match runtime.block_on(command::run(&cli)) {
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

/// Talk goes to stderr: warnings, and with `-v` more. `CLAW_LOG` says it in detail.
fn init_tracing(verbose: u8) {
    use tracing_subscriber::EnvFilter;
    let usual = match verbose {
        0 => "warn",
        1 => "info",
        _ => "debug",
    };
    let filter = EnvFilter::try_from_env("CLAW_LOG").unwrap_or_else(|_| EnvFilter::new(usual));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .without_time()
        .init();
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
