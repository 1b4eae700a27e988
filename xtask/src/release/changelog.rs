//! A crate's changelog: what its newest heading says, and how it becomes a dated one.

use semver::Version;

use super::version::Change;

/// The word in place of a date.
const UNRELEASED: &str = "unreleased";

/// The newest heading of the second level.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Heading {
    /// `## 0.2.0 - unreleased`, `## Unreleased`
    Unreleased,
    /// `## 0.2.0 - 2026-11-25`
    Released(Version),
}

/// The text, taken apart.
#[derive(Debug)]
pub(crate) struct Changelog {
    /// Above the newest heading.
    intro: String,
    pub(crate) heading: Heading,
    /// Below it, up to the next.
    section: String,
    /// From the next heading on.
    older: String,
    /// The newest heading as it is written.
    line: String,
}

impl Changelog {
    /// Reads it; without a heading that is understood it is no changelog.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let mut starts = Vec::new();
        let mut offset = 0;
        for line in text.split_inclusive('\n') {
            if line.starts_with("## ") {
                starts.push(offset);
            }
            offset += line.len();
        }
        let Some(&start) = starts.first() else {
            return Err("has no heading `## X.Y.Z - unreleased`".to_owned());
        };
        let (intro, rest) = text.split_at(start);
        let (newest, older) = rest.split_at(starts.get(1).map_or(rest.len(), |next| next - start));
        let (line, section) = newest.split_once('\n').unwrap_or((newest, ""));
        let heading = heading(line).ok_or_else(|| {
            format!("begins with `{line}`: write `## X.Y.Z - unreleased`, or a date after the version")
        })?;
        Ok(Self {
            intro: intro.to_owned(),
            heading,
            section: section.to_owned(),
            older: older.to_owned(),
            line: line.to_owned(),
        })
    }

    /// What waits for a release, and how the text says so; `None` if nothing does.
    pub(crate) fn change(&self) -> Option<(Change, String)> {
        if self.heading != Heading::Unreleased {
            return None;
        }
        let mut kind = None;
        let mut found: Option<(Change, String)> = None;
        for line in self.section.lines() {
            if let Some(title) = line.strip_prefix("### ") {
                kind = Some(title.trim());
            } else if line.starts_with("- ") || line.starts_with("* ") {
                let said = meaning(kind.unwrap_or_default(), line);
                if found.as_ref().is_none_or(|(change, _)| *change < said.0) {
                    found = Some(said);
                }
            }
        }
        found
    }

    /// The text as it is.
    pub(crate) fn text(&self) -> String {
        let line_ends = if self.section.is_empty() && self.older.is_empty() { "" } else { "\n" };
        format!("{}{}{line_ends}{}{}", self.intro, self.line, self.section, self.older)
    }

    /// The text with its newest section under a version and a date; `entry` is for a crate that wrote none itself.
    pub(crate) fn released(&self, version: &Version, date: &str, entry: Option<&str>) -> String {
        let heading = format!("## {version} - {date}\n");
        let entry = entry.map(|entry| format!("\n### Changed\n\n- {entry}\n\n")).unwrap_or_default();
        match self.heading {
            Heading::Unreleased => {
                let section = if self.change().is_some() { &self.section } else { &entry };
                format!("{}{heading}{section}{}", self.intro, self.older)
            }
            Heading::Released(_) => {
                format!("{}{heading}{entry}{}\n{}{}", self.intro, self.line, self.section, self.older)
            }
        }
    }
}

fn heading(line: &str) -> Option<Heading> {
    let title: String = line.strip_prefix("## ")?.chars().filter(|c| !matches!(c, '[' | ']')).collect();
    let (version, date) =
        title.trim().split_once(" - ").map_or((title.trim(), None), |(v, d)| (v, Some(d.trim())));
    if [Some(version), date].into_iter().flatten().any(|word| word.eq_ignore_ascii_case(UNRELEASED)) {
        return Some(Heading::Unreleased);
    }
    let is_date = |date: &str| {
        let parts: Vec<_> = date.split('-').collect();
        let is_number =
            |(part, digits): (&&str, usize)| part.len() == digits && part.chars().all(|c| c.is_ascii_digit());
        parts.len() == 3 && parts.iter().zip([4, 2, 2]).all(is_number)
    };
    date.filter(|date| is_date(date))?;
    Some(Heading::Released(version.parse().ok()?))
}

/// What an entry means by the heading that it stands under, or by a word of its own.
fn meaning(kind: &str, entry: &str) -> (Change, String) {
    let lower = kind.to_lowercase();
    let says_so = entry.trim_start_matches(['-', '*', ' ']).to_lowercase().starts_with("breaking");
    if says_so {
        (Change::Break, "an entry that begins with Breaking".to_owned())
    } else if lower.starts_with("removed") || lower.contains("breaking") {
        (Change::Break, format!("### {kind}"))
    } else if lower.starts_with("added") || lower.starts_with("deprecated") {
        (Change::Addition, format!("### {kind}"))
    } else if kind.is_empty() {
        (Change::Fix, "entries without a heading".to_owned())
    } else {
        (Change::Fix, format!("### {kind}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(newest: &str, section: &str) -> Changelog {
        Changelog::read(&format!(
            "# Changelog\n\nIntro.\n\n{newest}\n{section}\n## 0.1.0 - 2026-01-02\n\n- First.\n"
        ))
        .unwrap()
    }

    #[test]
    fn the_newest_heading_says_whether_something_waits() {
        for (line, found) in [
            ("## 0.2.0 - unreleased", Some(Heading::Unreleased)),
            ("## Unreleased", Some(Heading::Unreleased)),
            ("## [Unreleased]", Some(Heading::Unreleased)),
            ("## 0.2.0 - 2026-11-25", Some(Heading::Released(Version::new(0, 2, 0)))),
            ("## [0.2.0] - 2026-11-25", Some(Heading::Released(Version::new(0, 2, 0)))),
            ("## 0.2.0", None),
            ("## 0.2.0 - soon", None),
            ("## two - 2026-11-25", None),
        ] {
            assert_eq!(heading(line), found, "{line}");
        }
        assert!(Changelog::read("# Changelog\n").is_err());
    }

    #[test]
    fn the_gravest_entry_decides() {
        for (section, change) in [
            ("\n### Fixed\n\n- One.\n", Some(Change::Fix)),
            ("\n### Security\n\n- One.\n", Some(Change::Fix)),
            ("\n### Changed\n\n- One.\n", Some(Change::Fix)),
            ("\n### Fixed\n\n- One.\n\n### Added\n\n- Two.\n", Some(Change::Addition)),
            (
                "\n### Added\n\n- One.\n\n### Removed\n\n- Two.\n\n### Fixed\n\n- Three.\n",
                Some(Change::Break),
            ),
            ("\n### Changed (breaking)\n\n- One.\n", Some(Change::Break)),
            ("\n### Changed\n\n- **Breaking**: one.\n", Some(Change::Break)),
            ("\n### Removed\n\n", None),
            ("\nNothing yet.\n", None),
        ] {
            assert_eq!(log("## Unreleased", section).change().map(|(change, _)| change), change, "{section}");
        }
        assert_eq!(
            log("## 0.2.0 - 2026-11-25", "\n### Removed\n\n- One.\n").change(),
            None,
            "it is out already"
        );
    }

    #[test]
    fn releasing_changes_one_heading_and_not_a_byte_more() {
        let before = log("## 0.2.0 - unreleased", "\n### Fixed\n\n- One.\n");
        assert_eq!(
            before.released(&Version::new(0, 2, 1), "2026-11-25", Some("ignored")),
            "# Changelog\n\nIntro.\n\n## 0.2.1 - 2026-11-25\n\n### Fixed\n\n- One.\n\n## 0.1.0 - 2026-01-02\n\n- First.\n"
        );
    }

    #[test]
    fn a_crate_that_only_follows_another_gets_a_section_that_says_so() {
        let expected = "# Changelog\n\nIntro.\n\n## 0.3.0 - 2026-11-25\n\n### Changed\n\n- Follows.\n\n";
        let released = log("## 0.2.0 - 2026-02-03", "\n- Old.\n");
        let text = released.released(&Version::new(0, 3, 0), "2026-11-25", Some("Follows."));
        assert_eq!(
            text,
            format!("{expected}## 0.2.0 - 2026-02-03\n\n- Old.\n\n## 0.1.0 - 2026-01-02\n\n- First.\n")
        );
        let empty = log("## Unreleased", "");
        let text = empty.released(&Version::new(0, 3, 0), "2026-11-25", Some("Follows."));
        assert_eq!(text, format!("{expected}## 0.1.0 - 2026-01-02\n\n- First.\n"));
    }
}
