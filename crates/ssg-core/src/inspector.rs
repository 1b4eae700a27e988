//! Content in, assessment out: no port, nothing stored, cannot fail.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::action::{Actions, CategoryAction, Lift};
use crate::clock::{Clock, SystemClock};
use crate::content::ContentEnvelope;
use crate::explain;
use crate::finding::{Found, RuleMode};
use crate::id::InspectionId;
use crate::inspection::{Assessment, Explanation, Inspection, Match, Place, PluginFault, RuleResult};
use crate::plugin::Context;
use crate::redact;
use crate::registry::{PluginFailure, PluginRegistry, Registered, RunsAt};
use crate::runner::{Failure, Pool, run_here};
use crate::score::{Scored, tally};
use crate::tier::{RiskTier, TierThresholds};

/// How an inspector judges.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct InspectorConfig {
    /// Where tiers begin.
    pub thresholds: TierThresholds,
    /// How long a plugin with threads of its own may take: 100 ms unless set.
    pub plugin_timeout: Duration,
    /// How long all of them may take together: 400 ms unless set. Content from which something is cut out is
    /// inspected twice, each time so long.
    pub deadline: Duration,
    /// What stands as `policy` on every result: `<pack>@<version>+<hash>`.
    pub policy: String,
    /// How many matches a result lists: 100 unless set.
    pub matches_max: usize,
    /// What categories do besides making points: nothing unless set.
    pub actions: Actions,
    /// Content above so many bytes is inspected on a thread for blocking work, so that it does not hold up the
    /// others on this one: 16 KiB unless set.
    pub inline_bytes_max: usize,
}

impl Default for InspectorConfig {
    fn default() -> Self {
        Self {
            thresholds: TierThresholds::default(),
            plugin_timeout: Duration::from_millis(100),
            deadline: Duration::from_millis(400),
            policy: "none@0+00000000".to_owned(),
            matches_max: 100,
            actions: Actions::new(),
            inline_bytes_max: 16 << 10,
        }
    }
}

/// Inspects content with a set of plugins. Cheap to clone.
#[derive(Clone)]
pub struct Inspector(Arc<Inner>);

struct Inner {
    plugins: Vec<(Registered, Option<Pool>)>,
    config: InspectorConfig,
    clock: Arc<dyn Clock>,
}

impl Inspector {
    /// Makes an inspector that asks the clock of the machine.
    pub fn new(plugins: PluginRegistry, config: InspectorConfig) -> Self {
        Self::with_clock(plugins, config, SystemClock::new())
    }

    /// Makes an inspector that asks `clock`.
    pub fn with_clock(plugins: PluginRegistry, config: InspectorConfig, clock: impl Clock) -> Self {
        let plugins = plugins
            .into_plugins()
            .into_iter()
            .map(|p| {
                let pool = (p.runs_at == RunsAt::Pool).then(|| Pool::new(p.clone()));
                (p, pool)
            })
            .collect();
        Self(Arc::new(Inner { plugins, config, clock: Arc::new(clock) }))
    }

    /// How it judges.
    pub fn config(&self) -> &InspectorConfig {
        &self.0.config
    }

    /// Inspects content: all plugins run, whatever the first of them find.
    ///
    /// Must be called inside a tokio runtime with time enabled.
    pub async fn inspect(&self, content: &ContentEnvelope) -> Assessment {
        self.inspect_as(InspectionId::fresh(), content).await
    }

    /// The same under an id that was chosen before.
    pub async fn inspect_as(&self, id: InspectionId, content: &ContentEnvelope) -> Assessment {
        let first = self.look_at(id, content).await;
        match self.cut(content, &first).await {
            Some(rest) => {
                let second = self.look_at(id, &rest).await;
                redact::settle(first, &second, rest, &self.0.config.actions)
            }
            None => first,
        }
    }

    /// Says how an assessment of `content` came about: with places in lines, and with what plugins came upon and did
    /// not report, for which they look at the content once more. For operators only.
    ///
    /// The same content, rules and settings give the same explanation, but for the id and the time of the inspection.
    /// Must be called inside a tokio runtime.
    pub async fn explain(&self, content: &ContentEnvelope, assessment: &Assessment) -> Explanation {
        let explained = assessment.explain();
        let (me, its_content, its_explained) = (self.clone(), content.clone(), explained.clone());
        let work = move || {
            let cx = Context::new(Instant::now() + me.0.config.deadline);
            let plugins = me.0.plugins.iter().map(|(plugin, _)| plugin);
            explain::complete(its_explained, &its_content, plugins, &cx)
        };
        // If the runtime is shutting down, what is known already has to do.
        tokio::task::spawn_blocking(work).await.unwrap_or(explained)
    }

    /// The content without what was found in it, if that is to be and can be cut out.
    async fn cut(&self, content: &ContentEnvelope, seen: &Assessment) -> Option<ContentEnvelope> {
        let config = &self.0.config;
        if !config.actions.values().any(|action| *action == CategoryAction::Redact) {
            return None;
        }
        if content.size_bytes() <= config.inline_bytes_max {
            return redact::cut(content, seen, &config.actions);
        }
        let (me, content, seen) = (self.clone(), content.clone(), seen.clone());
        let cutting = tokio::task::spawn_blocking(move || redact::cut(&content, &seen, &me.0.config.actions));
        // If the runtime is shutting down, the content is judged as if nothing could be cut out.
        cutting.await.ok().flatten()
    }

    /// One pass of all plugins.
    async fn look_at(&self, id: InspectionId, content: &ContentEnvelope) -> Assessment {
        let started = Instant::now();
        let deadline = started + self.0.config.deadline;
        let cx = Arc::new(Context::new(deadline));
        // Plugins with threads of their own start before the inline ones, so that both sorts share the time.
        let pooled: Vec<_> = self
            .0
            .plugins
            .iter()
            .enumerate()
            .filter_map(|(at, (_, pool))| Some((at, pool.clone()?)))
            .map(|(at, pool)| {
                let (content, cx) = (content.clone(), Arc::clone(&cx));
                let until = deadline.min(started + self.0.config.plugin_timeout);
                tokio::spawn(async move { (at, pool.run(&content, &cx, until).await) })
            })
            .collect();
        let mut answers = self.run_inline(content, &cx).await;
        for running in pooled {
            match running.await {
                Ok(answer) => answers.push(answer),
                Err(_) => tracing::error!("the task that waits for a plugin was stopped"),
            }
        }
        answers.sort_by_key(|(at, _)| *at);
        self.judge(id, content, answers)
    }

    /// Threads of plugins that have not come back.
    pub fn abandoned_threads(&self) -> u32 {
        self.0.plugins.iter().filter_map(|(_, pool)| pool.as_ref()).map(Pool::abandoned).sum()
    }

    async fn run_inline(&self, content: &ContentEnvelope, cx: &Arc<Context>) -> Vec<Answer> {
        let run = |me: &Self, content: &ContentEnvelope, cx: &Context| -> Vec<Answer> {
            let inline = me.0.plugins.iter().enumerate().filter(|(_, (p, _))| p.runs_at == RunsAt::Inline);
            inline.map(|(at, (p, _))| (at, run_here(p, content, cx))).collect()
        };
        if content.size_bytes() <= self.0.config.inline_bytes_max {
            return run(self, content, cx);
        }
        let (me, its_content, its_cx) = (self.clone(), content.clone(), Arc::clone(cx));
        match tokio::task::spawn_blocking(move || run(&me, &its_content, &its_cx)).await {
            Ok(answers) => answers,
            // The runtime is shutting down and takes no more work: do it here.
            Err(_) => run(self, content, cx),
        }
    }

    fn judge(&self, id: InspectionId, content: &ContentEnvelope, answers: Vec<Answer>) -> Assessment {
        let mut places = Places::of(content);
        let mut found: Vec<(&str, Found)> = Vec::new();
        let mut failures = Vec::new();
        let mut answered = vec![false; self.0.plugins.len()];
        for (at, answer) in answers {
            let Some((plugin, _)) = self.0.plugins.get(at) else { continue };
            if let Some(seen) = answered.get_mut(at) {
                *seen = true;
            }
            match answer.map(crate::finding::Findings::into_found) {
                Ok(all) if all.iter().all(|f| f.places.iter().all(|p| places.has(p))) => {
                    found.extend(all.into_iter().map(|f| (&*plugin.id, f)));
                }
                Ok(_) => failures.push(fault(plugin, Failure::Span)),
                Err(failure) => failures.push(fault(plugin, failure)),
            }
        }
        for ((plugin, _), answered) in self.0.plugins.iter().zip(answered) {
            if !answered {
                failures.push(fault(plugin, Failure::Timeout));
            }
        }
        self.assess(id, found, failures)
    }

    fn assess(&self, id: InspectionId, found: Vec<(&str, Found)>, failures: Vec<PluginFault>) -> Assessment {
        let config = &self.0.config;
        let counts = |f: &Found| f.pattern.mode() == RuleMode::Enforce;
        let mut scored: Vec<Scored<'_>> = Vec::new();
        for (_, f) in found.iter().filter(|(_, f)| counts(f)) {
            // Two plugins may look for one pattern: it scores once.
            match scored.iter_mut().find(|s| s.id == f.pattern.id()) {
                Some(known) => known.points = known.points.max(f.points),
                None => scored.push(Scored {
                    id: f.pattern.id(),
                    category: f.pattern.category(),
                    points: f.points,
                }),
            }
        }
        let tally = tally(&scored);
        let deltas: HashMap<String, u32> =
            scored.iter().zip(&tally.deltas).map(|(s, delta)| (s.id.to_owned(), *delta)).collect();
        let mut labels: Vec<String> = failures.iter().map(|f| format!("PLUGIN_ERROR:{}", f.plugin)).collect();
        let (mut matches, mut truncated) = (Vec::new(), false);
        for (plugin, f) in found.iter().filter(|(_, f)| counts(f)) {
            labels.extend(f.pattern.category().label().map(ToOwned::to_owned));
            labels.extend(f.pattern.labels().map(ToOwned::to_owned));
            truncated |= f.count > f.places.len() as u64;
            matches.extend(f.places.iter().map(|p| match_of(plugin, p)));
        }
        labels.sort_unstable();
        labels.dedup();
        matches.sort_by(|a: &Match, b| {
            (&a.field, a.start, &a.pattern_id, a.end, a.in_key).cmp(&(
                &b.field,
                b.start,
                &b.pattern_id,
                b.end,
                b.in_key,
            ))
        });
        matches.dedup();
        truncated |= matches.len() > config.matches_max;
        matches.truncate(config.matches_max);
        let mut deltas = deltas;
        let mut rules: Vec<RuleResult> = found
            .into_iter()
            .map(|(plugin, f)| {
                let delta = if counts(&f) { deltas.remove(f.pattern.id()).unwrap_or(0) } else { 0 };
                rule_of(plugin, f, delta)
            })
            .collect();
        rules.sort_by(|a, b| (b.delta, b.points, &a.pattern_id).cmp(&(a.delta, a.points, &b.pattern_id)));
        let mut tier = config.thresholds.tier(tally.total);
        let lifted = Lift::of(&rules, &config.actions, tier);
        tier = lifted.map_or(tier, Lift::tier);
        if failures.iter().any(|f| f.held) {
            tier = tier.max(RiskTier::High);
        }
        Assessment {
            inspection: Inspection {
                inspection_id: id,
                tier,
                verdict: tier.verdict(),
                labels,
                matches,
                truncated,
                policy: config.policy.clone(),
                timestamp: self.0.clock.now(),
                quarantine_id: None,
                would_be: None,
                sanitized: None,
                campaign: None,
            },
            score: tally.total,
            rules,
            failures,
            lifted,
        }
    }
}

impl fmt::Debug for Inspector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<_> = self.0.plugins.iter().map(|(p, _)| &p.id).collect();
        f.debug_struct("Inspector")
            .field("plugins", &ids)
            .field("config", &self.0.config)
            .finish_non_exhaustive()
    }
}

type Answer = (usize, Result<crate::finding::Findings, Failure>);

fn fault(plugin: &Registered, failure: Failure) -> PluginFault {
    let held = plugin.on_failure == PluginFailure::Hold;
    tracing::warn!(plugin = &*plugin.id, reason = failure.reason(), held, "a plugin gave no result");
    PluginFault { plugin: plugin.id.as_ref().to_owned(), reason: failure.reason().to_owned(), held }
}

fn match_of(plugin: &str, p: &crate::finding::Finding) -> Match {
    Match {
        plugin: plugin.to_owned(),
        pattern_id: p.pattern.id().to_owned(),
        category: p.pattern.category(),
        field: p.field.clone(),
        start: p.span.start,
        end: p.span.end,
        redacted: p.redacted.clone(),
        in_key: p.in_key,
        joined: p.joined,
    }
}

fn rule_of(plugin: &str, f: Found, delta: u32) -> RuleResult {
    let pattern = f.pattern;
    let mut places: Vec<Place> = f.places.into_iter().map(place_of).collect();
    places.sort_by(|a, b| (&a.field, a.start, a.end).cmp(&(&b.field, b.start, b.end)));
    // The first of equals is the strongest, so that the same findings are always explained alike.
    let strongest = places.iter_mut().rev().max_by_key(|place| place.points);
    let (severity, confidence) = match strongest {
        Some(place) => {
            place.delta = delta;
            (place.severity, place.confidence)
        }
        None => (pattern.severity(), pattern.confidence()),
    };
    RuleResult {
        plugin: plugin.to_owned(),
        pattern_id: pattern.id().to_owned(),
        category: pattern.category(),
        version: pattern.version().map(ToOwned::to_owned),
        level: pattern.level(),
        severity,
        confidence,
        points: f.points,
        delta,
        count: f.count,
        mode: pattern.mode(),
        places,
        is_open_ended: pattern.is_open_ended(),
        validators: pattern.validators().to_vec(),
    }
}

fn place_of(p: crate::finding::Finding) -> Place {
    let (severity, confidence, points) = (p.severity(), p.confidence(), p.points());
    let known = p.circumstances.map(|known| *known).unwrap_or_default();
    let (discounts, lifts) = known.adjustments.into_iter().partition(|adjustment| adjustment.by < 0);
    let owned = |words: Vec<std::borrow::Cow<'static, str>>| {
        words.into_iter().map(std::borrow::Cow::into_owned).collect()
    };
    Place {
        field: p.field,
        start: p.span.start,
        end: p.span.end,
        redacted: p.redacted,
        views: owned(p.views),
        checks: owned(p.checks),
        passed: Vec::new(),
        failed: owned(known.failed),
        severity,
        confidence,
        discounts,
        lifts,
        instead_of: known.instead_of.map(|(id, _)| id),
        proven: known.is_proven,
        points,
        delta: 0,
        position: None,
        in_key: p.in_key,
        joined: p.joined,
    }
}

/// The texts of an envelope by name, made when the first finding asks.
struct Places<'a> {
    content: &'a ContentEnvelope,
    texts: Option<HashMap<(&'a str, bool), &'a str>>,
}

impl<'a> Places<'a> {
    const fn of(content: &'a ContentEnvelope) -> Self {
        Self { content, texts: None }
    }

    /// Whether the span lies in its field and begins and ends between characters.
    fn has(&mut self, p: &crate::finding::Finding) -> bool {
        let content = self.content;
        let texts = self
            .texts
            .get_or_insert_with(|| content.fields().map(|f| ((f.pointer, f.in_key), f.text)).collect());
        let text = texts.get(&(p.field.as_str(), p.in_key)).copied().unwrap_or("");
        p.span.start <= p.span.end && text.get(p.span.clone()).is_some()
    }
}
