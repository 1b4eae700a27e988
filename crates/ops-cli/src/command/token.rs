//! `claw token`: who may speak over HTTP. The right to make tokens is the access to folder and key.

use clawexchange_gateway::Intent;
use clawexchange_moderation::{NewToken, TokenFilter, TokenInfo};
use clawexchange_quarantine::Note;
use clawexchange_ssg_core::{PageLimit, Timestamp};

use crate::args::{Global, TokenCommand};
use crate::exit::Exit;
use crate::report::CliError;
use crate::{command, output};

pub(crate) async fn run(command: &TokenCommand, global: &Global) -> Result<Exit, CliError> {
    match command {
        TokenCommand::Create { id, role, trust, owner, ttl } => {
            let mut new = NewToken::new(id.clone(), *role);
            new.trust = trust.unwrap_or_default();
            new.owner.clone_from(owner);
            new.ttl = *ttl;
            create(&new, global).await
        }
        TokenCommand::List { id, role, live, page } => {
            let mut filter = TokenFilter::default();
            filter.id.clone_from(id);
            filter.role = *role;
            filter.live_only = *live;
            let parts = command::parts(global, Intent::Use)?;
            let limit = PageLimit::new(page.limit).unwrap_or_default();
            let found = parts.tokens().await?.list(&filter, page.after().as_ref(), limit).await?;
            list(&found.items, found.next_cursor.as_ref().map(clawexchange_ssg_core::Cursor::as_str), global)
        }
        TokenCommand::Revoke { id, reason } => {
            let (by, why) = (command::actor(global)?, Note::new(reason)?);
            let parts = command::parts(global, Intent::Use)?;
            let info = parts.tokens().await?.revoke(&by, *id, &why).await?;
            command::finish(&parts).await?;
            if global.is_json() {
                output::json(&info)?;
            } else {
                output::line(&format!("{} of {} opens nothing any more", info.id, info.principal))?;
            }
            Ok(Exit::Ok)
        }
    }
}

async fn create(new: &NewToken, global: &Global) -> Result<Exit, CliError> {
    let by = command::actor(global)?;
    // The first token of a new deployment may be made before anything else is done with it.
    let parts = command::parts(global, Intent::Create)?;
    let made = parts.tokens().await?.create(&by, new).await?;
    command::finish(&parts).await?;
    if global.is_json() {
        let mut shown = serde_json::to_value(&made.info).map_err(|e| CliError::io("write JSON", e.into()))?;
        if let serde_json::Value::Object(members) = &mut shown {
            members.insert("token".to_owned(), made.token.expose().into());
        }
        output::json(&shown)?;
    } else {
        output::line(made.token.expose())?;
        output::say(&format!(
            "token {} for {} as {}; it is shown this once",
            made.info.id, made.info.principal, made.info.role
        ));
    }
    Ok(Exit::Ok)
}

fn list(items: &[TokenInfo], next: Option<&str>, global: &Global) -> Result<Exit, CliError> {
    if global.is_json() {
        output::json(&serde_json::json!({"items": items, "nextCursor": next}))?;
        return Ok(Exit::Ok);
    }
    let mut rows = output::Rows::new(&["id", "name", "role", "begins", "created", "until", "revoked"]);
    let when = |at: Option<Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
    for info in items {
        rows.row(&[
            &info.id.to_string(),
            info.principal.as_str(),
            info.role.as_str(),
            &info.hint,
            &info.created_at.to_string(),
            &when(info.expires_at),
            &when(info.revoked_at),
        ]);
    }
    rows.print()?;
    if let Some(cursor) = next {
        output::say(&format!("more: --cursor {cursor}"));
    }
    Ok(Exit::Ok)
}
