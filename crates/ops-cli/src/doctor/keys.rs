//! Keys: how old the active one is, who has it, what former ones still wrap, where the keys of weeks lie.

use clawexchange_database::keys::{self, MasterState};
use clawexchange_gateway::WeekKeyPlace;
use clawexchange_ssg_core::{Clock as _, KeyId, KeyProvider as _, SystemClock};

use super::{Deployment, Found, Looked};

/// Keys are exchanged once a year, as most rules for them have it.
const AGE_DAYS_MAX: u64 = 366;

/// Keys of weeks last two weeks; one more, and the sweep does not do its work.
const WEEKS_DAYS_MAX: u64 = 21;

pub(super) async fn age(deployment: &Deployment) -> Looked {
    let active = deployment.opening_keys()?.master();
    let masters = keys::masters(&deployment.rows()?.read()).await?;
    let since = masters.iter().find(|master| master.id == active).map(|master| master.activated);
    let Some(since) = since else {
        return Ok(Found::ok(format!("{active} is active, and was never exchanged")));
    };
    let days = SystemClock::new().now().since(since).as_secs() / 86_400;
    let text = format!("{active} is active for {days} days");
    Ok(if days > AGE_DAYS_MAX {
        Found::warn(text, "exchange it: docs/operations.md, Exchanging the master key")
    } else {
        Found::ok(text)
    })
}

pub(super) async fn known(deployment: &Deployment) -> Looked {
    let keychain = deployment.opening_keys()?;
    let live = keys::live(&deployment.rows()?.read()).await?;
    if live.is_empty() {
        return Ok(Found::ok("no process serves"));
    }
    let (here, active) = (keychain.masters(), keychain.master());
    let late: Vec<String> = live.iter().filter(|i| i.active != active).map(|i| i.name.clone()).collect();
    if !late.is_empty() {
        return Ok(Found::fail(
            format!("{active} is active, and not used by {}", late.join(", ")),
            "give them the key, or start them anew",
        ));
    }
    // A key that waits to be activated.
    let missing: Vec<String> = here
        .iter()
        .flat_map(|key| live.iter().filter(move |i| !i.has(key)).map(move |i| format!("{key} by {}", i.name)))
        .collect();
    Ok(if missing.is_empty() {
        Found::ok(format!("{} processes use {active}", live.len()))
    } else {
        Found::warn(
            format!("not known: {}", missing.join(", ")),
            "it cannot be activated before all have it: give them the key",
        )
    })
}

pub(super) async fn in_use(deployment: &Deployment) -> Looked {
    let keychain = deployment.opening_keys()?;
    let (here, active) = (keychain.masters(), keychain.master());
    let uses = deployment.vault().await?.key_uses().await?;
    let left: Vec<String> = uses
        .iter()
        .filter(|found| found.key != active)
        .map(|found| format!("{} needs {} for {} rows", found.table, found.key, found.rows))
        .collect();
    if !left.is_empty() {
        return Ok(Found::warn(left.join(", "), "claw keys rewrap"));
    }
    let masters = keys::masters(&deployment.rows()?.read()).await?;
    let retired: Vec<&str> = masters
        .iter()
        .filter(|master| master.state == MasterState::Retired && here.contains(&master.id))
        .map(|master| master.id.as_str())
        .collect();
    if !retired.is_empty() {
        return Ok(Found::warn(
            format!("{} is retired and still here", retired.join(", ")),
            "take it out of the key file, and keep a copy elsewhere as long as old backups are kept",
        ));
    }
    let former: Vec<&str> = masters
        .iter()
        .filter(|master| master.state == MasterState::Former)
        .map(|master| master.id.as_str())
        .collect();
    Ok(if former.is_empty() {
        Found::ok(format!("{active} wraps everything"))
    } else {
        Found::warn(format!("nothing needs {} any more", former.join(", ")), "claw keys retire KEY")
    })
}

pub(super) async fn week_keys(deployment: &Deployment) -> Looked {
    let weeks = deployment.vault().await?.week_keys().await?;
    let in_database = weeks.iter().filter(|week| week.is_in_database).count();
    let is_inside = deployment.parts().week_keys().await? == WeekKeyPlace::Database;
    if in_database > 0 || is_inside {
        let what = "they lie in the database, so a backup of it from before content was destroyed, with the master \
                    key, opens it";
        let mend = if is_inside {
            "keep held content in a bucket (S3_ENDPOINT), or name a folder that all processes share in \
             CLAW_WEEK_KEY_DIR; then run claw keys rewrap"
        } else {
            "claw keys rewrap moves them out of it"
        };
        return Ok(Found::warn(what, mend));
    }
    let now = SystemClock::new().now();
    let oldest = weeks.iter().filter_map(|week| monday(&week.id)).min();
    let days = oldest.map_or(0, |monday| now.since(monday).as_secs() / 86_400);
    Ok(if days > WEEKS_DAYS_MAX {
        Found::warn(
            format!("the oldest is of a week that began {days} days ago"),
            "run claw quarantine sweep, and see what the server's log says of it",
        )
    } else {
        Found::ok(format!("{} keys of weeks, outside the database", weeks.len()))
    })
}

/// The Monday in the name of a week's key.
fn monday(id: &KeyId) -> Option<clawexchange_ssg_core::Timestamp> {
    let date = id.as_str().strip_prefix("wk-")?.get(..10)?;
    format!("{date}T00:00:00Z").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_weeks_key_says_which_week() {
        let monday = |id: &str| monday(&KeyId::new(id).unwrap()).map(|at| at.to_string());
        assert_eq!(monday("wk-2026-11-23-0123456789abcdef").unwrap(), "2026-11-23T00:00:00.000000Z");
        assert_eq!(monday("wk-2026"), None);
        assert_eq!(monday("mk-12345678"), None);
    }
}
