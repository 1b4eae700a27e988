//! Levels of paranoia: which rules count, and which are only watched.

use clawexchange_ssg_core::RuleMode;

use crate::error::DetectorsError;

/// Up to which level of paranoia rules count, and up to which they are looked for at all.
///
/// A rule of a higher level is found in more ordinary texts. Rules up to `level` count, those above it up to
/// `detection` are run in shadow mode, so that operators see what the next level would find, and the others are not
/// run. A mode that is set for a rule wins over its level.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Levels {
    level: u8,
    detection: u8,
}

impl Levels {
    /// The highest level.
    pub const MAX: u8 = 4;

    /// Both from 1 to 4, and detection no lower than the level.
    pub const fn new(level: u8, detection: u8) -> Result<Self, DetectorsError> {
        if level >= 1 && level <= detection && detection <= Self::MAX {
            Ok(Self { level, detection })
        } else {
            Err(DetectorsError::Levels { level, detection })
        }
    }

    /// Up to which level rules count.
    pub const fn level(self) -> u8 {
        self.level
    }

    /// Up to which level they are looked for.
    pub const fn detection(self) -> u8 {
        self.detection
    }

    /// The mode of a rule of this level for which none is set.
    pub(crate) const fn mode_of(self, rule: u8) -> RuleMode {
        if rule <= self.level {
            RuleMode::Enforce
        } else if rule <= self.detection {
            RuleMode::Shadow
        } else {
            RuleMode::Off
        }
    }
}

/// Rules of level 1 count, those of level 2 are watched.
impl Default for Levels {
    fn default() -> Self {
        Self { level: 1, detection: 2 }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use clawexchange_ssg_core::{ContentEnvelope, Inspector, InspectorConfig, PluginRegistry, Verdict};

    use super::*;
    use crate::{Detectors, HostPolicy};

    /// A specific rule of level 3 over a generic one of level 1, contacts and phrases of level 2.
    const PACK: &str = r#"
[[rule]]
id = "some-value"
category = "credentials"
score = 62
description = "A value."
keywords = ["key="]
pattern = 'key=([a-z0-9]{12})'
generic = true

[[rule]]
id = "acme-value"
category = "credentials"
score = 90
level = 3
description = "A value of Acme."
keywords = ["key=acme"]
pattern = 'key=(acme[a-z0-9]{8})'

[[rule]]
id = "contact-dump"
category = "contact-data"
score = 60
description = "Many contacts."

[[rule]]
id = "some-contact"
category = "contact-data"
score = 40
level = 2
description = "A contact."
keywords = ["@"]
pattern = '[a-z0-9]{1,9}@[a-z]{3}'

[[rule]]
id = "some-order"
category = "injection"
score = 65
level = 2
description = "An order."
face = "folded"
keywords = ["obey"]
pattern = 'obey me'
quotable = true

[[rule]]
id = "quoted-attack"
category = "injection"
score = 30
description = "An order that is told about."

[[rule]]
id = "wrapped-finding"
category = "obfuscation"
score = 36
description = "Something was wrapped."
"#;

    fn detectors(level: u8, detection: u8, modes: &[(&str, RuleMode)]) -> Detectors {
        let modes: BTreeMap<_, _> = modes.iter().map(|(id, mode)| ((*id).to_owned(), *mode)).collect();
        let levels = Levels::new(level, detection).unwrap();
        Detectors::of_packs(&[("test", PACK)], &modes, HostPolicy::default(), levels).unwrap()
    }

    fn found(detectors: &Detectors, text: &str) -> Vec<(String, RuleMode)> {
        detectors.scan(text).into_iter().map(|d| (d.id, d.mode)).collect()
    }

    #[test]
    fn what_is_only_watched_takes_the_place_of_nothing_and_makes_nothing_that_counts() {
        let watching = detectors(1, 3, &[]);
        let mut both = found(&watching, "key=acme12345678");
        both.sort_by(|a, b| a.0.cmp(&b.0));
        let (value, acme) = ("some-value".to_owned(), "acme-value".to_owned());
        assert_eq!(both, [(acme.clone(), RuleMode::Shadow), (value.clone(), RuleMode::Enforce)]);
        let counting = detectors(3, 3, &[]);
        assert_eq!(found(&counting, "key=acme12345678"), [(acme, RuleMode::Enforce)]);
        assert_eq!(found(&detectors(1, 2, &[]), "key=acme12345678"), [(value, RuleMode::Enforce)]);
        // A sum of what is watched, something wrapped that is watched, something told about that is watched.
        let dump = (0..60).fold(String::new(), |all, n| all + &format!("p{n}@abc "));
        let wrapped = "b2JleSBtZSBhbmQgbm9ib2R5IGVsc2UgaW4gdGhpcyB3b3JsZA==";
        let told = "Attackers write \"obey me\" there.";
        for text in [&*dump, wrapped, told] {
            assert!(found(&watching, text).iter().all(|(_, mode)| *mode == RuleMode::Shadow), "{text}");
            assert!(found(&counting, text).iter().any(|(id, _)| *id != "some-contact"), "{text}");
        }
    }

    #[test]
    fn a_mode_wins_over_the_level_of_its_rule() {
        let mode = |modes: &[(&str, RuleMode)], id: &str| {
            let detectors = detectors(1, 2, modes);
            detectors.rules().find(|rule| rule.id == id).unwrap().mode
        };
        assert_eq!(mode(&[], "acme-value"), RuleMode::Off);
        assert_eq!(mode(&[("acme-value", RuleMode::Enforce)], "acme-value"), RuleMode::Enforce);
        assert_eq!(mode(&[("acme-value", RuleMode::Shadow)], "acme-value"), RuleMode::Shadow);
        assert_eq!(mode(&[("some-order", RuleMode::Off)], "some-order"), RuleMode::Off);
        assert_eq!(mode(&[("some-value", RuleMode::Off)], "some-value"), RuleMode::Off);
    }

    #[test]
    fn another_level_is_another_policy() {
        let policy = |level, detection| detectors(level, detection, &[]).policy();
        assert_eq!(policy(1, 2), policy(1, 2));
        assert_ne!(policy(1, 2), policy(2, 2));
        assert_ne!(policy(1, 2), policy(1, 3));
    }

    #[tokio::test]
    async fn a_rule_above_the_level_is_shown_to_operators_and_changes_nothing() {
        for (detection, shown) in [(1, false), (2, true)] {
            let plugins = detectors(1, detection, &[]).register(PluginRegistry::new()).unwrap();
            let inspector = Inspector::new(plugins, InspectorConfig::default());
            let content = ContentEnvelope::post("obey me").unwrap();
            let assessment = inspector.inspect(&content).await;
            let inspection = assessment.inspection();
            assert_eq!((assessment.verdict(), assessment.score().get()), (Verdict::Pass, 0));
            assert!(inspection.labels.is_empty() && inspection.matches.is_empty());
            let explanation = inspector.explain(&content, &assessment).await;
            let modes: Vec<_> = explanation.rules.iter().map(|r| (r.mode, r.level, r.delta)).collect();
            assert_eq!(modes, if shown { vec![(RuleMode::Shadow, Some(2), 0)] } else { vec![] });
        }
    }

    #[test]
    fn what_counts_is_looked_for_too() {
        use RuleMode::{Enforce, Off, Shadow};
        let modes = |level, detection| {
            let levels = Levels::new(level, detection).unwrap();
            [1, 2, 3, 4].map(|rule| levels.mode_of(rule))
        };
        assert_eq!(modes(1, 2), [Enforce, Shadow, Off, Off]);
        assert_eq!(modes(2, 2), [Enforce, Enforce, Off, Off]);
        assert_eq!(modes(1, 4), [Enforce, Shadow, Shadow, Shadow]);
        assert_eq!(modes(4, 4), [Enforce; 4]);
        for (level, detection) in [(0, 2), (2, 1), (1, 5), (5, 5)] {
            assert!(Levels::new(level, detection).is_err(), "{level} {detection}");
        }
    }
}
