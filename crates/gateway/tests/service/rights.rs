//! Who may do what: the table of routes is what is answered, on both listeners, and nothing else is there.

use std::time::Duration;

use clawexchange_gateway::{Access, On, ROUTES, RequestBody, Route};
use clawexchange_moderation::{NewToken, Role, TokenFilter, Tokens};
use clawexchange_quarantine::Note;
use clawexchange_ssg_core::testing::ManualClock;
use clawexchange_ssg_core::{Clock as _, PageLimit, SystemClock};
use serde_json::json;

use crate::client::{Answer, Client, Request};
use crate::server::{PASS, Running, actor, agent, events, until};

/// A request of a route that nothing is wrong with but perhaps who sends it.
fn request<'c>(client: &'c Client, route: &Route, name: &str) -> Request<'c> {
    let id = clawexchange_ssg_core::EventId::fresh().to_string();
    let path = route.path.replace("{inspectionId}", &id).replace("{id}", &id).replace("{agent}", name);
    let path = path.replace("{log}", "decisions").replace("{index}", "0").replace("{from}", "0");
    let path = path.replace("{*path}", "0/000.p/1");
    let request = client.request(route.method, &path.replace("{token}", "unknown"));
    if route.body == RequestBody::None { request } else { request.json(&json!({})) }
}

fn is_refused(answer: &Answer) -> bool {
    // What an act comes to may be 403, too; whoever has no right is told so.
    answer.status == 401 || (answer.status == 403 && answer.json()["code"] == "gateway/no-right")
}

/// A route has an access by its type: one that was forgotten does not compile, and one that nobody grants is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_role_may_do_what_the_table_says_and_nothing_else() {
    let server = Running::new().await;
    for (on, client) in [(On::Public, &server.public), (On::Admin, &server.admin)] {
        for route in ROUTES.iter().filter(|route| route.on == On::Both || route.on == on) {
            for role in Role::ALL {
                let answer =
                    request(client, route, &format!("the-{role}")).token(server.token(role)).send().await;
                let may = match route.access {
                    Access::Only(act) => role.may(act),
                    _ => true,
                };
                assert_eq!(!is_refused(&answer), may, "{role} {route:?}: {}", answer.text());
            }
        }
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_not_known_gets_nowhere_however_they_ask() {
    let server = Running::new().await;
    let tokens = server.token_store().await;
    let revoked = tokens.create(&actor(), &NewToken::new(agent("gone"), Role::Admin)).await.unwrap();
    tokens.revoke(&actor(), revoked.info.id, &Note::new("test").unwrap()).await.unwrap();
    let mut short = NewToken::new(agent("late"), Role::Admin);
    short.ttl = Some(Duration::from_mins(1));
    // A row cannot be made older by hand, so it was made yesterday.
    let yesterday = ManualClock::at(SystemClock::new().now().minus(Duration::from_hours(24)));
    let expired = tokens.clone().with_clock(yesterday).create(&actor(), &short).await.unwrap();
    let known = server.token(Role::Admin).to_owned();
    let mut unknown = known.clone();
    // Another digit makes the checksum wrong, so this one is only malformed; the next is well-formed and nobody's.
    unknown.replace_range(10..11, if unknown.as_bytes()[10] == b'a' { "b" } else { "a" });
    let elsewhere = Running::new().await;
    let nobodys = elsewhere.token(Role::Admin).to_owned();
    elsewhere.stop().await;
    let bearer = |token: &str| format!("Bearer {token}");
    let wrong = [
        vec![],
        vec!["Bearer".to_owned()],
        vec!["Bearer ".to_owned()],
        vec![bearer(&unknown)],
        vec![bearer(&nobodys)],
        vec![bearer(revoked.token.expose())],
        vec![bearer(expired.token.expose())],
        vec![bearer(&known), bearer(&known)],
        vec![bearer(&known), "Basic eDp5".to_owned()],
        vec![known.clone()],
        vec![format!("Basic {known}")],
        vec![format!("Bearer\t{known}")],
        vec![bearer(&format!("{known}{}", "a".repeat(300)))],
        vec![bearer(&known.to_uppercase())],
    ];
    for (on, client) in [(On::Public, &server.public), (On::Admin, &server.admin)] {
        let guarded = |route: &&Route| {
            matches!(route.access, Access::Only(_)) && (route.on == On::Both || route.on == on)
        };
        for route in ROUTES.iter().filter(guarded) {
            for headers in &wrong {
                let asked = request(client, route, "nobody");
                let asked = headers.iter().fold(asked, |asked, value| asked.header("Authorization", value));
                let answer = asked.send().await.expect(401);
                let challenge = answer.header("www-authenticate").unwrap();
                assert!(challenge.starts_with("Bearer realm="), "{challenge}");
                let code = if headers.is_empty() { "gateway/no-token" } else { "gateway/bad-token" };
                assert_eq!(answer.code(401), code, "{headers:?}");
            }
        }
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_has_its_own_routes_and_no_others() {
    let server = Running::new().await;
    for route in ROUTES {
        let other = match route.on {
            On::Public => &server.admin,
            On::Admin => &server.public,
            _ => continue,
        };
        let answer = request(other, route, "a").token(server.token(Role::Admin)).send().await;
        assert_eq!(answer.code(404), "gateway/no-route", "{route:?}");
    }
    let methods = ["PUT", "PATCH", "OPTIONS", "TRACE", "BREW"];
    for method in methods {
        let answer =
            server.public.request(method, "/v1/submit").token(server.token(Role::Admin)).send().await;
        assert_eq!(answer.code(405), "gateway/no-method");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_refusals_is_a_handful_of_events() {
    let server = Running::new().await;
    let held = server.hold("a").await;
    let path = format!("/v1/quarantine/{}", held["quarantineId"].as_str().unwrap());
    for n in 0..500 {
        match n % 3 {
            0 => server.admin.get(&path).send().await.expect(401),
            1 => server.admin.get(&path).token("claw_guess").send().await.expect(401),
            _ => server.get(Role::Bot, &path).await.expect(403),
        };
    }
    assert!(server.events(&["AUTH_DENIED"]).await.len() <= 6, "nothing is written while it goes on");
    let (_home, parts) = server.stop().await;
    let denied = events(parts.log().await.unwrap(), &["AUTH_DENIED"]).await;
    assert!((3..=6).contains(&denied.len()), "{denied:?}");
    let counted: u64 = denied.iter().map(|event| event.metadata["count"].as_u64().unwrap()).sum();
    assert_eq!(counted, 500);
    let of =
        |reason: &str| denied.iter().find(|event| event.metadata.get("reason").is_some_and(|r| r == reason));
    for reason in ["no-token", "bad-token"] {
        assert_eq!(of(reason).unwrap().ip_address.as_deref(), Some("127.0.0.0"), "an address is masked");
    }
    let by_bot = denied.iter().find(|event| event.actor_id == "the-bot").unwrap();
    assert_eq!(by_bot.metadata["route"], "/v1/quarantine/{id}", "{by_bot:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_speaks_for_itself_alone() {
    let server = Running::new().await;
    let (mine, others) = (server.agent_token("mine").await, server.agent_token("others").await);
    for (name, value) in [
        ("agentId", "mine"),
        ("ownerId", "o"),
        ("trustLevel", "VERIFIED"),
        ("sourceId", "s"),
        ("ip", "203.0.113.9"),
    ] {
        let body = json!({"text": PASS, name: value});
        for path in ["/v1/submit", "/api/v1/posts"] {
            let answer = server.public.post(path, &body).token(&mine).send().await;
            assert_eq!(answer.code(403), "gateway/speaks-for-itself", "{name}");
        }
    }
    let held = json!({"text": crate::server::HOLD});
    let held = server.public.post("/v1/submit", &held).token(&mine).send().await.of(202);
    let path = format!("/v1/submissions/{}", held["inspectionId"].as_str().unwrap());
    let asked = |token: &str| server.public.get(&path).token(token);
    assert_eq!(asked(&mine).send().await.of(200)["status"], "pending");
    assert_eq!(asked(&others).send().await.code(404), "gateway/no-submission");
    let limits = |token: &str| server.public.get("/v1/limits/mine").token(token);
    assert_eq!(limits(&mine).send().await.of(200)["agentId"], "mine");
    assert_eq!(limits(&others).send().await.code(403), "gateway/speaks-for-itself");
    let boasted = server.public.get("/v1/limits/mine?trust=PLATFORM_BOT").token(&mine).send().await.of(200);
    assert_eq!(boasted["trust"], "NEW", "its trust is what its token says");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_is_told_less_than_the_platform() {
    let server = Running::new().await;
    let token = server.agent_token("poster").await;
    let text = json!({"text": crate::server::block()});
    let told = server.public.post("/v1/submit", &text).token(&token).send().await.of(403);
    assert_eq!(told["categories"], json!(["credentials"]), "{told}");
    assert_eq!(told["matches"][0]["redacted"], "AKIA…");
    for hidden in ["tier", "labels", "policy"] {
        assert!(told.get(hidden).is_none(), "{hidden}: {told}");
    }
    assert!(told["matches"][0].get("patternId").is_none() && told["matches"][0].get("plugin").is_none());
    let attacks = json!({"text": crate::server::HOLD, "contentType": "COMMENT"});
    let told = server.public.post("/api/v1/posts", &attacks).token(&token).send().await.of(202);
    assert!(told.get("tier").is_none() && told.get("labels").is_none(), "{told}");
    assert_eq!(told["categories"], json!(["injection"]));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_posted_opens_nothing_any_more() {
    let server = Running::new().await;
    let leaked = server.agent_token("careless").await;
    let asks = || server.public.get("/v1/limits/careless").token(&leaked).send();
    asks().await.expect(200);
    let text = format!("my key is {leaked} please help");
    let answer = server.submit("helper", &text).await;
    assert!(!answer.text().contains(&leaked[10..]), "it is not repeated");
    assert_eq!(answer.of(403)["code"], "ssg-core/blocked");
    assert_eq!(asks().await.code(401), "gateway/bad-token");
    let revoked = server.events(&["TOKEN_REVOKED"]).await;
    assert_eq!(revoked.len(), 1, "{revoked:?}");
    assert!((server.metric("claw_tokens_exposed_total").await - 1.0).abs() < 0.1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_another_process_revokes_is_refused_within_a_second() {
    let server = Running::new().await;
    let known = server.agent_token("a").await;
    server.public.get("/v1/limits/a").token(&known).send().await.expect(200);
    // A second handle has a memory of its own, as another process has.
    let keys = server.parts.keys().await.unwrap().clone();
    let other = Tokens::new(server.parts.database().await.unwrap().clone(), keys);
    let all = other.list(&TokenFilter::default(), None, PageLimit::default()).await.unwrap();
    let found = all.items.iter().find(|info| info.principal.as_str() == "a").unwrap();
    other.revoke(&actor(), found.id, &Note::new("test").unwrap()).await.unwrap();
    until(async || server.public.get("/v1/limits/a").token(&known).send().await.status == 401).await;
    server.stop().await;
}
