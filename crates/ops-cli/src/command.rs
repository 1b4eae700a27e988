//! What each command does.

mod activate;
mod adopt;
mod allow;
mod audit;
mod bench;
mod config;
mod doctor;
mod follow;
mod healthcheck;
mod inspect;
mod keys;
mod limits;
mod man;
mod migrate;
mod packs;
mod prove;
mod quarantine;
mod retire;
mod rules;
pub(crate) mod serve;
mod sign;
mod simulate;
mod spool;
mod submit;
mod tap;
mod token;
mod violations;

use std::path::Path;
use std::sync::Arc;

use clap::CommandFactory as _;
use clawexchange_gateway::{Intent, Parts, Settings, Sources};
use clawexchange_ssg_core::{
    Actor, ContentType, EnvelopeBounds, EnvelopeParts, PostCategory, ReadAs, Received,
};

use crate::args::{CategoryArg, Cli, Command, ContentArgs, ContentTypeArg, Global};
use crate::exit::Exit;
use crate::output;
use crate::report::CliError;

/// Runs the command that was asked for.
pub(crate) async fn run(cli: &Cli, serving: Option<Settings>) -> Result<Exit, CliError> {
    let global = &cli.global;
    let exit = match &cli.command {
        Command::Inspect(args) => inspect::run(args, global).await,
        Command::Submit(args) => submit::run(args, global).await,
        Command::Serve(args) => {
            let settings = match serving {
                Some(settings) => settings,
                None => serve::settings(args, global)?,
            };
            serve::run(settings, global).await
        }
        Command::Token(command) => token::run(command, global).await,
        Command::Quarantine(command) => quarantine::run(command, global).await,
        Command::Audit(command) => audit::run(command, global).await,
        Command::Spool(command) => spool::run(command, global).await,
        Command::Limits(command) => limits::run(command, global).await,
        Command::Rules(command) => rules::run(command, global).await,
        Command::Doctor(args) => doctor::run(args, global).await,
        Command::Healthcheck(args) => healthcheck::run(args, global).await,
        Command::Tap(args) => tap::run(args, global).await,
        Command::Migrate(command) => migrate::run(command, global).await,
        Command::Config(command) => config::run(command, global),
        Command::Keys(command) => keys::run(command, global).await,
        Command::Man { out } => man::run(out.as_deref()),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "claw", &mut script);
            output::bytes(&script)?;
            Ok(Exit::Ok)
        }
    }?;
    output::flush()?;
    Ok(exit)
}

/// The settings; what should be known of them is said.
fn settings(global: &Global) -> Result<Settings, CliError> {
    read(&sources(global))
}

fn read(sources: &Sources) -> Result<Settings, CliError> {
    let settings = Settings::read(sources)?;
    for note in settings.unknown().iter().chain(settings.notices()) {
        output::say(&format!("note: {}", clawexchange_ssg_core::Escaped(note)));
    }
    Ok(settings)
}

/// Where settings are read from.
fn sources(global: &Global) -> Sources {
    let mut sources = Sources::of_env(std::env::vars_os());
    sources.data_dir.clone_from(&global.data_dir);
    sources.config.clone_from(&global.config);
    sources
}

fn parts(global: &Global, intent: Intent) -> Result<Arc<Parts>, CliError> {
    Ok(Parts::new(settings(global)?, intent))
}

/// Ends a command that wrote: everything is in the log, and the log is pinned.
async fn finish(parts: &Parts) -> Result<(), CliError> {
    // What was written may wait for a log that this command has not opened yet.
    parts.log().await?;
    parts.finish().await?;
    say_notices(parts);
    Ok(())
}

fn say_notices(parts: &Parts) {
    for notice in parts.take_notices() {
        output::say(&format!("note: {notice}"));
    }
}

/// Who acts: `--as`, or the user of the operating system, whose right is the access to folder and key.
fn actor(global: &Global) -> Result<Actor, CliError> {
    let name = match &global.acts_as {
        Some(name) => name.to_string(),
        None => format!("os:{}", user()),
    };
    Actor::human(name).ok().ok_or_else(|| CliError::usage("the user's name is no id; give one with --as"))
}

/// The user's name as the system's table has it, or else the number.
fn user() -> String {
    let uid = rustix::process::geteuid().as_raw();
    let table = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let named = table.lines().find_map(|line| {
        let mut columns = line.split(':');
        let name = columns.next()?;
        let of = columns.nth(1)?.parse::<u32>().ok()?;
        (of == uid && clawexchange_ssg_core::AgentId::new(name).is_ok()).then(|| name.to_owned())
    });
    named.unwrap_or_else(|| format!("uid-{uid}"))
}

/// Reads a file or standard input, and no more than `most` bytes and one.
fn read_bounded(file: &Path, most: usize) -> Result<Vec<u8>, CliError> {
    use std::io::Read as _;
    let most = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    let read = if file == Path::new("-") {
        std::io::stdin().lock().take(most).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|f| f.take(most).read_to_end(&mut bytes))
    };
    read.map_err(|e| CliError::io(reading(file), e))?;
    Ok(bytes)
}

/// The longest character, less one byte.
const CUT_BYTES_MAX: usize = 3;

/// The same of a text. What has more than `most` bytes has more than that here too, a few or one: a character that is cut
/// off is left out.
fn read_text(file: &Path, most: usize) -> Result<String, CliError> {
    let most = most + CUT_BYTES_MAX;
    let mut bytes = read_bounded(file, most)?;
    if bytes.len() > most
        && let Err(error) = std::str::from_utf8(&bytes)
        && error.error_len().is_none()
    {
        bytes.truncate(error.valid_up_to());
    }
    String::from_utf8(bytes).map_err(|e| {
        let what = format!("it is not UTF-8 at byte {}", e.utf8_error().valid_up_to());
        CliError::io(reading(file), std::io::Error::new(std::io::ErrorKind::InvalidData, what))
    })
}

fn reading(file: &Path) -> String {
    if file == Path::new("-") { "read standard input".to_owned() } else { format!("read {}", file.display()) }
}

/// Reads one content within the bounds that are set: a text, or an envelope with `--json`.
fn read_content(args: &ContentArgs, read_as: ReadAs, bounds: &EnvelopeBounds) -> Result<Received, CliError> {
    let bytes = read_bounded(&args.file, bounds.body_bytes_max)?;
    if args.json {
        return Ok(Received::read(&bytes, read_as, bounds)?);
    }
    if bytes.len() > bounds.text_bytes_max {
        return Err(clawexchange_ssg_core::ContentError::TextTooLarge { max: bounds.text_bytes_max }.into());
    }
    let text = std::str::from_utf8(&bytes)
        .map_err(|e| clawexchange_ssg_core::ContentError::NotUtf8 { at: e.valid_up_to() })?;
    let mut envelope = EnvelopeParts::new(text);
    envelope.title = args.title.as_deref().map(Into::into);
    envelope.content_type = args.content_type.map_or(ContentType::Post, content_type);
    envelope.category = args.category.map(category);
    // Not built by itself: that would hold it against the usual bounds.
    let json = serde_json::to_vec(&envelope).map_err(|e| CliError::io("write JSON", e.into()))?;
    Ok(Received::read(&json, read_as, bounds)?)
}

const fn content_type(arg: ContentTypeArg) -> ContentType {
    match arg {
        ContentTypeArg::Post => ContentType::Post,
        ContentTypeArg::Comment => ContentType::Comment,
        ContentTypeArg::Message => ContentType::Message,
        ContentTypeArg::Profile => ContentType::Profile,
    }
}

const fn category(arg: CategoryArg) -> PostCategory {
    match arg {
        CategoryArg::Supply => PostCategory::Supply,
        CategoryArg::Demand => PostCategory::Demand,
        CategoryArg::Concept => PostCategory::Concept,
    }
}
