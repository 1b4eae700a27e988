//! Rules of one's own: whether what is active can be used, and until when it is signed.

use std::time::Duration;

use clawexchange_ssg_core::{Clock as _, SystemClock};

use super::{Deployment, Found, Looked};

/// Whoever signs has to be found, and what is signed to be tried.
const SIGNATURE_ENDS_SOON: Duration = Duration::from_hours(14 * 24);

const SIGN: &str = "`claw rules sign` with a greater number and a later end, then `claw rules activate`";

pub(super) async fn active(deployment: &Deployment) -> Looked {
    deployment.rows()?;
    deployment.opening_keys()?;
    let stored = deployment.parts().stored_rules().await?;
    let kept = stored.load().await?;
    let own = kept.own?;
    let detectors = deployment.parts().detectors_of(own.clone(), kept.allowed)?;
    let allowed = stored.allowances().await?.len();
    let text = match &kept.activation {
        Some(active) if !own.is_empty() => {
            format!("{} rules of one's own are active as number {}", own.rules(), active.number)
        }
        _ => "the rules that ship judge alone".to_owned(),
    };
    let text = format!("{text}; {allowed} allowances hold; policy {}", detectors.policy());
    let now = SystemClock::new().now();
    Ok(match kept.activation.and_then(|active| active.signed).map(|signed| signed.not_after) {
        Some(end) if end <= now => Found::warn(format!("{text}; their signature ended at {end}"), SIGN),
        Some(end) if end <= now.plus(SIGNATURE_ENDS_SOON) => {
            Found::warn(format!("{text}; their signature ends at {end}"), SIGN)
        }
        _ => Found::ok(text),
    })
}
