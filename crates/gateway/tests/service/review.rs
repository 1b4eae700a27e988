//! The operators' routes: claims and fences, decisions, timelines, legal holds, the log, tokens.

use clawexchange_audit::{Checkpoint, NoteVerifier, TlogProof, root_of};
use clawexchange_moderation::{NewToken, Role};
use serde_json::{Value, json};

use crate::server::{PASS, Running, agent, until};

fn path(held: &Value, rest: &str) -> String {
    format!("/v1/quarantine/{}{rest}", held["quarantineId"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_person_has_claimed_no_other_decides() {
    let server = Running::new().await;
    let held = server.hold("a").await;
    let other = server.new_token(&NewToken::new(agent("second"), Role::Moderator)).await;
    let claim = server.act(Role::Moderator, "/v1/queue/next").await.of(200);
    assert_eq!(claim["record"]["id"], held["quarantineId"]);
    let fence = claim["fence"].as_u64().unwrap();
    server.act(Role::Moderator, "/v1/queue/next").await.expect(204);
    let theirs = |rest: &str, body: Value| server.admin.post(&path(&held, rest), &body).token(&other).send();
    let taken = server.admin.request("POST", &path(&held, "/claim")).token(&other).send().await;
    assert_eq!(taken.code(409), "quarantine/claimed");
    assert_eq!(theirs("/decisions", json!({"action": "release"})).await.code(409), "quarantine/claimed");
    let stale = json!({"action": "release", "fence": fence + 1});
    assert_eq!(
        server.post(Role::Moderator, &path(&held, "/decisions"), &stale).await.code(409),
        "quarantine/stale-claim"
    );
    let unclaim = server.admin.request("DELETE", &path(&held, &format!("/claim?fence={fence}")));
    unclaim.token(server.token(Role::Moderator)).send().await.expect(204);
    let mine = server.admin.request("POST", &path(&held, "/claim")).token(&other).send().await.of(200);
    let decided =
        json!({"action": "delete", "reason": "POLICY_VIOLATION", "notes": "spam", "fence": mine["fence"]});
    let record = theirs("/decisions", decided).await.of(200);
    assert_eq!((&record["status"], &record["reviewedBy"]), (&json!("DELETED"), &json!("second")));
    assert_eq!(theirs("/decisions", json!({"action": "restore"})).await.code(400), "gateway/bad-body");
    let more = json!({"action": "restore", "notes": "x", "reason": "FALSE_POSITIVE"});
    assert_eq!(theirs("/decisions", more).await.code(400), "gateway/bad-body");
    let restored = theirs("/decisions", json!({"action": "restore", "notes": "too hasty"})).await.of(200);
    assert_eq!(restored["status"], "UNDER_REVIEW");
    let nobodys = server.admin.request("DELETE", &path(&held, "/claim")).token(&other).send().await;
    assert_eq!(nobodys.code(400), "gateway/bad-query");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_tells_its_whole_story_to_who_may_read_it() {
    let server = Running::new().await;
    let held = server.hold("a").await;
    let record = server.get(Role::Auditor, &path(&held, "")).await.of(200);
    assert_eq!((&record["agentId"], &record["legalHold"]), (&json!("a"), &json!(false)));
    let grant = json!({"purpose": "a complaint"});
    let grant = server.post(Role::Moderator, &path(&held, "/reveal"), &grant).await.of(200);
    let shown = server.public.get(grant["path"].as_str().unwrap()).send().await.expect(200);
    assert!(shown.text().starts_with("Ignore all"));
    assert_eq!(
        server.post(Role::Moderator, &path(&held, "/reveal"), &json!({})).await.code(400),
        "gateway/bad-body"
    );
    server.post(Role::Moderator, &path(&held, "/decisions"), &json!({"action": "release"})).await.expect(200);
    let story = server.get(Role::Auditor, &path(&held, "/timeline")).await.of(200);
    let kinds: Vec<&str> =
        story["items"].as_array().unwrap().iter().map(|e| e["eventType"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["HUMAN_RELEASE", "HUMAN_VIEW_CONTENT", "GRANT_ISSUED", "SSG_QUARANTINE"]);
    let first = server.get(Role::Auditor, &path(&held, "/timeline?limit=3")).await.of(200);
    let rest = format!("/timeline?limit=3&cursor={}", first["nextCursor"].as_str().unwrap());
    let rest = server.get(Role::Auditor, &path(&held, &rest)).await.of(200);
    assert_eq!((rest["items"].as_array().unwrap().len(), &rest["nextCursor"]), (1, &Value::Null));
    let unknown = json!({"quarantineId": clawexchange_ssg_core::EventId::fresh()});
    for rest in ["", "/timeline"] {
        assert_eq!(server.get(Role::Admin, &path(&unknown, rest)).await.code(404), "quarantine/not-found");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_a_legal_hold_nothing_is_deleted() {
    let server = Running::new().await;
    let held = server.hold("a").await;
    let why = json!({"reason": "case 7"});
    assert_eq!(server.post(Role::Moderator, &path(&held, "/hold"), &why).await.code(403), "gateway/no-right");
    assert_eq!(server.post(Role::Admin, &path(&held, "/hold"), &why).await.of(200)["legalHold"], true);
    let delete = json!({"action": "delete"});
    assert_eq!(
        server.post(Role::Admin, &path(&held, "/decisions"), &delete).await.code(409),
        "quarantine/legal-hold"
    );
    let lift = json!({"reason": "case closed", "lift": true});
    assert_eq!(server.post(Role::Admin, &path(&held, "/hold"), &lift).await.of(200)["legalHold"], false);
    assert!(matches!(server.post(Role::Admin, &path(&held, "/hold"), &lift).await.status, 404 | 409));
    server.post(Role::Admin, &path(&held, "/decisions"), &delete).await.expect(200);
    assert_eq!(server.events(&["HOLD_PLACED", "HOLD_LIFTED"]).await.len(), 2);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_queue_is_filtered_and_read_page_by_page() {
    let server = Running::new().await;
    for name in ["a", "b", "c"] {
        server.hold(name).await;
    }
    let first = server.get(Role::Auditor, "/v1/queue?limit=2&status=QUARANTINED&tier=HIGH").await.of(200);
    let next = format!("/v1/queue?limit=2&cursor={}", first["nextCursor"].as_str().unwrap());
    let second = server.get(Role::Auditor, &next).await.of(200);
    let agents = |page: &Value| -> Vec<String> {
        page["items"].as_array().unwrap().iter().map(|r| r["agentId"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!([agents(&first), agents(&second)].concat(), ["c", "b", "a"]);
    assert_eq!(agents(&server.get(Role::Admin, "/v1/queue?agent=b").await.of(200)), ["b"]);
    let long = "x".repeat(300);
    for bad in [
        "limit=0",
        "limit=1001",
        "tier=x",
        "agent=a%20b",
        "status=x",
        "more=1",
        "limit=1&limit=2",
        "cursor=x",
    ] {
        server.get(Role::Admin, &format!("/v1/queue?{bad}")).await.expect(400);
    }
    server.get(Role::Admin, &format!("/v1/queue?cursor={long}")).await.expect(400);
    server.act(Role::Moderator, "/v1/queue/next?agent=nobody").await.expect(204);
    assert_eq!(server.act(Role::Moderator, "/v1/queue/next?limit=2").await.code(400), "gateway/bad-query");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_is_queried_and_its_ends_are_told() {
    let server = Running::new().await;
    for n in 0..3 {
        server.submit(&format!("a{n}"), PASS).await.expect(200);
    }
    server.hold("b").await;
    let page = server.get(Role::Auditor, "/v1/audit?eventType=SSG_PASS,SSG_QUARANTINE&limit=3").await.of(200);
    assert_eq!(page["items"][0]["eventType"], "SSG_QUARANTINE", "newest first");
    let next = format!(
        "/v1/audit?eventType=SSG_PASS,SSG_QUARANTINE&limit=3&cursor={}",
        page["nextCursor"].as_str().unwrap()
    );
    let next = server.get(Role::Auditor, &next).await.of(200);
    assert_eq!((next["items"].as_array().unwrap().len(), &next["nextCursor"]), (1, &Value::Null));
    let of = server.get(Role::Auditor, "/v1/audit?actor=b&actorType=agent&log=decisions").await.of(200);
    assert_eq!(of["items"].as_array().unwrap().len(), 1);
    for bad in
        ["eventType=NOPE", "log=x", "limit=1001", "since=yesterday", "actorType=x", "cursor=x", "more=1"]
    {
        server.get(Role::Auditor, &format!("/v1/audit?{bad}")).await.expect(400);
    }
    let ends = server.get(Role::Auditor, "/v1/audit/checkpoint").await.of(200);
    let verdicts = ends["logs"].as_array().unwrap().iter().find(|log| log["log"] == "verdicts").unwrap();
    assert_eq!((&verdicts["size"], verdicts["headHash"].as_str().unwrap().len()), (&json!(3), 64), "{ends}");
    server.stop().await;
}

/// Whoever has the texts that are answered, and nothing of ours but the verifier key, can check the log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_is_proved_to_whoever_may_read_it() {
    let server = Running::new().await;
    server.submit("a0", PASS).await.expect(200);
    let ends = server.get(Role::Auditor, "/v1/audit/checkpoint").await.of(200);
    let end = ends["logs"].as_array().unwrap().iter().find(|log| log["log"] == "verdicts").unwrap().clone();
    let vkey: NoteVerifier = end["vkey"].as_str().unwrap().parse().unwrap();
    let open = |text: &str| Checkpoint::open(&text.parse().unwrap(), &vkey).unwrap();
    let first = open(end["note"].as_str().unwrap());
    let hex = |hash: &[u8]| hash.iter().fold(String::new(), |text, b| text + &format!("{b:02x}"));
    assert_eq!((first.size(), hex(first.root())), (1, end["root"].as_str().unwrap().to_owned()));
    assert_eq!(first.origin(), end["origin"].as_str().unwrap());
    for n in 1..4 {
        server.submit(&format!("a{n}"), PASS).await.expect(200);
    }
    let get = async |path: &str| server.get(Role::Auditor, &format!("/v1/audit/verdicts/{path}")).await;
    let second = open(&get("checkpoint").await.expect(200).text());
    assert_eq!(second.size(), 4, "all that was answered is covered");

    let grown = get("consistency/1").await.of(200);
    let hashes: Vec<[u8; 32]> = grown["hashes"].as_array().unwrap().iter().map(unhex).collect();
    assert_eq!((grown["from"].as_u64(), grown["to"].as_u64()), (Some(1), Some(4)));
    open(grown["note"].as_str().unwrap()).verify_extends(&first, &hashes).unwrap();

    let entries = get("tile/entries/000.p/4").await.expect(200).body.clone();
    let mut leaves = Vec::new();
    let mut rest = &entries[..];
    while let Some((length, bytes)) = rest.split_first_chunk() {
        let (leaf, more) = bytes.split_at(u16::from_be_bytes(*length).into());
        leaves.push(leaf.to_vec());
        rest = more;
    }
    assert_eq!(leaves.len(), 4);
    let tile = get("tile/0/000.p/4").await.expect(200).body.clone();
    let tile: Vec<[u8; 32]> = tile.as_chunks().0.to_vec();
    assert_eq!(root_of(&tile), *second.root());
    for (index, leaf) in leaves.iter().enumerate() {
        let proof: TlogProof = get(&format!("proof/{index}")).await.expect(200).text().parse().unwrap();
        assert_eq!(proof.verify(leaf, &vkey).unwrap(), second);
    }
    for missing in ["proof/4", "consistency/5", "tile/0/000.p/5", "tile/0/001", "tile/1/000"] {
        assert_eq!(get(missing).await.code(404), "audit/not-reached", "{missing}");
    }
    for bad in
        ["proof/x", "proof/-1", "consistency/1.5", "tile/0/0", "tile/9/000", "tile/0/000.p/0", "tile/x%2F000"]
    {
        get(bad).await.expect(400);
    }
    server.get(Role::Auditor, "/v1/audit/other/checkpoint").await.expect(400);
    // A server signs by itself, and what is full may be kept.
    server.widen_limits().await;
    for n in 0..256 {
        server.submit(&format!("b{n}"), PASS).await.expect(200);
    }
    until(async || {
        server.number("SELECT MAX(size) AS n FROM audit_checkpoints WHERE log = 'verdicts'").await >= 256
    })
    .await;
    let full = get("tile/0/000").await.expect(200);
    assert_eq!((full.body.len(), full.header("content-type")), (8192, Some("application/octet-stream")));
    assert_eq!(full.body[..128], tile.concat());
    assert_eq!(get("tile/1/000.p/1").await.expect(200).body.len(), 32);
    server.stop().await;
}

fn unhex(text: &Value) -> [u8; 32] {
    let digits = text.as_str().unwrap().as_bytes().chunks(2).map(|two| std::str::from_utf8(two).unwrap());
    let bytes: Vec<u8> = digits.map(|two| u8::from_str_radix(two, 16).unwrap()).collect();
    bytes.try_into().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_are_made_listed_and_revoked_and_shown_once() {
    let server = Running::new().await;
    let wish =
        json!({"id": "new-agent", "role": "agent", "trust": "VERIFIED", "owner": "o", "ttlSeconds": 3600});
    let made = server.post(Role::Admin, "/v1/tokens", &wish).await.of(201);
    let token = made["token"].as_str().unwrap().to_owned();
    let limits = || server.public.get("/v1/limits/new-agent").token(&token).send();
    assert_eq!(limits().await.of(200)["trust"], "VERIFIED");
    let list = server.get(Role::Admin, "/v1/tokens?id=new-agent&role=agent&live=true").await;
    assert!(!list.text().contains(&token), "it is shown once");
    let id = list.of(200)["items"][0]["id"].as_str().unwrap().to_owned();
    let revoke = || {
        let request = server.admin.request("DELETE", &format!("/v1/tokens/{id}?reason=left"));
        request.token(server.token(Role::Admin)).send()
    };
    assert_eq!(revoke().await.of(200)["revokeReason"], "left");
    assert_eq!(limits().await.code(401), "gateway/bad-token", "at once");
    assert_eq!(revoke().await.of(200)["revokeReason"], "left", "for good, and once");
    assert_eq!(server.events(&["TOKEN_REVOKED"]).await.len(), 1);
    let page = server.get(Role::Admin, "/v1/tokens?limit=2").await.of(200);
    assert!(page["nextCursor"].is_string());
    for bad in [
        json!({"id": "x", "role": "god"}),
        json!({"id": "x y", "role": "agent"}),
        json!({"id": "x", "role": "moderator", "owner": "o"}),
        json!({"id": "x", "role": "agent", "ttlSeconds": 1}),
        json!({"id": "x", "role": "agent", "ttlSeconds": -1}),
        json!({"id": "x", "role": "agent", "more": 1}),
        json!({"id": "x"}),
    ] {
        server.post(Role::Admin, "/v1/tokens", &bad).await.expect(400);
    }
    let unknown = format!("/v1/tokens/{}", clawexchange_ssg_core::EventId::fresh());
    let unknown = server.admin.request("DELETE", &unknown).token(server.token(Role::Admin)).send().await;
    assert_eq!(unknown.code(404), "moderation/token-unknown");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_done_is_in_the_log_though_nobody_asks_for_it() {
    let server = Running::new().await;
    let wish = json!({"id": "somebody", "role": "auditor"});
    server.post(Role::Admin, "/v1/tokens", &wish).await.expect(201);
    until(async || server.number("SELECT count(*) AS n FROM database_outbox").await == 0).await;
    server.stop().await;
}
