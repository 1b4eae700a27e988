//! The description of the interface is committed, whole, and says what is so.

use std::collections::BTreeSet;
use std::path::Path;

use clawexchange_gateway::{Access, On, ROUTES, RequestBody, openapi};
use serde_json::Value;

use crate::contract;
use crate::server::Running;

const COMMITTED: &str = "openapi.json";

#[test]
fn the_committed_description_is_what_the_code_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(COMMITTED);
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(&path, openapi::text()).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == openapi::text(),
        "{COMMITTED} is not what the code says: run `UPDATE_OPENAPI=1 cargo test --workspace --test service described`, and \
         look at what changed for callers"
    );
}

#[test]
fn every_route_is_described_and_nothing_else_is() {
    let document = openapi::document();
    let mut described = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            described.insert((method.to_ascii_uppercase(), path.clone()));
            assert_ne!(operation["operationId"], "undescribed", "{method} {path}");
            assert!(!operation["responses"].as_object().unwrap().is_empty(), "{method} {path}");
            for parameter in path.split('{').skip(1).map(|rest| rest.split('}').next().unwrap()) {
                let named = |p: &Value| p["in"] == "path" && p["name"] == parameter;
                assert!(
                    operation["parameters"].as_array().is_some_and(|all| all.iter().any(named)),
                    "{path}"
                );
            }
        }
    }
    let routes: BTreeSet<_> = ROUTES.iter().map(|r| (r.method.to_owned(), r.described_path())).collect();
    assert_eq!(described, routes);
    assert_eq!(routes.len(), ROUTES.len(), "each route stands in the table once");
    for route in ROUTES {
        let operation = &document["paths"][route.described_path()][route.method.to_ascii_lowercase()];
        let is_guarded = matches!(route.access, Access::Only(_));
        assert_eq!(operation["security"].as_array().unwrap().is_empty(), !is_guarded, "{route:?}");
        assert_eq!(operation.get("requestBody").is_some(), route.body != RequestBody::None, "{route:?}");
    }
    let ids: BTreeSet<&str> = document["paths"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|item| item.as_object().unwrap().values())
        .map(|operation| operation["operationId"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), ROUTES.len(), "each operation has a name of its own");
}

#[test]
fn every_reference_leads_somewhere_and_every_schema_is_used() {
    let document = openapi::document();
    let mut used = BTreeSet::new();
    references(&document, &mut used);
    for reference in &used {
        contract::resolve(&Value::from(reference.as_str()));
    }
    for name in document["components"]["schemas"].as_object().unwrap().keys() {
        assert!(used.contains(&format!("#/components/schemas/{name}")), "{name} describes nothing");
    }
}

fn references(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member {
                    Value::String(to) if name == "$ref" => drop(into.insert(to.clone())),
                    member => references(member, into),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, into)),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_listener_describes_what_it_answers_and_the_page_loads_nothing() {
    let server = Running::new().await;
    for (client, on) in [(&server.public, On::Public), (&server.admin, On::Admin)] {
        let said = client.get("/openapi.json").send().await.expect(200).json();
        let described: BTreeSet<&String> = said["paths"].as_object().unwrap().keys().collect();
        let is_here = |path: &str| {
            ROUTES.iter().any(|r| r.described_path() == path && (r.on == on || r.on == On::Both))
        };
        assert!(described.iter().all(|path| is_here(path)) && described.len() > 10, "{on:?}");
        for route in ROUTES.iter().filter(|route| is_here(&route.described_path())) {
            assert!(described.iter().any(|path| **path == route.described_path()), "{on:?}: {route:?}");
        }
        let page = client.get("/docs").send().await.expect(200);
        assert!(page.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
        let page = page.text();
        assert!(
            !page.contains("<script") && !page.contains("http://") && !page.contains("https://"),
            "{page}"
        );
        assert!(described.iter().all(|path| page.contains(path.as_str())));
    }
    server.stop().await;
}
