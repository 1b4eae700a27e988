//! What the checklist asks that is not here, or cannot be seen from here.

use super::{Deployment, Found, Looked, State, bucket, postgres};

pub(super) const NOT_USED: &str = "not used on the embedded default";

pub(super) async fn redis(_: &Deployment) -> Looked {
    Ok(Found::skip(format!("no Redis: {NOT_USED}")))
}

pub(super) async fn services(deployment: &Deployment) -> Looked {
    let mut found = Vec::new();
    if deployment.settings().database.server.is_some() {
        found.push(postgres::tls(deployment).await?);
    }
    found.extend(bucket::tls(deployment).await?);
    Ok(worst(found).unwrap_or_else(|| Found::skip(format!("no services that are connected to: {NOT_USED}"))))
}

/// What is found of several: the texts of all, and the worst state with what mends it.
fn worst(found: Vec<Found>) -> Option<Found> {
    let text: Vec<&str> = found.iter().map(|found| found.text.as_str()).collect();
    let text = text.join("; ");
    let rank = |state| match state {
        State::Fail => 4,
        State::Warn => 3,
        State::Unknown => 2,
        State::Ok => 1,
        State::Skip => 0,
    };
    let worst = found.into_iter().max_by_key(|found| rank(found.state))?;
    Some(Found { text, ..worst })
}

pub(super) async fn backups(deployment: &Deployment) -> Looked {
    if deployment.settings().database.server.is_some() {
        return postgres::backups(deployment.server()?).await;
    }
    Ok(Found::unknown(
        "no backup is configured here",
        Some("copy the folders by the clock, as docs/operations.md says under Backup"),
    ))
}

pub(super) async fn secrets_in_git(_: &Deployment) -> Looked {
    Ok(Found::unknown(
        "repositories are not looked at from here",
        Some(
            "keep settings with secrets out of repositories; secrets also read from files: ENCRYPTION_MASTER_KEY_FILE",
        ),
    ))
}
