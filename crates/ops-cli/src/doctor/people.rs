//! Who may speak, from where, and who answers.

use std::net::SocketAddr;
use std::time::Duration;

use clawexchange_gateway::{Access, ROUTES, Serving};
use clawexchange_moderation::{Act, Role, TokenFilter};
use clawexchange_ssg_core::{Clock as _, Cursor, PageLimit, SystemClock};

use super::{Deployment, Found, Looked};
use crate::ask::{Url, ask};

pub(super) async fn admin(deployment: &Deployment) -> Looked {
    deployment.rows()?;
    deployment.opening_keys()?;
    let mut filter = TokenFilter::default();
    filter.role = Some(Role::Admin);
    filter.live_only = true;
    let tokens = deployment.parts().tokens().await?;
    let found = tokens.list(&filter, None, PageLimit::new(1).unwrap_or_default()).await?;
    Ok(match found.items.first() {
        Some(info) => Found::ok(format!("{} has one", info.principal)),
        None => Found::warn("nobody administers over HTTP", "claw token create --id NAME --role admin"),
    })
}

/// A token that lives longer than this without an end was probably forgotten.
const OLD: Duration = Duration::from_hours(180 * 24);

/// Tokens that are named.
const NAMED_MAX: usize = 5;

pub(super) async fn token_age(deployment: &Deployment) -> Looked {
    deployment.rows()?;
    deployment.opening_keys()?;
    let tokens = deployment.parts().tokens().await?;
    let mut filter = TokenFilter::default();
    filter.live_only = true;
    let limit = PageLimit::new(u64::from(PageLimit::MAX)).unwrap_or_default();
    let (mut cursor, mut lives, mut old): (Option<Cursor>, u64, Vec<String>) = (None, 0, Vec::new());
    let since = SystemClock::new().now().minus(OLD);
    loop {
        let page = tokens.list(&filter, cursor.as_ref(), limit).await?;
        for info in page.items {
            lives += 1;
            if info.expires_at.is_none() && info.created_at < since {
                old.push(format!("{} of {}", info.id, info.principal));
            }
        }
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    if old.is_empty() {
        return Ok(Found::ok(format!("{lives} tokens live")));
    }
    let count = old.len();
    old.truncate(NAMED_MAX);
    Ok(Found::warn(
        format!("{count} tokens without an end are older than 180 days: {}", old.join(", ")),
        "make new ones with `claw token create --ttl`, then `claw token revoke ID`",
    ))
}

/// What is said of routes that are for some alone, or that they are not.
fn only_for(acts: &[Act], allowed: &[Role]) -> Found {
    let routes: Vec<_> =
        ROUTES.iter().filter(|route| acts.iter().any(|act| route.access == Access::Only(*act))).collect();
    let wrong: Vec<String> = acts
        .iter()
        .flat_map(|act| act.roles())
        .filter(|role| !allowed.contains(role))
        .map(|r| r.to_string())
        .collect();
    if routes.is_empty() || !wrong.is_empty() {
        return Found::fail(
            format!("{} may use them", wrong.join(", ")),
            "this is a defect: do not serve with this build",
        );
    }
    let roles: Vec<&str> = allowed.iter().map(|role| role.as_str()).collect();
    Found::ok(format!("{} routes, for {} alone", routes.len(), roles.join(" and ")))
}

pub(super) async fn bot_auth(_: &Deployment) -> Looked {
    Ok(only_for(&[Act::SeeBotQueue, Act::ActAsBot], &[Role::Bot]))
}

pub(super) async fn human_auth(_: &Deployment) -> Looked {
    Ok(only_for(&[Act::Reveal, Act::Decide, Act::HoldLegally], &[Role::Moderator, Role::Admin]))
}

/// As long as the checklist allows.
const GRANT_MAX: Duration = Duration::from_mins(5);

pub(super) async fn grants(deployment: &Deployment) -> Looked {
    let grant = deployment.settings().moderation.grant;
    let text = format!("a grant is good once, for {} s", grant.as_secs());
    Ok(if grant > GRANT_MAX {
        Found::warn(text, "set moderation.grant_seconds to 300 or less")
    } else {
        Found::ok(text)
    })
}

pub(super) async fn listeners(deployment: &Deployment) -> Looked {
    let settings = deployment.settings();
    // A network of everybody names nobody.
    let has_proxy = settings.trusted_proxies.iter().any(|network| network.prefix_len() > 0);
    let is_open = |address: SocketAddr, has_tls: bool| !address.ip().is_loopback() && !has_tls && !has_proxy;
    let mut open = Vec::new();
    if is_open(settings.listen, settings.tls.is_some()) {
        open.push(format!("CLAW_LISTEN {}", settings.listen));
    }
    // The admin address speaks plain HTTP whatever is set.
    if is_open(settings.admin_listen, false) {
        open.push(format!("CLAW_ADMIN_LISTEN {}", settings.admin_listen));
    }
    if open.is_empty() {
        return Ok(Found::ok(format!("{} and {}", settings.listen, settings.admin_listen)));
    }
    Ok(Found::warn(
        format!("beyond this machine without TLS or a proxy: {}", open.join(", ")),
        "set CLAW_TLS_CERT_FILE and CLAW_TLS_KEY_FILE, name the proxy in CLAW_TRUSTED_PROXIES, or listen on 127.0.0.1",
    ))
}

/// How long a server may take to say how it is.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) async fn server(deployment: &Deployment) -> Looked {
    let Serving::Process(pid) = deployment.serving()? else {
        return Ok(Found::ok("nobody serves this folder now"));
    };
    let pid = pid.map_or_else(|| "a process".to_owned(), |pid| format!("process {pid}"));
    let address = deployment.settings().admin_listen;
    if address.port() == 0 {
        return Ok(Found::unknown(
            &format!("{pid} holds the folder, and its port is another each time"),
            None,
        ));
    }
    let url = Url::of(address, "/readyz");
    let said = match ask(&url, PATIENCE).await {
        Ok(said) => said,
        Err(error) => {
            return Ok(Found::warn(
                format!("{pid} holds the folder, and {error}"),
                "a long `claw submit` holds it too; else set CLAW_ADMIN_LISTEN here as for the server",
            ));
        }
    };
    let word =
        said.body.as_ref().and_then(|body| body.get("status")?.as_str()).unwrap_or("no word").to_owned();
    let text = format!("{pid} holds the folder, and {url} says {} {word}", said.status);
    let fix = "see docs/operations.md under What /readyz says";
    Ok(match (said.status, word.as_str()) {
        (200, "ok") => Found::ok(text),
        (200, _) => Found::warn(text, fix),
        _ => Found::fail(text, fix),
    })
}
