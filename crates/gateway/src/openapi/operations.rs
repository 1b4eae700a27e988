//! What each route takes and answers.

use serde_json::{Value, json};

use crate::routes::Route;

/// One answer of an operation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) kind: Option<&'static str>,
    pub(super) schema: Option<&'static str>,
    pub(super) about: &'static str,
}

/// What a route takes and answers, beside what all do.
pub(super) struct Operation {
    pub(super) id: &'static str,
    pub(super) tag: &'static str,
    pub(super) parameters: Vec<Value>,
    pub(super) body: Option<&'static str>,
    pub(super) answers: Vec<Answer>,
}

const fn json_of(status: u16, schema: &'static str, about: &'static str) -> Answer {
    Answer { status, kind: Some("application/json"), schema: Some(schema), about }
}

const fn problem(status: u16, about: &'static str) -> Answer {
    Answer { status, kind: Some("application/problem+json"), schema: Some("Problem"), about }
}

const fn text(status: u16, kind: &'static str, about: &'static str) -> Answer {
    Answer { status, kind: Some(kind), schema: None, about }
}

const fn nothing(status: u16, about: &'static str) -> Answer {
    Answer { status, kind: None, schema: None, about }
}

/// What every route with a body may answer.
pub(super) const OF_BODIES: [Answer; 4] = [
    problem(400, "The request cannot be read."),
    problem(408, "The body did not come in time."),
    problem(413, "The body, or what is in it, is too large."),
    problem(415, "The body is not `application/json` in UTF-8 without an encoding."),
];

/// What every route that needs a token may answer.
pub(super) const OF_RIGHTS: [Answer; 4] = [
    problem(400, "The request cannot be read."),
    problem(401, "There is no token, or it is not valid."),
    problem(403, "The token has no right to do this."),
    problem(
        503,
        "Too much is at work, a part is away, or the service is stopping; `Retry-After` says when to come back.",
    ),
];

const LIMITED: Answer = problem(429, "It came too soon; `Retry-After` says when to come back.");
const UNKNOWN: Answer = problem(404, "There is none of this id, or not for whoever asks.");
const UNREACHED: Answer = problem(404, "The log does not reach so far, or what was signed of it does not.");
const CONFLICT: Answer = problem(409, "Somebody was faster, or what is asked may not follow what is.");
const GONE_WRONG: Answer = problem(500, "What is stored is not as it was left.");

fn parameter(place: &str, name: &str, schema: impl Into<Value>, about: &str) -> Value {
    json!({"name": name, "in": place, "required": place == "path", "description": about, "schema": schema.into()})
}

pub(super) fn header(name: &str, about: &str) -> Value {
    parameter(
        "header",
        name,
        json!({"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!#-\\[\\]-~]+$"}),
        about,
    )
}

fn uuid(name: &str) -> Value {
    parameter("path", name, json!({"type": "string", "format": "uuid"}), "Its id.")
}

fn id(place: &str, name: &str, about: &str) -> Value {
    parameter(place, name, super::schemas::id(), about)
}

fn word(name: &str, words: &[&str], about: &str) -> Value {
    parameter("query", name, json!({"type": "string", "enum": words}), about)
}

fn log() -> Value {
    let words = json!({"type": "string", "enum": ["decisions", "verdicts"]});
    parameter("path", "log", words, "Which log.")
}

fn place(name: &str, about: &str) -> Value {
    parameter("path", name, json!({"type": "integer", "minimum": 0}), about)
}

fn number(name: &str, least: u64, most: u64, about: &str) -> Value {
    parameter("query", name, json!({"type": "integer", "minimum": least, "maximum": most}), about)
}

fn pages() -> Vec<Value> {
    vec![
        number("limit", 1, 1000, "How many."),
        parameter(
            "query",
            "cursor",
            json!({"type": "string", "maxLength": 256}),
            "Where the page before this one ended.",
        ),
    ]
}

fn offsets() -> Vec<Value> {
    vec![
        word("tier", super::schemas::TIERS, "Only of this tier."),
        number("offset", 0, 100_000, "How many to leave out."),
        number("limit", 1, 100, "How many; 20 unless said."),
    ]
}

fn filters() -> Vec<Value> {
    vec![
        word("status", super::schemas::STATUSES, "Only of this status."),
        word("tier", super::schemas::TIERS, "Only of this tier."),
        id("query", "agent", "Only of this agent."),
        id("query", "owner", "Only of this owner's agents."),
        id("query", "source", "Only of this name on the platform."),
    ]
}

fn with(mut first: Vec<Value>, rest: Vec<Value>) -> Vec<Value> {
    first.extend(rest);
    first
}

#[expect(clippy::too_many_lines, reason = "a table, a row each route")]
pub(super) fn operation(route: &Route) -> Operation {
    let make = |id, tag, parameters, body, answers: &[Answer]| Operation {
        id,
        tag,
        parameters,
        body,
        answers: answers.to_vec(),
    };
    let none = Vec::new;
    match (route.method, route.path) {
        ("POST", "/v1/submit") => make(
            "submit",
            "submissions",
            none(),
            Some("Submission"),
            &[
                json_of(200, "Result", "PASS or WARN: post it."),
                json_of(
                    202,
                    "Result",
                    "QUARANTINE: it is held, and `Location` says where to ask what became of it.",
                ),
                Answer {
                    schema: Some("Refused"),
                    ..problem(403, "BLOCK: it is refused; or the token has no right to do this.")
                },
                problem(409, "A request of this Idempotency-Key is being answered."),
                problem(422, "This Idempotency-Key was used for another request."),
                LIMITED,
                GONE_WRONG,
            ],
        ),
        ("GET", "/v1/submissions/{inspectionId}") => make(
            "submission",
            "submissions",
            vec![uuid("inspectionId")],
            None,
            &[json_of(200, "SubmissionStatus", "What became of it."), UNKNOWN, GONE_WRONG],
        ),
        ("GET", "/v1/submissions/{inspectionId}/content") => make(
            "releasedContent",
            "submissions",
            vec![uuid("inspectionId")],
            None,
            &[json_of(200, "Envelope", "The envelope as it came in."), UNKNOWN, CONFLICT, GONE_WRONG],
        ),
        ("POST", "/v1/submissions/{inspectionId}/published") => make(
            "confirmPublished",
            "submissions",
            vec![uuid("inspectionId")],
            None,
            &[json_of(200, "SubmissionStatus", "It is noted."), UNKNOWN, CONFLICT, GONE_WRONG],
        ),
        ("POST", "/v1/inspect") => make(
            "inspect",
            "submissions",
            none(),
            Some("Submission"),
            &[json_of(200, "Inspection", "The judgement, whatever the verdict."), LIMITED],
        ),
        ("POST", "/v1/inspect/batch") => make(
            "inspectBatch",
            "submissions",
            none(),
            Some("Batch"),
            &[json_of(200, "BatchResult", "A result or an error for each item, in their order."), LIMITED],
        ),
        ("GET", "/v1/limits/{agent}") => make(
            "limits",
            "submissions",
            vec![
                id("path", "agent", "The agent."),
                word("trust", super::schemas::TRUSTS, "How far it is trusted; NEW unless said."),
                id("query", "owner", "Who it belongs to."),
            ],
            None,
            &[json_of(200, "Limits", "How it stands.")],
        ),
        ("GET", "/v1/content/{token}") => make(
            "grantedContent",
            "moderation",
            vec![parameter(
                "path",
                "token",
                json!({"type": "string", "pattern": "^[A-Za-z0-9_-]{43}$"}),
                "The grant.",
            )],
            None,
            &[
                text(200, "text/plain; charset=utf-8", "The text, once."),
                problem(400, "The path cannot be read."),
                problem(403, "The grant does not open anything, or no longer."),
                UNKNOWN,
                CONFLICT,
                GONE_WRONG,
                problem(503, "The log cannot take who looks, so nothing is shown."),
            ],
        ),
        ("GET", "/api/v1/moderation/bot/queue") => make(
            "botQueue",
            "original",
            offsets(),
            None,
            &[json_of(200, "BotQueue", "Envelopes without content."), GONE_WRONG],
        ),
        ("POST", "/api/v1/moderation/bot/action") => make(
            "botAction",
            "original",
            none(),
            Some("BotAction"),
            &[json_of(200, "ActionResult", "It is done."), UNKNOWN, CONFLICT, GONE_WRONG],
        ),
        ("GET", "/api/v1/moderation/human/quarantine") => make(
            "humanQuarantine",
            "original",
            with(vec![word("status", super::schemas::STATUSES, "Only of this status.")], offsets()),
            None,
            &[json_of(200, "HeldList", "Records without content."), GONE_WRONG],
        ),
        ("POST", "/api/v1/moderation/human/content-access") => make(
            "contentAccess",
            "original",
            none(),
            Some("AccessRequest"),
            &[json_of(200, "Access", "Where the content can be seen once."), UNKNOWN, CONFLICT, GONE_WRONG],
        ),
        ("POST", "/api/v1/moderation/human/action") => make(
            "humanAction",
            "original",
            none(),
            Some("HumanAction"),
            &[json_of(200, "ActionResult", "It is done."), UNKNOWN, CONFLICT, GONE_WRONG],
        ),
        ("POST", "/api/v1/posts") => make(
            "posts",
            "original",
            none(),
            Some("Submission"),
            &[
                json_of(201, "PostAnswer", "PASS or WARN."),
                json_of(202, "PostAnswer", "QUARANTINE."),
                Answer {
                    schema: Some("PostRefused"),
                    ..problem(403, "BLOCK, or the token has no right to do this.")
                },
                LIMITED,
                GONE_WRONG,
            ],
        ),
        ("POST", "/api/v1/inspect") => make(
            "originalInspect",
            "original",
            none(),
            Some("Submission"),
            &[json_of(200, "Inspection", "The judgement, whatever the verdict."), LIMITED],
        ),
        ("GET", "/health") => make("health", "original", none(), None, &[json_of(200, "Health", "It runs.")]),
        ("GET", "/livez") => make("livez", "operation", none(), None, &[json_of(200, "Health", "It runs.")]),
        ("GET", "/readyz") => make(
            "readyz",
            "operation",
            none(),
            None,
            &[
                json_of(200, "Readiness", "Some submission can be answered."),
                json_of(503, "Readiness", "None can, or the service is starting or stopping."),
            ],
        ),
        ("GET", "/openapi.json") => {
            make("openapi", "operation", none(), None, &[json_of(200, "Document", "This description.")])
        }
        ("GET", "/docs") => {
            make("docs", "operation", none(), None, &[text(200, "text/html; charset=utf-8", "A page.")])
        }
        ("GET", "/v1/queue") => make(
            "queue",
            "moderation",
            with(filters(), pages()),
            None,
            &[json_of(200, "RecordPage", "Records without content."), GONE_WRONG],
        ),
        ("POST", "/v1/queue/next") => make(
            "claimNext",
            "moderation",
            filters(),
            None,
            &[
                json_of(200, "Claim", "It is yours for a while."),
                nothing(204, "Nothing waits."),
                CONFLICT,
                GONE_WRONG,
            ],
        ),
        ("GET", "/v1/quarantine/{id}") => make(
            "record",
            "moderation",
            vec![uuid("id")],
            None,
            &[json_of(200, "Record", "All but the content."), UNKNOWN, GONE_WRONG],
        ),
        ("GET", "/v1/quarantine/{id}/timeline") => make(
            "timeline",
            "moderation",
            with(vec![uuid("id")], pages()),
            None,
            &[json_of(200, "EventPage", "What was done."), UNKNOWN, GONE_WRONG],
        ),
        ("POST", "/v1/quarantine/{id}/claim") => make(
            "claim",
            "moderation",
            vec![uuid("id")],
            None,
            &[json_of(200, "Claim", "It is yours for a while."), UNKNOWN, CONFLICT, GONE_WRONG],
        ),
        ("DELETE", "/v1/quarantine/{id}/claim") => make(
            "unclaim",
            "moderation",
            vec![uuid("id"), {
                let mut fence = number("fence", 0, 9_007_199_254_740_991, "The claim's fence.");
                if let Some(required) = fence.get_mut("required") {
                    *required = true.into();
                }
                fence
            }],
            None,
            &[nothing(204, "It is free again."), UNKNOWN, CONFLICT, GONE_WRONG],
        ),
        ("POST", "/v1/quarantine/{id}/decisions") => make(
            "decide",
            "moderation",
            vec![uuid("id")],
            Some("Decision"),
            &[json_of(200, "Record", "As it is now."), UNKNOWN, CONFLICT, GONE_WRONG],
        ),
        ("POST", "/v1/quarantine/{id}/reveal") => make(
            "reveal",
            "moderation",
            vec![uuid("id")],
            Some("Purpose"),
            &[json_of(200, "Grant", "What opens the content once."), UNKNOWN, CONFLICT, GONE_WRONG],
        ),
        ("POST", "/v1/quarantine/{id}/hold") => make(
            "hold",
            "moderation",
            vec![uuid("id")],
            Some("LegalHold"),
            &[json_of(200, "Record", "As it is now."), UNKNOWN, CONFLICT, GONE_WRONG],
        ),
        ("GET", "/v1/audit") => make(
            "audit",
            "operation",
            with(
                vec![
                    word("log", &["decisions", "verdicts", "all"], "In which log."),
                    parameter(
                        "query",
                        "eventType",
                        json!({"type": "string", "pattern": "^[A-Z_,]*$"}),
                        "Of these types, with commas between.",
                    ),
                    parameter(
                        "query",
                        "actor",
                        json!({"type": "string"}),
                        "By this agent, owner or other actor.",
                    ),
                    word("actorType", &["agent", "bot", "human", "system"], "By this sort of actor."),
                    parameter("query", "target", json!({"type": "string"}), "About the thing of this id."),
                    parameter("query", "targetType", json!({"type": "string"}), "About this sort of thing."),
                    parameter(
                        "query",
                        "since",
                        json!({"type": "string", "format": "date-time"}),
                        "At or after this moment.",
                    ),
                    parameter(
                        "query",
                        "until",
                        json!({"type": "string", "format": "date-time"}),
                        "At or before this moment.",
                    ),
                ],
                pages(),
            ),
            None,
            &[json_of(200, "EventPage", "Events."), GONE_WRONG],
        ),
        ("GET", "/v1/audit/checkpoint") => make(
            "checkpoint",
            "operation",
            none(),
            None,
            &[json_of(200, "Checkpoint", "Both logs' ends."), GONE_WRONG],
        ),
        ("GET", "/v1/audit/{log}/checkpoint") => make(
            "signedCheckpoint",
            "operation",
            vec![log()],
            None,
            &[
                text(
                    200,
                    "text/plain; charset=utf-8",
                    "The note: its text, an empty line, and the signature.",
                ),
                GONE_WRONG,
            ],
        ),
        ("GET", "/v1/audit/{log}/tile/{*path}") => make(
            "tile",
            "operation",
            vec![
                log(),
                parameter(
                    "path",
                    "path",
                    json!({"type": "string", "maxLength": 64}),
                    "`<level>/<index>` or `entries/<index>`, with `.p/<width>` behind it for one that is not full. The index \
                     stands in parts of three digits, such as `x001/234`: here a slash is not encoded.",
                ),
            ],
            None,
            &[
                text(
                    200,
                    "application/octet-stream",
                    "Hashes of 32 bytes, or leaves, each after its length in 16 bits.",
                ),
                UNREACHED,
                GONE_WRONG,
            ],
        ),
        ("GET", "/v1/audit/{log}/proof/{index}") => make(
            "proof",
            "operation",
            vec![log(), place("index", "The index of the event, from 0.")],
            None,
            &[
                text(
                    200,
                    "text/plain; charset=utf-8",
                    "The index, the hashes up to the root, and the signed checkpoint.",
                ),
                UNREACHED,
                GONE_WRONG,
            ],
        ),
        ("GET", "/v1/audit/{log}/consistency/{from}") => make(
            "consistency",
            "operation",
            vec![log(), place("from", "How many events the log had.")],
            None,
            &[json_of(200, "Consistency", "The proof of RFC 6962, section 2.1.2."), UNREACHED, GONE_WRONG],
        ),
        ("GET", "/v1/tokens") => make(
            "tokens",
            "operation",
            with(
                vec![
                    id("query", "id", "Only of this principal."),
                    word("role", super::schemas::ROLES, "Only of this role."),
                    parameter("query", "live", json!({"type": "boolean"}), "Only those that are valid."),
                ],
                pages(),
            ),
            None,
            &[json_of(200, "TokenPage", "Tokens without secrets.")],
        ),
        ("POST", "/v1/tokens") => make(
            "createToken",
            "operation",
            none(),
            Some("NewToken"),
            &[json_of(201, "CreatedToken", "It is made; its secret is shown this once."), CONFLICT],
        ),
        ("DELETE", "/v1/tokens/{id}") => make(
            "revokeToken",
            "operation",
            vec![
                uuid("id"),
                parameter(
                    "query",
                    "reason",
                    json!({"type": "string", "maxLength": 1000}),
                    "Why; the log keeps it.",
                ),
            ],
            None,
            &[json_of(200, "Token", "It is revoked."), UNKNOWN, CONFLICT],
        ),
        ("GET", "/metrics") => make(
            "metrics",
            "operation",
            none(),
            None,
            &[text(200, "text/plain; version=0.0.4; charset=utf-8", "Metrics.")],
        ),
        _ => make("undescribed", "operation", none(), None, &[]),
    }
}
