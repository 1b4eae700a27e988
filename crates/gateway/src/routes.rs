//! Every route: one table, from which routers, rights, tests and the description of the interface are made.

use axum::routing::{MethodRouter, delete, get, post};
use clawexchange_moderation::Act;

use crate::service::Service;

pub(crate) mod audit;
pub(crate) mod content;
pub(crate) mod documents;
pub(crate) mod health;
pub(crate) mod inspect;
pub(crate) mod limits;
pub(crate) mod original;
pub(crate) mod original_desk;
pub(crate) mod query;
pub(crate) mod review;
pub(crate) mod submit;
pub(crate) mod tokens;

/// Which listener has a route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum On {
    /// The one that platforms and agents reach.
    Public,
    /// The one that operators, moderators and scrapers reach.
    Admin,
    /// Both.
    Both,
}

/// Who may use a route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Access {
    /// Everybody, without a token: probes and documents, answered whatever else is going on.
    Open,
    /// Whoever has the grant that stands in the path.
    Granted,
    /// Whoever may do this.
    Only(Act),
}

/// The body of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum RequestBody {
    /// None; what comes is not read.
    None,
    /// JSON of as many bytes as content may have.
    Usual,
    /// JSON of so many bytes at most.
    AtMost(usize),
}

/// One route.
#[non_exhaustive]
pub struct Route {
    /// GET, POST or DELETE.
    pub method: &'static str,
    /// The path with its parameters in braces; one that takes all the rest has an asterisk before its name.
    pub path: &'static str,
    /// Which listener has it.
    pub on: On,
    /// Who may use it.
    pub access: Access,
    /// Which body it takes.
    pub body: RequestBody,
    /// What it does, in a sentence.
    pub about: &'static str,
    pub(crate) handler: fn() -> MethodRouter<Service>,
}

impl Route {
    /// The path as OpenAPI writes it, which knows no parameter that takes all the rest.
    pub fn described_path(&self) -> String {
        self.path.replace("{*", "{")
    }
}

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

/// A batch of 100 items, 8 MiB in all.
pub(crate) const BATCH_BYTES_MAX: usize = 8 << 20;

/// What decides and asks is short.
const SHORT: RequestBody = RequestBody::AtMost(16 << 10);

const fn open(
    method: &'static str,
    path: &'static str,
    on: On,
    handler: fn() -> MethodRouter<Service>,
    about: &'static str,
) -> Route {
    Route { method, path, on, access: Access::Open, body: RequestBody::None, about, handler }
}

/// The table.
pub const ROUTES: &[Route] = &[
    Route {
        method: "POST",
        path: "/v1/submit",
        on: On::Public,
        access: Access::Only(Act::Submit),
        body: RequestBody::Usual,
        handler: || post(submit::submit),
        about: "Sends content through the whole pipeline: limited, inspected, held or passed, logged.",
    },
    Route {
        method: "GET",
        path: "/v1/submissions/{inspectionId}",
        on: On::Public,
        access: Access::Only(Act::SeeSubmission),
        body: RequestBody::None,
        handler: || get(submit::status),
        about: "Says what became of content that was held.",
    },
    Route {
        method: "GET",
        path: "/v1/submissions/{inspectionId}/content",
        on: On::Public,
        access: Access::Only(Act::ConfirmRelease),
        body: RequestBody::None,
        handler: || get(content::released),
        about: "Hands released content back to the platform, while it is kept.",
    },
    Route {
        method: "POST",
        path: "/v1/submissions/{inspectionId}/published",
        on: On::Public,
        access: Access::Only(Act::ConfirmRelease),
        body: RequestBody::None,
        handler: || post(submit::published),
        about: "Says that released content was published.",
    },
    Route {
        method: "POST",
        path: "/v1/inspect",
        on: On::Public,
        access: Access::Only(Act::Inspect),
        body: RequestBody::Usual,
        handler: || post(inspect::inspect),
        about: "Judges content; stores nothing, and answers 200 for every verdict.",
    },
    Route {
        method: "POST",
        path: "/v1/inspect/batch",
        on: On::Public,
        access: Access::Only(Act::Inspect),
        body: RequestBody::AtMost(BATCH_BYTES_MAX),
        handler: || post(inspect::batch),
        about: "Judges up to 100 contents, each by itself.",
    },
    Route {
        method: "GET",
        path: "/v1/limits/{agent}",
        on: On::Public,
        access: Access::Only(Act::SeeLimits),
        body: RequestBody::None,
        handler: || get(limits::status),
        about: "Says how an agent stands in every tier; counts nothing.",
    },
    Route {
        method: "GET",
        path: "/v1/content/{token}",
        on: On::Public,
        access: Access::Granted,
        body: RequestBody::None,
        handler: || get(content::granted),
        about: "Shows held content to whom a grant was given, once; the grant in the path is the permission.",
    },
    Route {
        method: "GET",
        path: "/api/v1/moderation/bot/queue",
        on: On::Public,
        access: Access::Only(Act::SeeBotQueue),
        body: RequestBody::None,
        handler: || get(original_desk::bot_queue),
        about: "Lists held content for programs: what was found, nothing that was written.",
    },
    Route {
        method: "POST",
        path: "/api/v1/moderation/bot/action",
        on: On::Public,
        access: Access::Only(Act::ActAsBot),
        body: SHORT,
        handler: || post(original_desk::bot_action),
        about: "Releases, deletes or escalates as a program.",
    },
    Route {
        method: "GET",
        path: "/api/v1/moderation/human/quarantine",
        on: On::Public,
        access: Access::Only(Act::Decide),
        body: RequestBody::None,
        handler: || get(original_desk::human_list),
        about: "Lists held content for people.",
    },
    Route {
        method: "POST",
        path: "/api/v1/moderation/human/content-access",
        on: On::Public,
        access: Access::Only(Act::Reveal),
        body: SHORT,
        handler: || post(original_desk::content_access),
        about: "Grants one look at held content, for five minutes.",
    },
    Route {
        method: "POST",
        path: "/api/v1/moderation/human/action",
        on: On::Public,
        access: Access::Only(Act::Decide),
        body: SHORT,
        handler: || post(original_desk::human_action),
        about: "Releases or deletes as a person.",
    },
    Route {
        method: "POST",
        path: "/api/v1/posts",
        on: On::Public,
        access: Access::Only(Act::Submit),
        body: RequestBody::Usual,
        handler: || post(original::posts),
        about: "As `/v1/submit`, with the answers that the original's example application gave.",
    },
    Route {
        method: "POST",
        path: "/api/v1/inspect",
        on: On::Public,
        access: Access::Only(Act::Inspect),
        body: RequestBody::Usual,
        handler: || post(original::inspect),
        about: "As `/v1/inspect`, with the answer that the original's example application gave.",
    },
    open(
        "GET",
        "/health",
        On::Both,
        || get(original::health),
        "Says that the process runs, as the original's example application did.",
    ),
    open("GET", "/livez", On::Both, || get(health::livez), "200 while the process runs."),
    open(
        "GET",
        "/readyz",
        On::Both,
        || get(health::readyz),
        "200 while some submission can be answered; says how each part is.",
    ),
    open("GET", "/openapi.json", On::Both, || get(documents::openapi), "This description."),
    open("GET", "/docs", On::Both, || get(documents::page), "This description, for people."),
    Route {
        method: "GET",
        path: "/v1/queue",
        on: On::Admin,
        access: Access::Only(Act::SeeHeld),
        body: RequestBody::None,
        handler: || get(review::queue),
        about: "Lists held content, newest first, a page at a time.",
    },
    Route {
        method: "POST",
        path: "/v1/queue/next",
        on: On::Admin,
        access: Access::Only(Act::Decide),
        body: RequestBody::None,
        handler: || post(review::next),
        about: "Claims the oldest undecided content of the highest tier, so that nobody else decides about it meanwhile.",
    },
    Route {
        method: "GET",
        path: "/v1/quarantine/{id}",
        on: On::Admin,
        access: Access::Only(Act::SeeHeld),
        body: RequestBody::None,
        handler: || get(review::show),
        about: "Shows what is known of held content, without the content.",
    },
    Route {
        method: "GET",
        path: "/v1/quarantine/{id}/timeline",
        on: On::Admin,
        access: Access::Only(Act::SeeHeld),
        body: RequestBody::None,
        handler: || get(review::timeline),
        about: "Lists what was done to held content, newest first.",
    },
    Route {
        method: "POST",
        path: "/v1/quarantine/{id}/claim",
        on: On::Admin,
        access: Access::Only(Act::Decide),
        body: RequestBody::None,
        handler: || post(review::claim),
        about: "Claims one content, or extends one's claim.",
    },
    Route {
        method: "DELETE",
        path: "/v1/quarantine/{id}/claim",
        on: On::Admin,
        access: Access::Only(Act::Decide),
        body: RequestBody::None,
        handler: || delete(review::unclaim),
        about: "Gives one's claim back.",
    },
    Route {
        method: "POST",
        path: "/v1/quarantine/{id}/decisions",
        on: On::Admin,
        access: Access::Only(Act::Decide),
        body: SHORT,
        handler: || post(review::decide),
        about: "Releases, deletes, or restores.",
    },
    Route {
        method: "POST",
        path: "/v1/quarantine/{id}/reveal",
        on: On::Admin,
        access: Access::Only(Act::Reveal),
        body: SHORT,
        handler: || post(review::reveal),
        about: "Grants one look at held content; the purpose is logged.",
    },
    Route {
        method: "POST",
        path: "/v1/quarantine/{id}/hold",
        on: On::Admin,
        access: Access::Only(Act::HoldLegally),
        body: SHORT,
        handler: || post(review::hold),
        about: "Places a legal hold, under which nothing expires and nothing is destroyed, or lifts it.",
    },
    Route {
        method: "GET",
        path: "/v1/audit",
        on: On::Admin,
        access: Access::Only(Act::ReadLog),
        body: RequestBody::None,
        handler: || get(audit::query),
        about: "Finds events, newest first, a page at a time.",
    },
    Route {
        method: "GET",
        path: "/v1/audit/checkpoint",
        on: On::Admin,
        access: Access::Only(Act::ReadLog),
        body: RequestBody::None,
        handler: || get(audit::checkpoint),
        about: "Size, head and signed root of both logs, to be kept elsewhere and compared later.",
    },
    Route {
        method: "GET",
        path: "/v1/audit/{log}/checkpoint",
        on: On::Admin,
        access: Access::Only(Act::ReadLog),
        body: RequestBody::None,
        handler: || get(audit::note),
        about: "The checkpoint of a log as it was signed: C2SP tlog-checkpoint.",
    },
    Route {
        method: "GET",
        path: "/v1/audit/{log}/tile/{*path}",
        on: On::Admin,
        access: Access::Only(Act::ReadLog),
        body: RequestBody::None,
        handler: || get(audit::tile),
        about: "A tile of the tree of a log, or the leaves under it: C2SP tlog-tiles.",
    },
    Route {
        method: "GET",
        path: "/v1/audit/{log}/proof/{index}",
        on: On::Admin,
        access: Access::Only(Act::ReadLog),
        body: RequestBody::None,
        handler: || get(audit::proof),
        about: "Proves that an event is in a log: C2SP tlog-proof.",
    },
    Route {
        method: "GET",
        path: "/v1/audit/{log}/consistency/{from}",
        on: On::Admin,
        access: Access::Only(Act::ReadLog),
        body: RequestBody::None,
        handler: || get(audit::consistency),
        about: "Proves that a log continues what it was when it had so many events.",
    },
    Route {
        method: "GET",
        path: "/v1/tokens",
        on: On::Admin,
        access: Access::Only(Act::ManageTokens),
        body: RequestBody::None,
        handler: || get(tokens::list),
        about: "Lists tokens, without their secrets.",
    },
    Route {
        method: "POST",
        path: "/v1/tokens",
        on: On::Admin,
        access: Access::Only(Act::ManageTokens),
        body: SHORT,
        handler: || post(tokens::create),
        about: "Makes a token, which is shown this once.",
    },
    Route {
        method: "DELETE",
        path: "/v1/tokens/{id}",
        on: On::Admin,
        access: Access::Only(Act::ManageTokens),
        body: RequestBody::None,
        handler: || delete(tokens::revoke),
        about: "Revokes a token.",
    },
    open(
        "GET",
        "/metrics",
        On::Admin,
        || get(documents::metrics),
        "What is counted and timed, as Prometheus reads it.",
    ),
];
