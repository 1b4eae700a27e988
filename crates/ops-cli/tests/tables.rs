//! What is counted and which routes there are, written down from the tables that the server itself uses.
//!
//! `UPDATE_DOCS=1 cargo test --test tables` writes the files anew.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::path::Path;

use clawexchange_gateway::{Access, BUCKETS, METRICS, MetricKind, On, ROUTES, Route};

fn assert_kept(name: &str, made: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
    if std::env::var_os("UPDATE_DOCS").is_some_and(|set| set == "1") {
        std::fs::write(&path, made).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == made,
        "docs/{name} is not what the table says; renew it with UPDATE_DOCS=1 cargo test --test tables"
    );
}

#[test]
fn the_page_of_metrics_is_made_of_the_table() {
    let mut page = "# Metrics\n\n\
        This page is made of the table of metrics in `crates/gateway/src/metrics.rs`; change it there.\n\n\
        `/metrics` of the admin address has them in the text form of Prometheus.\n\
        What to watch, and from which value on, stands in [operations](operations.md#what-to-watch).\n"
        .to_owned();
    let buckets: Vec<String> = BUCKETS.iter().map(f64::to_string).collect();
    writeln!(page, "Durations have buckets up to {} seconds.\n", buckets.join(", ")).unwrap();
    page += "| metric | kind | unit | labels | what it says |\n| --- | --- | --- | --- | --- |\n";
    for metric in METRICS {
        let kind = match metric.kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
            other => panic!("{other:?} has no word here"),
        };
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        writeln!(
            page,
            "| `{}` | {kind} | {} | {} | {} |",
            metric.name,
            metric.unit,
            labels.join(", "),
            metric.about
        )
        .unwrap();
    }
    assert_kept("metrics.md", &page);
}

fn who(access: Access) -> String {
    match access {
        Access::Open => "everybody".to_owned(),
        Access::Granted => "whoever has the grant".to_owned(),
        Access::Only(act) => act.roles().map(|role| role.as_str()).collect::<Vec<_>>().join(", "),
        other => panic!("{other:?} has no word here"),
    }
}

fn table(page: &mut String, routes: &[&Route]) {
    *page += "\n| route | who may | what it does |\n| --- | --- | --- |\n";
    for route in routes {
        writeln!(page, "| {} `{}` | {} | {} |", route.method, route.path, who(route.access), route.about)
            .unwrap();
    }
}

#[test]
fn the_page_of_routes_is_made_of_the_table() {
    let mut page = "# Routes\n\n\
        This page is made of the table of routes in `crates/gateway/src/routes.rs`; change it there.\n\n\
        Who may is said by the role of the token in `Authorization: Bearer claw_…`; an operator makes one with `claw token create`.\n\
        Bodies, answers and errors are described by `/openapi.json` of a running server, and for people by `/docs`.\n"
        .to_owned();
    for (head, on) in [
        ("On both addresses", On::Both),
        ("On the public address, which platforms and agents reach", On::Public),
        ("On the admin address, which operators and moderators reach", On::Admin),
    ] {
        write!(page, "\n## {head}\n").unwrap();
        let routes: Vec<&Route> = ROUTES.iter().filter(|route| route.on == on).collect();
        assert!(!routes.is_empty(), "{head}");
        table(&mut page, &routes);
    }
    assert_kept("routes.md", &page);
}
