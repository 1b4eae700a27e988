//! What each role may do: one table, and nothing that is not in it.

use std::fmt;
use std::str::FromStr;

use clawexchange_ssg_core::UnknownWord;
use serde::{Deserialize, Serialize};

/// In what capacity somebody speaks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(clippy::exhaustive_enums, reason = "who grants rights and forgets a role must not compile")]
pub enum Role {
    /// The site that submits what its agents post.
    Platform,
    /// An agent that posts, for itself alone.
    Agent,
    /// A program that decides about held content by rules of its own, without seeing it.
    Bot,
    /// A person who reviews held content.
    Moderator,
    /// A person who runs the deployment.
    Admin,
    /// A person who reads the log and changes nothing.
    Auditor,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Platform, Self::Agent, Self::Bot, Self::Moderator, Self::Admin, Self::Auditor];

    /// The word that stands in tables, on the command line and in the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Platform => "platform",
            Self::Agent => "agent",
            Self::Bot => "bot",
            Self::Moderator => "moderator",
            Self::Admin => "admin",
            Self::Auditor => "auditor",
        }
    }

    /// Whether the role may do it. What the table does not say is refused.
    pub fn may(self, act: Act) -> bool {
        TABLE.iter().any(|(of, roles)| *of == act && roles.contains(&self))
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let known = "platform|agent|bot|moderator|admin|auditor";
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or(UnknownWord::new(known))
    }
}

/// What somebody wants to do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[expect(clippy::exhaustive_enums, reason = "each act has its row in the table; a test counts them")]
pub enum Act {
    /// Sends content through the whole pipeline.
    Submit,
    /// Says who posts, for whom, from where and how far they are trusted.
    SpeakForOthers,
    /// Asks what became of a submission; agents of their own only.
    SeeSubmission,
    /// Says that released content was published, and fetches it for that.
    ConfirmRelease,
    /// Has content judged without storing anything.
    Inspect,
    /// Asks how an agent stands; agents of themselves only.
    SeeLimits,
    /// Reads envelopes of held content that a program may see.
    SeeBotQueue,
    /// Decides as a program.
    ActAsBot,
    /// Lists and shows records of held content, without the content.
    SeeHeld,
    /// Opens held content.
    Reveal,
    /// Releases, deletes, escalates, restores; claims for that.
    Decide,
    /// Places and lifts legal holds.
    HoldLegally,
    /// Reads the log.
    ReadLog,
    /// Makes, lists and revokes tokens.
    ManageTokens,
    /// Changes limits.
    ManageLimits,
}

impl Act {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Submit,
        Self::SpeakForOthers,
        Self::SeeSubmission,
        Self::ConfirmRelease,
        Self::Inspect,
        Self::SeeLimits,
        Self::SeeBotQueue,
        Self::ActAsBot,
        Self::SeeHeld,
        Self::Reveal,
        Self::Decide,
        Self::HoldLegally,
        Self::ReadLog,
        Self::ManageTokens,
        Self::ManageLimits,
    ];

    /// The roles that may.
    pub fn roles(self) -> impl Iterator<Item = Role> {
        Role::ALL.into_iter().filter(move |role| role.may(self))
    }
}

/// The table. An admin is a person and so never decides as a program does; an auditor changes nothing.
const TABLE: [(Act, &[Role]); 15] = [
    (Act::Submit, &[Role::Platform, Role::Agent, Role::Admin]),
    (Act::SpeakForOthers, &[Role::Platform, Role::Admin]),
    (Act::SeeSubmission, &[Role::Platform, Role::Agent, Role::Moderator, Role::Admin]),
    (Act::ConfirmRelease, &[Role::Platform, Role::Admin]),
    (Act::Inspect, &[Role::Platform, Role::Moderator, Role::Admin]),
    (Act::SeeLimits, &[Role::Platform, Role::Agent, Role::Moderator, Role::Admin]),
    (Act::SeeBotQueue, &[Role::Bot]),
    (Act::ActAsBot, &[Role::Bot]),
    (Act::SeeHeld, &[Role::Moderator, Role::Admin, Role::Auditor]),
    (Act::Reveal, &[Role::Moderator, Role::Admin]),
    (Act::Decide, &[Role::Moderator, Role::Admin]),
    (Act::HoldLegally, &[Role::Admin]),
    (Act::ReadLog, &[Role::Admin, Role::Auditor]),
    (Act::ManageTokens, &[Role::Admin]),
    (Act::ManageLimits, &[Role::Admin]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_act_has_one_row_and_somebody_who_may() {
        for act in Act::ALL {
            assert_eq!(TABLE.iter().filter(|(of, _)| *of == act).count(), 1, "{act:?}");
            assert!(act.roles().count() > 0, "{act:?}");
        }
    }

    #[test]
    fn nobody_sees_content_who_need_not() {
        for role in [Role::Platform, Role::Agent, Role::Bot, Role::Auditor] {
            assert!(!role.may(Act::Reveal) && !role.may(Act::Decide), "{role}");
        }
        assert_eq!(Act::ActAsBot.roles().collect::<Vec<_>>(), [Role::Bot]);
        assert!(
            Act::ALL.iter().all(|act| !Role::Auditor.may(*act) || matches!(act, Act::SeeHeld | Act::ReadLog))
        );
    }

    #[test]
    fn roles_are_read_back() {
        for role in Role::ALL {
            assert_eq!(role.as_str().parse::<Role>().unwrap(), role);
            assert_eq!(serde_json::to_value(role).unwrap(), role.as_str());
        }
        assert!("Admin".parse::<Role>().is_err());
    }
}
