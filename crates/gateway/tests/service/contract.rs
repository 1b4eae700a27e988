//! Holds answers against the description of the interface: what it does not say may not come.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use clawexchange_gateway::{On, ROUTES, Route, openapi};
use serde_json::{Map, Value};

use crate::client::Answer;

static DOCUMENT: LazyLock<Value> = LazyLock::new(openapi::document);

/// The route of a path on a listener.
pub fn route_of(on: On, method: &str, path: &str) -> Option<&'static Route> {
    let path = path.split('?').next().unwrap();
    let method = if method == "HEAD" { "GET" } else { method };
    ROUTES.iter().find(|route| {
        let mut parts = route.path.split('/').zip(path.split('/'));
        let (of, asked) = (route.path.split('/').count(), path.split('/').count());
        let same = (of == asked || (of < asked && route.path.contains("{*")))
            && parts.all(|(of, part)| of == part || (of.starts_with('{') && !part.is_empty()));
        same && route.method == method && (route.on == On::Both || route.on == on)
    })
}

/// What every answer has, and what the answer of its route and status has.
#[track_caller]
pub fn check(on: On, method: &str, path: &str, answer: &Answer) {
    let what = format!(
        "{method} {path}: {} {:?}\n{}",
        answer.status,
        answer.headers,
        String::from_utf8_lossy(&answer.body)
    );
    assert!(answer.header("x-request-id").is_some_and(|id| (1..=128).contains(&id.len())), "{what}");
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}: {what}");
    }
    assert!(
        answer.header("content-security-policy").is_some_and(|p| p.contains("default-src 'none'")),
        "{what}"
    );
    assert!(!answer.headers.iter().any(|(name, _)| name.starts_with("access-control-")), "{what}");
    let is_kept = path.contains("/tile/") && !path.contains(".p/") && matches!(answer.status, 200);
    let kept = if is_kept { "private, max-age=31536000, immutable" } else { "no-store" };
    assert_eq!(answer.header("cache-control"), Some(kept), "{what}");
    let kind = answer.header("content-type");
    if answer.status >= 400 && method != "HEAD" && kind == Some("application/problem+json") {
        let problem = answer.json();
        assert_eq!(problem["requestId"].as_str(), answer.header("x-request-id"), "{what}");
        assert_eq!(problem["status"], answer.status, "{what}");
        assert!(problem["code"].as_str().is_some_and(|code| code.contains('/')), "{what}");
    }
    if answer.status >= 500 {
        for inside in ["SELECT", "INSERT", "sqlite", "no such table", "/tmp", ".rs", "quarantine_records"] {
            assert!(!String::from_utf8_lossy(&answer.body).contains(inside), "{inside}: {what}");
        }
    }
    assert!(answer.status != 429 || answer.header("retry-after").is_some(), "{what}");
    assert!(
        answer.status != 503 || path.starts_with("/readyz") || answer.header("retry-after").is_some(),
        "{what}"
    );
    let Some(route) = route_of(on, method, path).filter(|_| answer.status != 405) else {
        assert!(matches!(answer.status, 404 | 405), "{what}");
        return assert_eq!(kind, Some("application/problem+json"), "{what}");
    };
    let said = &DOCUMENT["paths"][route.described_path()][route.method.to_ascii_lowercase()]["responses"];
    let said = said.get(answer.status.to_string()).unwrap_or_else(|| panic!("not documented: {what}"));
    if method == "HEAD" {
        return;
    }
    let Some(content) = said.get("content").and_then(Value::as_object) else {
        return assert!(answer.body.is_empty() && kind.is_none(), "{what}");
    };
    let schema = kind.and_then(|kind| content.get(kind)).unwrap_or_else(|| panic!("of another type: {what}"));
    if kind.is_some_and(|kind| kind.ends_with("json"))
        && let Err(why) = matches(&schema["schema"], &answer.json(), "")
    {
        panic!("{why}: {what}");
    }
}

/// Whether a value is as a schema says, and has no member that the schema does not name.
pub fn matches(schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let mut known = Known::default();
    satisfies(schema, value, at, &mut known)?;
    let unknown = value.as_object().filter(|_| known.is_closed()).into_iter().flat_map(Map::keys);
    match unknown.into_iter().find(|name| !known.named.contains(*name)) {
        Some(name) => Err(format!("{at}/{name} is not described")),
        None => Ok(()),
    }
}

/// What schemas of one object say of its members together.
#[derive(Default)]
struct Known {
    named: BTreeSet<String>,
    is_open: bool,
}

impl Known {
    fn is_closed(&self) -> bool {
        !self.is_open && !self.named.is_empty()
    }
}

fn satisfies(schema: &Value, value: &Value, at: &str, known: &mut Known) -> Result<(), String> {
    let schema = schema.as_object().ok_or_else(|| format!("{at}: no schema"))?;
    for (keyword, said) in schema {
        let holds = match keyword.as_str() {
            "$ref" => return satisfies(resolve(said), value, at, known),
            "description" => true,
            "type" => is_of_type(said.as_str().unwrap(), value),
            "enum" => said.as_array().unwrap().contains(value),
            "anyOf" => any(said, value, at, known)?,
            "allOf" => {
                for part in said.as_array().unwrap() {
                    satisfies(part, value, at, known)?;
                }
                true
            }
            "required" => {
                let has = |name: &Value| value.get(name.as_str().unwrap()).is_some();
                !value.is_object() || said.as_array().unwrap().iter().all(has)
            }
            "properties" => {
                for (name, of) in said.as_object().unwrap() {
                    known.named.insert(name.clone());
                    if let Some(member) = value.get(name) {
                        matches(of, member, &format!("{at}/{name}"))?;
                    }
                }
                true
            }
            "additionalProperties" => further(said, schema, value, at, known)?,
            "items" => {
                for (n, item) in value.as_array().into_iter().flatten().enumerate() {
                    matches(said, item, &format!("{at}/{n}"))?;
                }
                true
            }
            "minimum" => value.as_f64().is_none_or(|number| number >= said.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|number| number <= said.as_f64().unwrap()),
            "minLength" => {
                value.as_str().is_none_or(|text| text.chars().count() as u64 >= said.as_u64().unwrap())
            }
            "maxLength" => {
                value.as_str().is_none_or(|text| text.chars().count() as u64 <= said.as_u64().unwrap())
            }
            "minItems" => value.as_array().is_none_or(|list| list.len() as u64 >= said.as_u64().unwrap()),
            "maxItems" => value.as_array().is_none_or(|list| list.len() as u64 <= said.as_u64().unwrap()),
            "format" => value.as_str().is_none_or(|text| has_format(said.as_str().unwrap(), text)),
            // The one pattern of answers is that of ids.
            "pattern" => {
                assert_eq!(said, "^[A-Za-z0-9._:@-]+$", "a pattern that this checker does not know");
                value.as_str().is_none_or(|text| {
                    text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._:@-".contains(&b))
                })
            }
            other => panic!("{at}: a keyword that this checker does not know: {other}"),
        };
        if !holds {
            return Err(format!("{at}: {value} is not as `{keyword}: {said}` says"));
        }
    }
    Ok(())
}

fn any(schemas: &Value, value: &Value, at: &str, known: &mut Known) -> Result<bool, String> {
    let mut whys = Vec::new();
    for schema in schemas.as_array().unwrap() {
        // Which of them it is decides which members there may be.
        match matches(schema, value, at) {
            Ok(()) => {
                known.is_open = true;
                return Ok(true);
            }
            Err(why) => whys.push(why),
        }
    }
    Err(whys.join(" and "))
}

fn further(
    said: &Value,
    schema: &Map<String, Value>,
    value: &Value,
    at: &str,
    known: &mut Known,
) -> Result<bool, String> {
    known.is_open |= *said != false;
    let Some(of) = said.as_object().map(|_| said) else { return Ok(true) };
    let named = schema.get("properties").and_then(Value::as_object);
    for (name, member) in value.as_object().into_iter().flatten() {
        if named.is_none_or(|named| !named.contains_key(name)) {
            matches(of, member, &format!("{at}/{name}"))?;
        }
    }
    Ok(true)
}

pub fn resolve(reference: &Value) -> &'static Value {
    let path = reference.as_str().unwrap().strip_prefix('#').unwrap();
    DOCUMENT.pointer(path).unwrap_or_else(|| panic!("{reference} leads nowhere"))
}

fn is_of_type(kind: &str, value: &Value) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("no type: {other}"),
    }
}

fn has_format(format: &str, text: &str) -> bool {
    match format {
        "uuid" => text.parse::<clawexchange_ssg_core::EventId>().is_ok(),
        "date-time" => text.parse::<clawexchange_ssg_core::Timestamp>().is_ok(),
        "uri" => text.starts_with("http://") || text.starts_with("https://"),
        other => panic!("a format that this checker does not know: {other}"),
    }
}

#[test]
fn the_checker_sees_what_is_wrong() {
    let schema = serde_json::json!({
        "type": "object", "required": ["a"],
        "properties": {"a": {"type": "integer", "minimum": 0}, "b": {"anyOf": [{"type": "null"}, {"enum": ["x"]}]}},
    });
    let check = |json: &str| matches(&schema, &serde_json::from_str(json).unwrap(), "").is_ok();
    assert!(check(r#"{"a":1}"#) && check(r#"{"a":1,"b":null}"#) && check(r#"{"a":1,"b":"x"}"#));
    for wrong in [r"{}", r#"{"a":-1}"#, r#"{"a":"1"}"#, r#"{"a":1,"b":"y"}"#, r#"{"a":1,"c":2}"#, "[]"] {
        assert!(!check(wrong), "{wrong}");
    }
}
