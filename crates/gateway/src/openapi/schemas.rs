//! The shapes of what is sent and answered, with the words that the code has.

use clawexchange_ssg_core::{Category, EventKind, ID_BYTES_MAX};
use serde_json::{Map, Value, json};

pub(super) const TIERS: &[&str] = &["CLEAR", "LOW", "MODERATE", "HIGH", "CRITICAL"];
pub(super) const STATUSES: &[&str] = &["QUARANTINED", "UNDER_REVIEW", "RELEASED", "DELETED", "EXPIRED"];
pub(super) const TRUSTS: &[&str] = &["NEW", "ESTABLISHED", "VERIFIED", "PLATFORM_BOT"];
pub(super) const ROLES: &[&str] = &["platform", "agent", "bot", "moderator", "admin", "auditor"];
const VERDICTS: &[&str] = &["PASS", "WARN", "QUARANTINE", "BLOCK"];
const TYPES: &[&str] = &["POST", "COMMENT", "MESSAGE", "PROFILE"];
const REASONS: &[&str] = &[
    "FALSE_POSITIVE",
    "TRUE_POSITIVE_LOW_RISK",
    "TRUE_POSITIVE_HIGH_RISK",
    "NEEDS_HUMAN_REVIEW",
    "POLICY_VIOLATION",
    "DUPLICATE_CONTENT",
];

pub(super) fn id() -> Value {
    json!({"type": "string", "pattern": "^[A-Za-z0-9._:@-]+$", "minLength": 1, "maxLength": ID_BYTES_MAX})
}

fn uuid() -> Value {
    json!({"type": "string", "format": "uuid"})
}

fn time() -> Value {
    json!({"type": "string", "format": "date-time"})
}

fn word(words: &[&str]) -> Value {
    json!({"type": "string", "enum": words})
}

fn text() -> Value {
    json!({"type": "string"})
}

fn count() -> Value {
    json!({"type": "integer", "minimum": 0})
}

fn flag() -> Value {
    json!({"type": "boolean"})
}

fn list(of: impl Into<Value>) -> Value {
    json!({"type": "array", "items": of.into()})
}

fn at(schema: &str) -> Value {
    super::reference(schema)
}

fn or_null(schema: &Value) -> Value {
    json!({"anyOf": [schema, {"type": "null"}]})
}

/// An object of these members; those that end in `?` may be absent.
fn object(members: &[(&str, Value)]) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for (name, schema) in members {
        match name.strip_suffix('?') {
            Some(name) => properties.insert(name.to_owned(), schema.clone()),
            None => {
                required.push(*name);
                properties.insert((*name).to_owned(), schema.clone())
            }
        };
    }
    json!({"type": "object", "properties": properties, "required": required})
}

/// The same, and whatever else there is to say.
fn open(members: &[(&str, Value)]) -> Value {
    let mut schema = object(members);
    if let Value::Object(schema) = &mut schema {
        schema.insert("additionalProperties".to_owned(), true.into());
    }
    schema
}

/// The same, and nothing else in it.
fn closed(members: &[(&str, Value)]) -> Value {
    let mut schema = object(members);
    if let Value::Object(schema) = &mut schema {
        schema.insert("additionalProperties".to_owned(), false.into());
    }
    schema
}

fn note() -> Value {
    json!({"type": "string", "minLength": 1, "maxLength": 1000})
}

pub(super) fn all() -> Value {
    let mut all = Map::new();
    for schemas in [requests(), results(), posts(), moderation(), operation()] {
        if let Value::Object(schemas) = schemas {
            all.extend(schemas);
        }
    }
    Value::Object(all)
}

fn requests() -> Value {
    let mut envelope = open(&[
        ("text", json!({"type": "string", "minLength": 1})),
        ("title?", or_null(&text())),
        ("contentType?", or_null(&word(TYPES))),
        ("category?", or_null(&word(&["SUPPLY", "DEMAND", "CONCEPT"]))),
        ("metadata?", or_null(&json!({"type": "object"}))),
    ]);
    if let Value::Object(envelope) = &mut envelope {
        let about =
            "Content. Every other member is content too, and is inspected. `category` is for posts only.";
        envelope.insert("description".to_owned(), about.into());
    }
    let submission = json!({
        "description": "Content, and who posts it. An agent's own token says who; then these members are refused.",
        "allOf": [at("Envelope"), object(&[
            ("agentId?", or_null(&id())), ("ownerId?", or_null(&id())), ("trustLevel?", or_null(&word(TRUSTS))),
            ("sourceId?", or_null(&id())), ("revisionOf?", or_null(&id())), ("ip?", or_null(&text())),
        ])],
    });
    json!({
        "Envelope": envelope,
        "Submission": submission,
        "Batch": closed(&[("items", json!({"type": "array", "items": at("Submission"), "minItems": 1, "maxItems": 100}))]),
        "BotAction": closed(&[
            ("quarantineId", uuid()), ("action", word(&["release", "delete", "escalate"])),
            ("confidence", json!({"type": "number", "minimum": 0, "maximum": 1})), ("reason", word(REASONS)),
        ]),
        "AccessRequest": object(&[("quarantineId", uuid()), ("purpose?", or_null(&note()))]),
        "HumanAction": object(&[
            ("quarantineId", uuid()), ("action", word(&["release", "delete"])),
            ("notes?", or_null(&note())), ("reason?", or_null(&word(REASONS))),
        ]),
        "Decision": closed(&[
            ("action", word(&["release", "delete", "restore"])), ("reason?", or_null(&word(REASONS))),
            ("notes?", or_null(&note())), ("fence?", or_null(&count())),
        ]),
        "Purpose": closed(&[("purpose", note())]),
        "LegalHold": closed(&[("reason", note()), ("lift?", flag())]),
        "NewToken": closed(&[
            ("id", id()), ("role", word(ROLES)), ("trust?", or_null(&word(TRUSTS))), ("owner?", or_null(&id())),
            ("ttlSeconds?", or_null(&count())),
        ]),
    })
}

/// How often the same was submitted; agents are not told.
fn campaign() -> Value {
    object(&[
        ("owners", count()),
        ("agents", count()),
        ("times", count()),
        ("ownTimes", count()),
        ("windowSeconds", count()),
        ("orMore?", flag()),
    ])
}

fn results() -> Value {
    let found = [
        ("category", categories()),
        ("field", text()),
        ("start", count()),
        ("end", count()),
        ("redacted", text()),
        ("inKey?", flag()),
        ("joined?", flag()),
    ];
    let mut whole = vec![("plugin", text()), ("patternId", text())];
    whole.extend(found.clone());
    let inspection = [
        ("inspectionId", uuid()),
        ("tier", word(TIERS)),
        ("verdict", word(VERDICTS)),
        ("labels", list(text())),
        ("matches", list(object(&whole))),
        ("truncated?", flag()),
        ("policy", text()),
        ("timestamp", time()),
        ("quarantineId?", uuid()),
        ("wouldBe?", word(VERDICTS)),
        ("sanitized?", json!({"type": "object"})),
        ("campaign?", campaign()),
        ("pluginResults?", list(json!({"type": "object"}))),
    ];
    let agents = [
        ("inspectionId", uuid()),
        ("verdict", word(VERDICTS)),
        ("categories", list(categories())),
        ("matches", list(object(&found))),
        ("timestamp", time()),
        ("quarantineId?", uuid()),
        ("wouldBe?", word(VERDICTS)),
        ("sanitized?", json!({"type": "object"})),
    ];
    let mut refused: Vec<(&str, Value)> = vec![
        ("inspectionId?", uuid()),
        ("verdict?", word(VERDICTS)),
        ("tier?", word(TIERS)),
        ("labels?", list(text())),
        ("categories?", list(categories())),
        ("policy?", text()),
        ("timestamp?", time()),
        ("truncated?", flag()),
        ("campaign?", campaign()),
    ];
    let either = json!({"anyOf": [object(&whole), object(&found)]});
    refused.push(("matches?", list(either)));
    let problem = [
        ("type", text()),
        ("title", text()),
        ("status", json!({"type": "integer", "minimum": 400, "maximum": 599})),
        ("code", text()),
        ("requestId", text()),
        ("detail?", text()),
    ];
    let until = || or_null(&time());
    json!({
        "Problem": open(&problem),
        "Inspection": object(&inspection),
        "AgentResult": object(&agents),
        "Result": {"anyOf": [at("Inspection"), at("AgentResult")],
            "description": "Whole for platforms and operators; for agents without tier, labels and rules."},
        "Refused": {
            "description": "A problem; of a verdict, with the members of the result.",
            "allOf": [at("Problem"), object(&refused)],
        },
        "BatchResult": object(&[("items", list(json!({"anyOf": [at("Inspection"), at("ItemError")]})))]),
        "ItemError": object(&[("error", object(&[("code", text()), ("message", text()), ("hint", or_null(&text()))]))]),
        "Limits": limits(),
        "SubmissionStatus": object(&[
            ("inspectionId", uuid()), ("quarantineId", uuid()),
            ("status", word(&["pending", "released", "published", "deleted", "expired"])),
            ("reason", or_null(&word(REASONS))), ("decidedAt", until()), ("expiresAt", until()),
        ]),
    })
}

fn limits() -> Value {
    let window = object(&[
        ("used", count()),
        ("limit", count()),
        ("remaining", count()),
        ("freesInSeconds", or_null(&count())),
    ]);
    let windows = [("hour", window.clone()), ("minute", window)];
    let mut tier =
        vec![("tier", text()), ("overriddenUntil", or_null(&time())), ("owner", or_null(&object(&windows)))];
    tier.extend(windows);
    let until = || or_null(&time());
    object(&[
        ("agentId", id()),
        ("trust", word(TRUSTS)),
        ("tiers", list(object(&tier))),
        (
            "penalties",
            object(&[("moderateUntil", until()), ("highUntil", until()), ("repeatedUntil", until())]),
        ),
        ("suspended", or_null(&object(&[("until", until())]))),
        ("degraded", json!({"type": "boolean"})),
    ])
}

/// What the original's route for posts answers.
fn posts() -> Value {
    let categories = || list(categories());
    json!({
        "PostAnswer": object(&[
            ("message", text()), ("inspectionId", uuid()), ("tier?", word(TIERS)), ("labels?", list(text())),
            ("categories?", categories()), ("data?", object(&[("title", or_null(&text()))])),
            ("quarantineId?", uuid()), ("wouldBe?", word(VERDICTS)), ("sanitized?", json!({"type": "object"})),
        ]),
        "PostRefused": {"allOf": [at("Problem"), object(&[
            ("error", text()), ("inspectionId?", uuid()), ("tier?", word(TIERS)), ("labels?", list(text())),
            ("categories?", categories()),
        ])]},
    })
}

/// A category, as agents are told it.
fn categories() -> Value {
    let categories: Vec<&str> = Category::ALL.into_iter().map(Category::as_str).collect();
    word(&categories)
}

fn moderation() -> Value {
    let page = |items: Value| object(&[("items", list(items)), ("nextCursor", or_null(&text()))]);
    let offsets = |items: Value| {
        object(&[("items", list(items)), ("total", count()), ("offset", count()), ("limit", count())])
    };
    let record = [
        ("id", uuid()),
        ("s3Key", or_null(&text())),
        ("status", word(STATUSES)),
        ("blobState", word(&["PENDING", "PRESENT", "SHREDDED"])),
        ("tier", word(TIERS)),
        ("labels", list(text())),
        ("matches", list(json!({"type": "object"}))),
        ("policy", text()),
        ("contentType", word(TYPES)),
        ("sizeBytes", count()),
        ("agentId", id()),
        ("ownerId", or_null(&id())),
        ("sourceId", or_null(&id())),
        ("inspectionId", uuid()),
        ("encryptionKeyId", or_null(&text())),
        ("expiresAt", time()),
        ("shredAt", or_null(&time())),
        ("reviewedBy", or_null(&text())),
        ("reviewedAt", or_null(&time())),
        ("reason", or_null(&word(REASONS))),
        ("reviewNotes", or_null(&text())),
        ("version", count()),
        ("createdAt", time()),
        ("updatedAt", time()),
        ("legalHold?", flag()),
    ];
    json!({
        "Record": object(&record),
        "RecordPage": page(at("Record")),
        "Claim": object(&[("record", at("Record")), ("fence", count()), ("leaseUntil", time())]),
        "Grant": object(&[("id", uuid()), ("token", text()), ("expiresAt", time()), ("path", text())]),
        "BotQueue": offsets(closed(&[
            ("id", uuid()), ("tier", word(TIERS)), ("labels", list(text())),
            ("matches", list(closed(&[("patternId", text()), ("redacted", text())]))), ("summary", text()),
            ("contentType", or_null(&word(TYPES))), ("sourceId", or_null(&id())), ("quarantinedAt", time()), ("expiresAt", time()),
        ])),
        "HeldList": offsets(object(&[
            ("id", uuid()), ("status", word(STATUSES)), ("tier", word(TIERS)), ("labels", list(text())),
            ("contentType", or_null(&word(TYPES))), ("sourceId", or_null(&id())), ("sizeBytes", count()),
            ("createdAt", time()), ("expiresAt", time()), ("reviewedBy", or_null(&text())),
        ])),
        "ActionResult": object(&[("success", flag()), ("newStatus", word(STATUSES)), ("message", text())]),
        "Access": object(&[("signedUrl", json!({"type": "string", "format": "uri"})), ("expiresAt", time())]),
    })
}

fn operation() -> Value {
    let kinds: Vec<&str> = EventKind::ALL.iter().map(|kind| kind.as_str()).collect();
    let event = object(&[
        ("id", uuid()),
        ("log", word(&["decisions", "verdicts"])),
        ("index", count()),
        ("eventType", word(&kinds)),
        ("actorId", text()),
        ("actorType", word(&["agent", "bot", "human", "system"])),
        ("targetId", or_null(&text())),
        ("targetType", or_null(&text())),
        ("ipAddress", or_null(&text())),
        ("metadata", json!({"type": "object"})),
        ("createdAt", time()),
    ]);
    let token = [
        ("id", uuid()),
        ("principal", id()),
        ("role", word(ROLES)),
        ("trust", word(TRUSTS)),
        ("owner", or_null(&id())),
        ("createdAt", time()),
        ("createdBy", text()),
        ("expiresAt", or_null(&time())),
        ("revokedAt", or_null(&time())),
        ("revokedBy", or_null(&text())),
        ("revokeReason", or_null(&text())),
        ("hint", text()),
    ];
    let mut created = token.to_vec();
    created.push(("token", text()));
    let page = |items: Value| object(&[("items", list(items)), ("nextCursor", or_null(&text()))]);
    let states =
        json!({"type": "object", "additionalProperties": word(&["ok", "off", "degraded", "failing"])});
    json!({
        "EventPage": page(event),
        "Checkpoint": object(&[("logs", list(object(&[
            ("log", text()), ("origin", text()), ("size", count()), ("headHash", text()), ("root", text()), ("note", text()),
            ("vkey", text()),
        ])))]),
        "Consistency": object(&[("from", count()), ("to", count()), ("hashes", list(text())), ("note", text())]),
        "Token": object(&token),
        "TokenPage": page(at("Token")),
        "CreatedToken": object(&created),
        "Health": object(&[("status", text())]),
        "Readiness": object(&[
            ("status", word(&["ok", "degraded", "starting", "draining", "failing"])), ("parts", states),
            ("flags", json!({"type": "object", "additionalProperties": {"type": "boolean"}})), ("policy", text()),
            ("packs?", text()),
        ]),
        "Document": {"type": "object"},
    })
}
