//! Probes say how the parts are, and change nothing.

use clawexchange_moderation::Role;
use serde_json::json;

use crate::server::{PASS, Running, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_probes_change_nothing() {
    let server = Running::new().await;
    server.submit("a", PASS).await.expect(200);
    server.parts.log().await.unwrap().drain_outbox().await.unwrap();
    let journal = || {
        std::fs::read_dir(server.home.path().join("data"))
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                (entry.file_name(), entry.metadata().unwrap().len())
            })
            .filter(|(name, _)| !name.to_string_lossy().starts_with("claw.db"))
            .collect::<Vec<_>>()
    };
    let counts = async || {
        let limits = server.get(Role::Platform, "/v1/limits/health-check").await.of(200);
        let metrics = server.parts.metrics().render();
        let verdicts =
            metrics.lines().filter(|l| l.starts_with("claw_gate_verdicts_total")).map(ToOwned::to_owned);
        let mut verdicts: Vec<String> = verdicts.collect();
        verdicts.sort();
        (server.row_counts().await, limits["tiers"].clone(), verdicts)
    };
    let (before, files) = (counts().await, journal());
    for n in 0..1000 {
        match n % 5 {
            0 => assert_eq!(server.public.get("/health").send().await.of(200), json!({"status": "healthy"})),
            1 => assert_eq!(server.admin.get("/livez").send().await.of(200), json!({"status": "ok"})),
            2 => drop(server.admin.get("/metrics").send().await.expect(200)),
            _ => assert_eq!(server.public.get("/readyz").send().await.of(200)["status"], "ok"),
        }
    }
    assert_eq!((counts().await, journal()), (before, files));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn probes_metrics_results_and_events_name_the_same_rules() {
    let server = Running::new().await;
    let policy = server.admin.get("/readyz").send().await.of(200)["policy"].as_str().unwrap().to_owned();
    let (version, hash) = policy.strip_prefix("claw@").unwrap().split_once('+').unwrap();
    assert!(version.split('.').count() == 3 && hash.len() == 16, "{policy}");
    assert!(hash.bytes().all(|b| b.is_ascii_hexdigit()), "{policy}");
    assert!(server.metric(&format!("claw_policy_info{{policy=\"{policy}\"}}")).await > 0.5);
    assert_eq!(server.submit("a", "An ordinary offer.").await.of(200)["policy"], *policy);
    server.hold("b").await;
    let events = server.get(Role::Auditor, "/v1/audit?eventType=SSG_PASS,SSG_QUARANTINE").await.of(200);
    let named: Vec<_> =
        events["items"].as_array().unwrap().iter().map(|e| &e["metadata"]["policy"]).collect();
    assert_eq!(named, [&*policy; 2]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_cannot_answer_a_submission_is_not_ready() {
    let server = Running::new().await;
    let ready = server.admin.get("/readyz").send().await.of(200);
    assert_eq!(
        ready["parts"],
        json!({"audit": "ok", "database": "ok", "limiter": "ok", "quarantine": "ok", "rules": "ok"})
    );
    server.execute("ALTER TABLE database_deployment RENAME TO gone").await;
    until(async || server.public.get("/readyz").send().await.status == 503).await;
    let found = server.public.get("/readyz").send().await.of(503);
    assert_eq!((&found["status"], &found["parts"]["database"]), (&json!("failing"), &json!("failing")));
    assert!(server.metric("claw_ready").await < 0.5);
    server.public.get("/livez").send().await.expect(200);
    server.execute("ALTER TABLE gone RENAME TO database_deployment").await;
    until(async || server.public.get("/readyz").send().await.status == 200).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happens_is_measured_by_route_and_never_by_what_callers_write() {
    let server = Running::new().await;
    server.submit("a", PASS).await.expect(200);
    server.submit("b", &crate::server::block()).await.expect(403);
    let path = format!("/v1/submissions/{}", clawexchange_ssg_core::EventId::fresh());
    server.get(Role::Platform, &path).await.expect(404);
    server.public.get("/SENTINEL").send().await.expect(404);
    server.public.request("SENTINEL", "/v1/submit").send().await.expect(405);
    let text = server.admin.get("/metrics").send().await.expect(200).text();
    assert!(!text.contains("SENTINEL") && !text.contains(&path), "{text}");
    for line in [
        "claw_gate_verdicts_total{verdict=\"PASS\",tier=\"CLEAR\",content_type=\"POST\"} 1",
        "claw_gate_verdicts_total{verdict=\"BLOCK\",tier=\"CRITICAL\",content_type=\"POST\"} 1",
        "claw_limiter_decisions_total{decision=\"allowed\"} 2",
        "claw_http_request_duration_seconds_count{route=\"/v1/submissions/{inspectionId}\",method=\"GET\",status=\"404\"} 1",
        "claw_http_request_duration_seconds_count{route=\"(none)\",method=\"OTHER\",status=\"405\"} 1",
        "claw_ready 1",
        "claw_limiter_degraded 0",
        "claw_audit_events{log=\"verdicts\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    for metric in clawexchange_gateway::METRICS {
        let is_there =
            text.lines().any(|line| line == format!("# TYPE {} {}", metric.name, kind(metric.kind)));
        // What only health checks, failures and floods set is there once it was set.
        let is_rare =
            ["claw_health_consecutive_failures", "claw_gate_plugin_failures_total"].contains(&metric.name);
        assert!(is_there || is_rare, "{} is not in\n{text}", metric.name);
    }
    assert!(server.metric("claw_start_time_seconds").await > 1.6e9);
    server.stop().await;
}

fn kind(kind: clawexchange_gateway::MetricKind) -> &'static str {
    use clawexchange_gateway::MetricKind::{Counter, Gauge};
    match kind {
        Counter => "counter",
        Gauge => "gauge",
        _ => "histogram",
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_is_looked_after_without_asking_where_it_is_switched_on() {
    let server = Running::with(&[("SECOPS_ENABLE_HEALTHCHECKS", "true")], "").await;
    let checked = || {
        let text = server.parts.metrics().render();
        clawexchange_gateway::CHECKS
            .iter()
            .all(|check| text.contains(&format!("claw_health_consecutive_failures{{check=\"{check}\"}} 0")))
    };
    until(async || checked()).await;
    assert!(server.events(&["SSG_PASS"]).await.is_empty(), "a check is no submission");
    server.stop().await;
}
