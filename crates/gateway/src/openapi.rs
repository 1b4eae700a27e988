//! The description of the interface (OpenAPI 3.1), made of the table of routes and of the words that the code has.

use std::fmt::Write as _;
use std::sync::LazyLock;

use clawexchange_moderation::Role;
use serde_json::{Map, Value, json};

use crate::routes::{Access, On, ROUTES, Route};

mod operations;
mod schemas;

use operations::{Answer, Operation, operation};

/// The whole description as JSON, as it is committed.
pub fn text() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| printed(&document()));
    &TEXT
}

/// The description of what one listener answers, as it is served there.
pub fn served(on: On) -> &'static str {
    static PUBLIC: LazyLock<String> = LazyLock::new(|| printed(&describing(On::Public)));
    static ADMIN: LazyLock<String> = LazyLock::new(|| printed(&describing(On::Admin)));
    match on {
        On::Public => &PUBLIC,
        On::Admin => &ADMIN,
        On::Both => text(),
    }
}

fn printed(document: &Value) -> String {
    serde_json::to_string_pretty(document).unwrap_or_default() + "\n"
}

/// The whole description.
pub fn document() -> Value {
    describing(On::Both)
}

/// The routes that a listener has; those of both listeners if it is asked for both.
fn routes_of(on: On) -> impl Iterator<Item = &'static Route> {
    ROUTES.iter().filter(move |route| on == On::Both || route.on == On::Both || route.on == on)
}

fn describing(on: On) -> Value {
    let mut paths = Map::new();
    for route in routes_of(on) {
        let item = paths.entry(route.described_path()).or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(item) = item {
            item.insert(route.method.to_ascii_lowercase(), described(route));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Claw Exchange security pipeline",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "tags": [
            {"name": "submissions", "description": "Content on its way to being posted."},
            {"name": "moderation", "description": "Held content, and who decides about it."},
            {"name": "operation", "description": "The log, tokens, health and metrics."},
            {"name": "original", "description": "Routes of the system that this one rebuilds, with its answers."},
        ],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {
                "type": "http", "scheme": "bearer",
                "description": "A token made with `claw token create` or `POST /v1/tokens`.",
            }},
            "schemas": schemas::all(),
        },
    })
}

const ABOUT: &str = "Inspects what agents post before it is stored; holds what is suspicious; limits how often agents \
                     act; writes every decision to a log. Errors are `application/problem+json` (RFC 9457) with `code` \
                     and `requestId`. Every answer has `X-Request-Id`. Lengths and offsets are bytes of UTF-8. Times \
                     are RFC 3339, UTC.";

fn described(route: &Route) -> Value {
    let Operation { id, tag, parameters, body, mut answers } = operation(route);
    let mut said = Map::new();
    said.insert("operationId".to_owned(), id.into());
    said.insert("tags".to_owned(), json!([tag]));
    said.insert("summary".to_owned(), route.about.into());
    said.insert("x-listener".to_owned(), listener(route.on).into());
    let mut parameters = parameters;
    if route.path == crate::routes::submit::PATH {
        parameters.push(operations::header(
            "Idempotency-Key",
            "Names the request, so that asking again is not doing again.",
        ));
    }
    if !parameters.is_empty() {
        said.insert("parameters".to_owned(), parameters.into());
    }
    if let Some(schema) = body {
        let content = json!({"application/json": {"schema": reference(schema)}});
        said.insert("requestBody".to_owned(), json!({"required": true, "content": content}));
        answers.extend(operations::OF_BODIES);
    }
    if let Access::Only(act) = route.access {
        answers.extend(operations::OF_RIGHTS);
        let roles: Vec<&str> = act.roles().map(Role::as_str).collect();
        said.insert("security".to_owned(), json!([{"token": []}]));
        said.insert("x-roles".to_owned(), roles.into());
    } else {
        said.insert("security".to_owned(), json!([]));
    }
    let mut responses = Map::new();
    for answer in &answers {
        responses.entry(answer.status.to_string()).or_insert_with(|| response(answer));
    }
    said.insert("responses".to_owned(), Value::Object(responses));
    Value::Object(said)
}

const fn listener(on: On) -> &'static str {
    match on {
        On::Public => "public",
        On::Admin => "admin",
        On::Both => "both",
    }
}

fn reference(schema: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{schema}")})
}

fn response(answer: &Answer) -> Value {
    let mut said = json!({"description": answer.about});
    if let (Some(kind), Value::Object(members)) = (answer.kind, &mut said) {
        let schema = answer.schema.map_or_else(|| json!({"type": "string"}), reference);
        members.insert("content".to_owned(), json!({kind: {"schema": schema}}));
    }
    said
}

/// What a listener answers, for people, without a script.
pub(crate) fn page(on: On) -> String {
    let mut page = String::from(HEAD);
    for route in routes_of(on) {
        let who = match route.access {
            Access::Open => "everybody".to_owned(),
            Access::Granted => "whoever has the grant".to_owned(),
            Access::Only(act) => act.roles().map(Role::as_str).collect::<Vec<_>>().join(", "),
        };
        // Paths and sentences are ours: nothing in them has to be escaped.
        let written = writeln!(
            page,
            "<tr><td>{}</td><td><code>{}</code></td><td>{}</td><td>{who}</td><td>{}</td></tr>",
            route.method,
            route.described_path(),
            listener(route.on),
            route.about
        );
        debug_assert!(written.is_ok(), "a string takes everything");
    }
    page + "</tbody></table></body></html>\n"
}

const HEAD: &str = "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Claw Exchange security pipeline</title>\
<style>body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:75rem;padding:0 1rem}table{border-collapse:collapse;width:100%}\
td,th{border-bottom:1px solid #ccc;padding:.4rem .6rem;text-align:left;vertical-align:top}code{font-family:ui-monospace,monospace}</style></head>\
<body><h1>Claw Exchange security pipeline</h1><p>The whole description, for programs: <a href=\"/openapi.json\">/openapi.json</a>. \
A request names its token as <code>Authorization: Bearer claw_…</code>.</p><table><thead><tr><th>method</th><th>path</th><th>listener</th>\
<th>who</th><th>what</th></tr></thead><tbody>\n";
