//! `claw healthcheck`: asks a running server, for containers. It reads no settings and opens no data.

use serde_json::json;

use crate::args::{Global, HealthcheckArgs};
use crate::ask::{Url, ask};
use crate::exit::Exit;
use crate::output;
use crate::report::CliError;

pub(crate) async fn run(args: &HealthcheckArgs, global: &Global) -> Result<Exit, CliError> {
    let url: Url = args.url.parse()?;
    let url = if args.live { url.at("/livez") } else { url };
    let said = ask(&url, args.timeout).await?;
    let is_ready = said.status == 200;
    if global.is_json() {
        output::json(&json!({"ready": is_ready, "status": said.status, "answer": said.body}))?;
    } else {
        let word = said.body.as_ref().and_then(|body| body.get("status")?.as_str()).unwrap_or("no word");
        let word = clawexchange_ssg_core::Escaped(word);
        let ready = if is_ready { "ready" } else { "not ready" };
        output::line(&format!("{ready}: {} {word}", said.status))?;
    }
    Ok(if is_ready { Exit::Ok } else { Exit::Failed })
}
