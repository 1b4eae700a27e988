//! From when on many who post the same are a campaign.

use clawexchange_rate_limiter::CampaignRules;

use super::reader::Reader;
use super::setting::{Setting, Usual};
use super::table::number;
use super::value::Kind;

const OWNERS_MIN: u64 = *CampaignRules::RANGE.start() as u64;
const OWNERS_MAX: u64 = *CampaignRules::RANGE.end() as u64;

pub(super) static ENABLED: Setting = Setting::env(
    "CLAW_CAMPAIGNS",
    Kind::Boolean,
    Usual::Same("true"),
    "whether it is counted who submits the same text within an hour",
)
.key("campaigns.enabled");
pub(super) static OWNERS: Setting = Setting::file(
    "campaigns.owners",
    number(OWNERS_MIN, OWNERS_MAX, "owners"),
    Usual::Same("5"),
    "from how many owners on the same text within an hour is labelled CAMPAIGN",
);
pub(super) static REPEATS: Setting = Setting::file(
    "campaigns.repeats",
    number(OWNERS_MIN, OWNERS_MAX, "times"),
    Usual::Same("5"),
    "from how many times on by one owner the same text within an hour is labelled CAMPAIGN",
);
pub(super) static HOLD_OWNERS: Setting = Setting::file(
    "campaigns.hold_owners",
    number(OWNERS_MIN, OWNERS_MAX, "owners"),
    Usual::Same("20"),
    "from how many owners on it is held, if it carries a link or a command; at least campaigns.owners",
);

impl Reader<'_> {
    /// The rules, if anything is counted.
    pub(super) fn campaigns(&mut self) -> Option<CampaignRules> {
        let before = self.problems.len();
        let is_enabled = self.boolean(&ENABLED);
        let [owners, repeats, hold_owners] =
            [&OWNERS, &REPEATS, &HOLD_OWNERS].map(|setting| self.small(setting));
        if self.problems.len() > before {
            return None;
        }
        match CampaignRules::new(owners, repeats, hold_owners) {
            Ok(rules) => is_enabled.then_some(rules),
            Err(_) => {
                self.problem(HOLD_OWNERS.name(), "it must be at least campaigns.owners");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::Given;

    #[test]
    fn campaigns_are_counted_by_the_usual_rules_unless_others_are_set_or_none() {
        assert_eq!(Given::env(&[]).good().campaigns, Some(CampaignRules::default()));
        let set = Given::env(&[]).and_file("[campaigns]\nowners = 3\nrepeats = 9\nhold_owners = 30").good();
        assert_eq!(set.campaigns, Some(CampaignRules::new(3, 9, 30).unwrap()));
        assert_eq!(Given::env(&[("CLAW_CAMPAIGNS", "off")]).good().campaigns, None);
        assert_eq!(Given::env(&[]).and_file("[campaigns]\nenabled = false").good().campaigns, None);
    }

    #[test]
    fn numbers_that_make_no_rules_are_refused() {
        for (file, name, says) in [
            ("owners = 1", "campaigns.owners", "from 2 to 100"),
            ("repeats = 101", "campaigns.repeats", "from 2 to 100"),
            ("owners = 21", "campaigns.hold_owners", "at least campaigns.owners"),
        ] {
            Given::env(&[]).and_file(&format!("[campaigns]\n{file}")).refused(name, says);
        }
    }
}
