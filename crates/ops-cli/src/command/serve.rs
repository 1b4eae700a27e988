//! `claw serve`: the pipeline over HTTP.

use clawexchange_gateway::{Intent, LogFormat, Parts, Server, Settings};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::args::{Global, ServeArgs};
use crate::exit::Exit;
use crate::report::CliError;
use crate::{command, output};

/// The settings, with what the command line says.
pub(crate) fn settings(args: &ServeArgs, global: &Global) -> Result<Settings, CliError> {
    let mut sources = command::sources(global);
    sources.listen = args.listen;
    sources.admin_listen = args.admin_listen;
    command::read(&sources)
}

pub(crate) async fn run(settings: Settings, global: &Global) -> Result<Exit, CliError> {
    allow_many_descriptors();
    let is_json = global.is_json() || settings.log_format == LogFormat::Json;
    let parts = Parts::new(settings, Intent::Create);
    let server = Server::bind(&parts).await?;
    parts.ensure_admin().await?;
    command::say_notices(&parts);
    // Before anybody is told where it listens: whoever then tells it to stop is heard.
    let until = told_to_stop()?;
    let addresses = server.addresses().map_err(|e| CliError::io("find out where it listens", e))?;
    if is_json {
        output::json(&json!({"public": addresses.public.to_string(), "admin": addresses.admin.to_string()}))?;
    } else {
        output::line(&format!("public  http://{}", addresses.public))?;
        output::line(&format!("admin   http://{}", addresses.admin))?;
    }
    output::flush()?;
    server.serve(until).await?;
    command::say_notices(&parts);
    Ok(Exit::Ok)
}

/// Ends with the first Ctrl-C or SIGTERM; a second one ends the process where it stands.
fn told_to_stop() -> Result<impl Future<Output = ()>, CliError> {
    let listen = |kind| signal(kind).map_err(|e| CliError::io("listen for signals", e));
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    Ok(async move {
        let named = tokio::select! {
            _ = interrupt.recv() => "interrupt",
            _ = terminate.recv() => "terminate",
        };
        tracing::info!(signal = named, "finishing what was begun");
        tokio::spawn(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            output::say("stopped at once; what was not acknowledged may be done or not");
            #[expect(clippy::exit, reason = "whoever asks twice does not want to wait for anything")]
            std::process::exit(i32::from(Exit::Failed.code()));
        });
    })
}

/// Every connection is a descriptor, and the usual soft limit is for interactive programs.
fn allow_many_descriptors() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current < limit.maximum || limit.maximum.is_none() {
        limit.current = limit.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::warn!(%error, "the number of descriptors could not be raised");
        }
    }
}
