//! What the checklist asks that is not here, or cannot be seen from here.

use super::{Deployment, Found, Looked, postgres, redis};

pub(super) const NOT_USED: &str = "not used on the embedded default";

pub(super) async fn object_store(_: &Deployment) -> Looked {
    Ok(Found::skip(format!("no S3: {NOT_USED}")))
}

pub(super) async fn services(deployment: &Deployment) -> Looked {
    let settings = deployment.settings();
    let mut all = Vec::new();
    if settings.database.server.is_some() {
        all.push(postgres::tls(deployment).await.unwrap_or_else(|found| found));
    }
    if let Some(redis) = &settings.redis {
        all.push(redis::tls(redis, deployment).await.unwrap_or_else(|found| found));
    }
    let texts: Vec<String> = all.iter().map(|found| found.text.clone()).collect();
    // The worst of them is what is to be mended first.
    let worst = all.into_iter().max_by_key(|found| found.state.weight());
    let skip = || Found::skip(format!("no services that are connected to: {NOT_USED}"));
    Ok(worst.map_or_else(skip, |worst| Found { text: texts.join("; "), ..worst }))
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
