//! The five plugins: who reports what. They share one pass.

use clawexchange_ssg_core::{
    Category, ContentEnvelope, Context, DetectionPlugin, Field, Findings, Joined, PluginError, Suppressed,
};

use crate::detectors::Detectors;
use crate::hit::{Hit, finding};

/// One family of rules.
struct Family {
    detectors: Detectors,
    at: usize,
}

const IDS: [(&str, i32); 5] =
    [("secrets", 10), ("personal-data", 20), ("attacks", 30), ("malicious-code", 40), ("obfuscation", 50)];

pub(crate) fn all(detectors: &Detectors) -> impl IntoIterator<Item = impl DetectionPlugin> {
    (0..IDS.len()).map(|at| Family { detectors: detectors.clone(), at }).collect::<Vec<_>>()
}

const fn family_of(category: Category) -> usize {
    match category {
        Category::Credentials => 0,
        Category::PersonalData | Category::ContactData => 1,
        Category::Injection | Category::SocialEngineering => 2,
        Category::MaliciousCode => 3,
        Category::Obfuscation | Category::Other => 4,
    }
}

impl DetectionPlugin for Family {
    fn id(&self) -> &str {
        IDS.get(self.at).map_or("", |(id, _)| id)
    }

    fn priority(&self) -> i32 {
        IDS.get(self.at).map_or(100, |(_, priority)| *priority)
    }

    fn analyze(&self, content: &ContentEnvelope, cx: &Context) -> Result<Findings, PluginError> {
        let pass = cx.shared(|| Pass::over(&self.detectors, content));
        Ok(pass.families.get(self.at).cloned().unwrap_or_default())
    }

    fn suppressed(&self, content: &ContentEnvelope, cx: &Context) -> Vec<Suppressed> {
        let all = cx.shared(|| Unreported::in_all(&self.detectors, content));
        all.0.iter().filter(|s| family_of(s.category) == self.at).cloned().collect()
    }
}

/// What all families did not report, of all fields.
struct Unreported(Vec<Suppressed>);

impl Unreported {
    fn in_all(detectors: &Detectors, content: &ContentEnvelope) -> Self {
        Self(content.fields().flat_map(|field| detectors.suppressed_in(&field)).collect())
    }
}

/// What one pass over all fields found, family by family.
#[derive(Default)]
struct Pass {
    families: [Findings; IDS.len()],
}

impl Pass {
    fn over(detectors: &Detectors, content: &ContentEnvelope) -> Self {
        let mut pass = Self::default();
        let fields: Vec<Field<'_>> = content.fields().collect();
        let mut hits: Vec<Vec<Hit>> = fields.iter().map(|field| detectors.hits(field.text).hits).collect();
        detectors.add_sums(&mut hits.iter_mut().collect::<Vec<_>>());
        for (field, hits) in fields.iter().zip(hits) {
            for hit in hits {
                pass.add(detectors, field, &hit);
            }
        }
        if let Some(joined) = content.joined() {
            pass.add_joined(detectors, joined);
        }
        pass
    }

    fn add(&mut self, detectors: &Detectors, field: &Field<'_>, hit: &Hit) {
        let Some(rule) = detectors.rule(hit.rule) else { return };
        if let Some(findings) = self.families.get_mut(family_of(rule.pattern.category())) {
            findings.push(finding(detectors, rule, hit, field));
        }
    }

    /// What runs over the end of a field into the next: only the text around these ends is looked at, as it is and
    /// with the ends taken out, so that a token in two halves is seen.
    fn add_joined(&mut self, detectors: &Detectors, joined: &Joined) {
        for seam in seams(joined) {
            let Some(text) = joined.text().get(seam.around.clone()) else { continue };
            for hit in detectors.hits(text).hits {
                self.add_across(
                    detectors,
                    joined,
                    &hit,
                    seam.around.start + hit.span.start..seam.around.start + hit.span.end,
                );
            }
            let Some((before, after)) = seam.halves(joined.text()) else { continue };
            let bare = format!("{before}{after}");
            for hit in detectors.hits(&bare).hits {
                let is_token = detectors
                    .rule(hit.rule)
                    .is_some_and(|r| r.pattern.category() == Category::Credentials && !r.spec.generic);
                if is_token && hit.span.start < before.len() && hit.span.end > before.len() {
                    // Behind the end that was taken out, everything stands one byte later.
                    let start = seam.around.start + hit.span.start;
                    self.add_across(detectors, joined, &hit, start..seam.around.start + hit.span.end + 1);
                }
            }
        }
    }

    fn add_across(
        &mut self,
        detectors: &Detectors,
        joined: &Joined,
        hit: &Hit,
        span: std::ops::Range<usize>,
    ) {
        if let Some(rule) = detectors.rule(hit.rule)
            && joined.crosses(&span)
            && let Some(findings) = self.families.get_mut(family_of(rule.pattern.category()))
        {
            let mut found = finding(detectors, rule, hit, &Field::new("", joined.text()));
            found.span = span;
            findings.push_joined(joined, found);
        }
    }
}

/// How far from an end of a field what runs over it may begin and end.
const SEAM_BYTES: usize = 512;

struct Seam {
    end: usize,
    around: std::ops::Range<usize>,
}

impl Seam {
    /// The texts on either side of the line feed.
    fn halves<'t>(&self, text: &'t str) -> Option<(&'t str, &'t str)> {
        Some((text.get(self.around.start..self.end)?, text.get(self.end + 1..self.around.end)?))
    }
}

/// The ends of fields and the text around each, up to the ends next to it if these are nearer.
fn seams(joined: &Joined) -> Vec<Seam> {
    let text = joined.text();
    let ends = joined.starts().filter_map(|start| start.checked_sub(1));
    ends.map(|end| {
        let around = end.saturating_sub(SEAM_BYTES)..end + 1 + SEAM_BYTES;
        Seam { end, around: crate::view::whole_characters(text, around) }
    })
    .collect()
}
