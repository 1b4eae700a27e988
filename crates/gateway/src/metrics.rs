//! What is counted and timed: one table of names, units and labels, from which the documentation is made too.

use std::sync::Arc;
use std::time::Duration;

use clawexchange_ssg_core::{Assessment, ContentType, RiskTier, Verdict};
use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Recorder as _, SharedString, Unit};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

/// What sort of number a metric is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum MetricKind {
    /// It only grows while the process lives.
    Counter,
    /// It goes up and down.
    Gauge,
    /// It counts durations by bucket.
    Histogram,
}

/// One metric, as the documentation names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What sort of number it is.
    pub kind: MetricKind,
    /// What it is counted in.
    pub unit: &'static str,
    /// The names of its labels, whose values are fixed words, routes or rule-independent ids of ours.
    pub labels: &'static [&'static str],
    /// What it says.
    pub about: &'static str,
}

/// Upper bounds of the buckets of all durations, in seconds. 0.5 is among them, since an inspection that takes longer
/// is what operators are woken for.
pub const BUCKETS: [f64; 14] =
    [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

const fn counter(name: &'static str, labels: &'static [&'static str], about: &'static str) -> Metric {
    Metric { name, kind: MetricKind::Counter, unit: "count", labels, about }
}

const fn gauge(
    name: &'static str,
    unit: &'static str,
    labels: &'static [&'static str],
    about: &'static str,
) -> Metric {
    Metric { name, kind: MetricKind::Gauge, unit, labels, about }
}

const fn seconds(name: &'static str, labels: &'static [&'static str], about: &'static str) -> Metric {
    Metric { name, kind: MetricKind::Histogram, unit: "seconds", labels, about }
}

/// All of them, in the order in which they are documented.
pub const METRICS: [Metric; 59] = [
    seconds(
        "claw_http_request_duration_seconds",
        &["route", "method", "status"],
        "How long requests took, by route template.",
    ),
    gauge("claw_http_requests_at_work", "count", &[], "Requests that are being answered."),
    gauge("claw_http_connections", "count", &["listener"], "Connections that are open."),
    counter(
        "claw_http_connections_refused_total",
        &["listener"],
        "Connections that were turned away because there were too many.",
    ),
    counter(
        "claw_http_requests_shed_total",
        &[],
        "Requests that were turned away because too many were at work.",
    ),
    counter("claw_http_panics_total", &[], "Requests whose handler panicked; each is a defect."),
    seconds(
        "claw_gate_inspection_duration_seconds",
        &["verdict"],
        "From the charged request to the durable verdict.",
    ),
    counter(
        "claw_gate_verdicts_total",
        &["verdict", "tier", "content_type"],
        "Verdicts by tier and sort of content.",
    ),
    counter("claw_gate_plugin_failures_total", &["plugin"], "Plugins that gave no result."),
    counter(
        "claw_gate_errors_total",
        &[],
        "Submissions that could not be judged, held or recorded, and were not passed on.",
    ),
    counter(
        "claw_campaign_texts_total",
        &["outcome"],
        "Submissions that were part of a campaign, by whether that called for a label or for a hold.",
    ),
    counter(
        "claw_campaign_alone_total",
        &[],
        "Questions about campaigns that Redis did not answer, so that this process alone has counted.",
    ),
    counter("claw_gate_shadow_verdicts_total", &["would_be"], "Verdicts that shadow mode did not carry out."),
    counter(
        "claw_limiter_decisions_total",
        &["decision"],
        "Submissions that were let through, denied, or let through without counters.",
    ),
    gauge("claw_limiter_degraded", "bool", &[], "1 while limits are kept without the usual counters."),
    gauge(
        "claw_limiter_config_refused",
        "bool",
        &[],
        "1 while limits in the database are refused and the last good ones hold.",
    ),
    counter(
        "claw_remote_questions_total",
        &["outcome"],
        "Questions to the classifier: answered, cached, paused (it is left alone), late, away, refused, malformed.",
    ),
    gauge(
        "claw_rules_refused",
        "bool",
        &[],
        "1 while the active rule packs are refused and the last good ones go on to judge.",
    ),
    gauge(
        "claw_rules_signature_end_seconds",
        "seconds",
        &[],
        "When the signature of the active rule packs ends, in seconds since 1970; 0 if there is none.",
    ),
    gauge("claw_limiter_redis_away", "bool", &[], "1 while Redis does not answer; 0 without Redis."),
    gauge(
        "claw_limiter_instances",
        "count",
        &[],
        "Instances that count together in Redis, as it last said; 0 without Redis.",
    ),
    counter("claw_limiter_redis_commands_total", &[], "Commands that Redis was sent to decide submissions."),
    counter(
        "claw_limiter_redis_failures_total",
        &["why"],
        "Questions that Redis did not answer in time, or answered with an error.",
    ),
    counter(
        "claw_limiter_redis_openings_total",
        &[],
        "How often Redis was no longer asked because it failed too often.",
    ),
    counter(
        "claw_limiter_redis_script_losses_total",
        &[],
        "How often Redis had lost our script and was sent it again.",
    ),
    counter(
        "claw_limiter_denied_from_memory_total",
        &[],
        "Submissions that were denied without asking, because they were a moment ago.",
    ),
    gauge(
        "claw_limiter_unreplayed",
        "count",
        &[],
        "Submissions let through without Redis of which it was not told yet.",
    ),
    counter(
        "claw_limiter_replayed_units_total",
        &[],
        "Units given without Redis that it was told of afterwards.",
    ),
    gauge("claw_limiter_redis_used_bytes", "bytes", &[], "Memory that Redis uses; 0 if it does not say."),
    gauge(
        "claw_limiter_redis_max_bytes",
        "bytes",
        &[],
        "Memory that Redis may use; 0 if there is no bound, or it does not say.",
    ),
    gauge(
        "claw_limiter_redis_evicted_keys",
        "count",
        &[],
        "Keys that Redis dropped for want of memory since it began: counters that were forgotten.",
    ),
    counter("claw_auth_refusals_total", &["reason"], "Requests refused for want of a token or of a right."),
    counter("claw_tokens_exposed_total", &[], "Tokens of ours that were seen in content and revoked."),
    gauge("claw_quarantine_open_records", "count", &[], "Held content that somebody has to decide about."),
    gauge(
        "claw_quarantine_open_bytes",
        "bytes",
        &[],
        "Bytes of held content that somebody has to decide about.",
    ),
    gauge("claw_quarantine_kept_bytes", "bytes", &[], "Bytes of content whose key is still there."),
    gauge("claw_quarantine_quota_bytes", "bytes", &[], "Bytes of undecided content that are held at most."),
    gauge(
        "claw_quarantine_oldest_open_seconds",
        "seconds",
        &[],
        "How long the oldest undecided content waits.",
    ),
    gauge("claw_quarantine_due_records", "count", &[], "Records that are due to expire and have not."),
    counter("claw_quarantine_expired_total", &[], "Records that nobody decided in time."),
    counter("claw_quarantine_sweep_failures_total", &[], "What sweeps could not do and try again."),
    counter(
        "claw_objects_requests_total",
        &[],
        "Requests to the bucket of held content, each attempt by itself.",
    ),
    counter("claw_objects_repeated_total", &[], "Attempts at the bucket that followed one that failed."),
    counter("claw_objects_failures_total", &[], "What the bucket did not do in the end."),
    gauge("claw_objects_paused", "bool", &[], "1 while the bucket has failed too often and is left alone."),
    gauge("claw_audit_events", "count", &["log"], "Events in a log."),
    gauge(
        "claw_audit_signed_events",
        "count",
        &["log"],
        "Events in a log that its newest checkpoint covers.",
    ),
    gauge("claw_audit_outbox_events", "count", &[], "Events that wait for the log."),
    gauge(
        "claw_audit_outbox_aside",
        "count",
        &[],
        "Rows of the outbox that are no events, or that the log refuses.",
    ),
    gauge(
        "claw_audit_spool_bytes",
        "bytes",
        &[],
        "Events that are kept in files while the database is away.",
    ),
    gauge(
        "claw_database_connections",
        "count",
        &["state"],
        "Connections to PostgreSQL, by whether somebody works on them; 0 on SQLite.",
    ),
    gauge("claw_database_connections_max", "count", &[], "Connections to PostgreSQL at most; 0 on SQLite."),
    gauge(
        "claw_health_consecutive_failures",
        "count",
        &["check"],
        "How often in a row a health check has failed: 2 warn, 5 are critical.",
    ),
    gauge("claw_flag", "bool", &["flag"], "1 where a switch is on; /readyz has the same names."),
    gauge("claw_keys_unknown", "bool", &[], "1 while the active master key is not here."),
    gauge("claw_ready", "bool", &[], "1 while /readyz says so."),
    gauge("claw_build_info", "bool", &["version"], "Always 1; its label says which version runs."),
    gauge(
        "claw_policy_info",
        "bool",
        &["policy"],
        "1 for the rules that judge, named as results name them; 0 for those that did before.",
    ),
    gauge("claw_start_time_seconds", "seconds", &[], "When the process began, in seconds since 1970."),
];

/// The meters of one process. Cheap to clone; nothing of it is global, so that tests may have many.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    at_work: Gauge,
    shed: Counter,
    panics: Counter,
    gate_errors: Counter,
}

const METADATA: Metadata<'static> = Metadata::new("claw", Level::INFO, None);

impl Metrics {
    /// Meters at zero. Those with fixed labels are there from the start, so that a rate of nothing is zero and not
    /// missing.
    pub fn new() -> Self {
        let builder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &BUCKETS)
            .unwrap_or_else(|_| PrometheusBuilder::new());
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        for metric in METRICS {
            let unit = match metric.unit {
                "seconds" => Some(Unit::Seconds),
                "bytes" => Some(Unit::Bytes),
                _ => None,
            };
            let (name, about) = (metric.name.into(), SharedString::const_str(metric.about));
            match metric.kind {
                MetricKind::Counter => recorder.describe_counter(name, unit, about),
                MetricKind::Gauge => recorder.describe_gauge(name, unit, about),
                MetricKind::Histogram => recorder.describe_histogram(name, unit, about),
            }
        }
        let plain = |name: &'static str| recorder.register_counter(&Key::from_static_name(name), &METADATA);
        let inner = Inner {
            at_work: recorder.register_gauge(&Key::from_static_name("claw_http_requests_at_work"), &METADATA),
            shed: plain("claw_http_requests_shed_total"),
            panics: plain("claw_http_panics_total"),
            gate_errors: plain("claw_gate_errors_total"),
            recorder,
            handle,
        };
        let me = Self(Arc::new(inner));
        me.begin();
        me
    }

    fn begin(&self) {
        for verdict in Verdict::ALL {
            // Asked for, it is there.
            drop(self.timer("claw_gate_inspection_duration_seconds", &[("verdict", verdict.as_str())]));
            self.count("claw_gate_shadow_verdicts_total", &[("would_be", verdict.as_str())], 0);
            for tier in RiskTier::ALL.into_iter().filter(|tier| tier.verdict() == verdict) {
                for content in ContentType::ALL {
                    let labels = verdict_labels(verdict, tier, content);
                    self.count("claw_gate_verdicts_total", &labels, 0);
                }
            }
        }
        for decision in ["allowed", "denied", "degraded"] {
            self.count("claw_limiter_decisions_total", &[("decision", decision)], 0);
        }
        for outcome in ["label", "hold"] {
            self.count("claw_campaign_texts_total", &[("outcome", outcome)], 0);
        }
        for why in ["timeout", "error"] {
            self.count("claw_limiter_redis_failures_total", &[("why", why)], 0);
        }
        for reason in ["no-token", "bad-token", "no-right"] {
            self.count("claw_auth_refusals_total", &[("reason", reason)], 0);
        }
        for listener in ["public", "admin"] {
            self.count("claw_http_connections_refused_total", &[("listener", listener)], 0);
        }
        for name in [
            "claw_campaign_alone_total",
            "claw_limiter_redis_commands_total",
            "claw_limiter_redis_openings_total",
            "claw_limiter_redis_script_losses_total",
            "claw_limiter_denied_from_memory_total",
            "claw_limiter_replayed_units_total",
            "claw_tokens_exposed_total",
            "claw_quarantine_expired_total",
            "claw_quarantine_sweep_failures_total",
            "claw_objects_requests_total",
            "claw_objects_repeated_total",
            "claw_objects_failures_total",
        ] {
            self.count(name, &[], 0);
        }
        for name in [
            "claw_limiter_degraded",
            "claw_limiter_config_refused",
            "claw_rules_refused",
            "claw_rules_signature_end_seconds",
            "claw_limiter_redis_away",
            "claw_limiter_instances",
            "claw_limiter_unreplayed",
            "claw_limiter_redis_used_bytes",
            "claw_limiter_redis_max_bytes",
            "claw_limiter_redis_evicted_keys",
            "claw_objects_paused",
            "claw_keys_unknown",
            "claw_ready",
        ] {
            self.set(name, &[], 0);
        }
        for state in ["used", "idle"] {
            self.set("claw_database_connections", &[("state", state)], 0);
        }
        self.set("claw_database_connections_max", &[], 0);
        for outcome in ["answered", "cached", "paused", "late", "away", "refused", "malformed"] {
            self.count("claw_remote_questions_total", &[("outcome", outcome)], 0);
        }
        self.set("claw_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    }

    /// Adds to a counter of the table.
    pub(crate) fn count(&self, name: &'static str, labels: &[(&'static str, &str)], more: u64) {
        self.0.recorder.register_counter(&key(name, labels), &METADATA).increment(more);
    }

    /// Sets a counter of the table that somebody else counts; it never goes back.
    pub(crate) fn total(&self, name: &'static str, labels: &[(&'static str, &str)], value: u64) {
        self.0.recorder.register_counter(&key(name, labels), &METADATA).absolute(value);
    }

    /// Sets a gauge of the table.
    pub(crate) fn set(&self, name: &'static str, labels: &[(&'static str, &str)], value: u64) {
        // Exact up to 2^53; what is beyond is told as nearly as a scrape can say it.
        #[expect(clippy::cast_precision_loss, reason = "a scrape has floats and nothing else")]
        self.0.recorder.register_gauge(&key(name, labels), &METADATA).set(value as f64);
    }

    fn timer(&self, name: &'static str, labels: &[(&'static str, &str)]) -> Histogram {
        self.0.recorder.register_histogram(&key(name, labels), &METADATA)
    }

    /// Notes a request that was answered.
    pub(crate) fn answered(&self, route: &'static str, method: &str, status: u16, took: Duration) {
        let status = status.to_string();
        let labels = [("route", route), ("method", method), ("status", status.as_str())];
        self.timer("claw_http_request_duration_seconds", &labels).record(took);
    }

    /// Notes a verdict and how long it took.
    pub(crate) fn judged(&self, assessment: &Assessment, content: ContentType, took: Duration) {
        let inspection = assessment.inspection();
        let verdict = inspection.verdict;
        self.timer("claw_gate_inspection_duration_seconds", &[("verdict", verdict.as_str())]).record(took);
        self.count("claw_gate_verdicts_total", &verdict_labels(verdict, inspection.tier, content), 1);
        if let Some(would_be) = inspection.would_be {
            self.count("claw_gate_shadow_verdicts_total", &[("would_be", would_be.as_str())], 1);
        }
        for failure in assessment.failures() {
            self.count("claw_gate_plugin_failures_total", &[("plugin", &failure.plugin)], 1);
        }
    }

    /// Notes that a submission could not be judged, held or recorded.
    pub(crate) fn gate_failed(&self) {
        self.0.gate_errors.increment(1);
    }

    /// Notes that a request was turned away.
    pub(crate) fn shed(&self) {
        self.0.shed.increment(1);
    }

    /// Notes that a handler panicked.
    pub(crate) fn panicked(&self) {
        self.0.panics.increment(1);
    }

    /// Notes a request that is being answered, until what is returned is dropped.
    pub(crate) fn at_work(&self) -> AtWork {
        self.0.at_work.increment(1.0);
        AtWork(self.0.at_work.clone())
    }

    /// Everything as Prometheus reads it.
    pub fn render(&self) -> String {
        self.0.handle.render()
    }

    /// Folds what was measured into the buckets; to be called now and then where nobody scrapes.
    pub(crate) fn tidy(&self) {
        self.0.handle.run_upkeep();
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(crate) struct AtWork(Gauge);

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

fn verdict_labels(
    verdict: Verdict,
    tier: RiskTier,
    content: ContentType,
) -> [(&'static str, &'static str); 3] {
    [("verdict", verdict.as_str()), ("tier", tier.as_str()), ("content_type", content.as_str())]
}

fn key(name: &'static str, labels: &[(&'static str, &str)]) -> Key {
    let labels: Vec<Label> =
        labels.iter().map(|(name, value)| Label::new(*name, (*value).to_owned())).collect();
    Key::from_parts(name, labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_part_and_unit() {
        for metric in METRICS {
            assert!(metric.name.starts_with("claw_"), "{}", metric.name);
            assert_eq!(
                metric.kind == MetricKind::Counter,
                metric.name.ends_with("_total"),
                "{}",
                metric.name
            );
            for (unit, suffix) in [("seconds", "_seconds"), ("bytes", "_bytes")] {
                assert_eq!(metric.unit == unit, metric.name.ends_with(suffix), "{}", metric.name);
            }
            assert_eq!(METRICS.iter().filter(|m| m.name == metric.name).count(), 1);
        }
        assert!(BUCKETS.contains(&0.5) && BUCKETS.is_sorted());
    }

    #[test]
    fn a_scrape_has_the_half_second_bucket_and_what_was_counted() {
        let metrics = Metrics::new();
        metrics.answered("/v1/submit", "POST", 200, Duration::from_millis(400));
        let text = metrics.render();
        let bucket = text.lines().find(|line| {
            line.starts_with("claw_http_request_duration_seconds_bucket") && line.contains("le=\"0.5\"")
        });
        assert!(bucket.unwrap().ends_with(" 1"), "{text}");
        assert!(text.contains("# TYPE claw_http_request_duration_seconds histogram"));
        assert!(
            text.contains(
                "claw_gate_verdicts_total{verdict=\"PASS\",tier=\"CLEAR\",content_type=\"POST\"} 0"
            ),
            "{text}"
        );
    }

    #[test]
    fn only_metrics_of_the_table_are_exported() {
        let metrics = Metrics::new();
        for line in metrics.render().lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
            let name = line.split(' ').next().unwrap();
            assert!(METRICS.iter().any(|m| m.name == name), "{name} is not in the table");
        }
    }
}
