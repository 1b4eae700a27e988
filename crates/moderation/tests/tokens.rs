//! Tokens: shown once, kept as a hash, known within a second of their end by everybody.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/rig.rs"]
#[expect(dead_code, unreachable_pub, reason = "each test uses a part of it")]
mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use clawexchange_moderation::{NewToken, Role, TOKENS_MAX, Token, TokenFilter, TokenId};
use clawexchange_ssg_core::{Actor, AgentId, Clock as _, Cursor, EventKind, OwnerId, PageLimit, TrustLevel};
use clawexchange_testkit::tamper;
use support::{Rig, code, note, principal, setup};
use tokio::sync::Barrier;

fn id(text: &str) -> AgentId {
    AgentId::new(text).unwrap()
}

fn ann() -> Actor {
    Actor::human("ann").unwrap()
}

#[tokio::test]
async fn a_token_says_who_speaks_in_what_capacity_and_for_whom() {
    let rig = Rig::new().await;
    let mut new = NewToken::new(id("agent-1"), Role::Agent);
    (new.trust, new.owner) = (TrustLevel::Verified, Some(OwnerId::new("owner-1").unwrap()));
    let agent = rig.tokens.create(&ann(), &new).await.unwrap();
    let who = rig.tokens.authenticate(agent.token.expose()).await.unwrap().unwrap();
    assert_eq!((&who.id, who.role, who.trust), (&new.id, Role::Agent, TrustLevel::Verified));
    assert_eq!(who.owner, new.owner);
    for role in Role::ALL {
        let made = rig.token("somebody", role).await;
        let who = rig.tokens.authenticate(made.token.expose()).await.unwrap().unwrap();
        assert_eq!(who, principal("somebody", role));
    }
    assert_eq!(rig.discrepancies().await, Vec::<String>::new());
}

#[tokio::test]
async fn what_is_no_token_or_opens_nothing_is_nobody() {
    let rig = Rig::new().await;
    let made = rig.token("ann", Role::Admin).await;
    // Of the right form, and of another deployment.
    let stranger = Rig::new().await.token("ann", Role::Admin).await;
    let text = made.token.expose();
    for bad in ["", "claw_", stranger.token.expose(), &text[..50], &format!("{text} "), &text.to_uppercase()]
    {
        assert!(rig.tokens.authenticate(bad).await.unwrap().is_none(), "{bad}");
    }
}

#[tokio::test]
async fn no_text_of_a_token_lies_in_the_database_or_in_anything_that_is_printed() {
    let rig = Rig::new().await;
    let made = rig.token("ann", Role::Admin).await;
    let text = made.token.expose();
    let bytes = tamper::everything(&rig.db).await;
    // Not even what is left of it without prefix and hint.
    let (hint, secret) = text.as_bytes().split_at(9);
    assert!(bytes.windows(9).any(|w| w == hint));
    assert!(!bytes.windows(secret.len()).any(|w| w == secret));
    let printed = format!("{made:?} {:?} {}", rig.tokens, serde_json::to_string(&made.info).unwrap());
    assert!(!printed.contains(&text[9..]));
    assert_eq!(made.info.hint, &text[..9], "its owner knows it again by this");
    for event in rig.log.events().await {
        assert!(!String::from_utf8(event.to_json()).unwrap().contains(&text[9..]));
    }
}

#[tokio::test]
async fn an_event_tells_of_each_token_and_names_no_agent_or_owner_in_clear() {
    let rig = Rig::new().await;
    let mut new = NewToken::new(id("agent-1"), Role::Agent);
    (new.owner, new.ttl) = (Some(OwnerId::new("owner-1").unwrap()), Some(Duration::from_hours(1)));
    let made = rig.tokens.create(&ann(), &new).await.unwrap();
    rig.tokens.revoke(&ann(), made.info.id, &note("left the platform")).await.unwrap();
    let events = rig.log.events().await;
    let [created, revoked] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((created.kind(), revoked.kind()), (EventKind::TokenCreated, EventKind::TokenRevoked));
    for event in [created, revoked] {
        let target = event.target().unwrap();
        assert_eq!((target.kind.as_str(), &target.id), ("token", &made.info.id.to_string()));
        assert_eq!((event.actor(), &event.meta()["role"]), (&ann(), &"agent".into()));
        let meta = serde_json::to_string(event.meta()).unwrap();
        assert!(!meta.contains("agent-1") && !meta.contains("owner-1") && !meta.contains("left"), "{meta}");
    }
    assert_eq!(created.meta()["trust"], "NEW");
    assert_eq!(created.meta()["expiresAt"], made.info.expires_at.unwrap().to_string());
    assert_eq!(created.owner(), new.owner.as_ref(), "for whom the log has an alias");
    assert_eq!(created.personal()["principal"], "agent-1");
    assert_eq!(revoked.personal()["note"], "left the platform");
}

#[tokio::test]
async fn a_revocation_holds_at_once_here_and_within_a_second_elsewhere() {
    let rig = Rig::new().await;
    let other = rig.other_process().await;
    let made = rig.token("ann", Role::Admin).await;
    let text = made.token.expose();
    for tokens in [&rig.tokens, &other] {
        assert!(tokens.authenticate(text).await.unwrap().is_some());
    }
    let clone = rig.tokens.clone();
    rig.tokens.revoke(&ann(), made.info.id, &note("lost")).await.unwrap();
    for tokens in [&rig.tokens, &clone] {
        assert!(tokens.authenticate(text).await.unwrap().is_none());
    }
    rig.pass(Duration::from_millis(999));
    assert!(other.authenticate(text).await.unwrap().is_some(), "what was read a moment ago holds");
    rig.pass(Duration::from_millis(1));
    assert!(other.authenticate(text).await.unwrap().is_none());
}

#[tokio::test]
async fn who_revokes_what_another_process_revoked_can_rely_on_it_at_once() {
    let rig = Rig::new().await;
    let made = rig.token("ann", Role::Admin).await;
    assert!(rig.tokens.authenticate(made.token.expose()).await.unwrap().is_some());
    rig.other_process().await.revoke(&ann(), made.info.id, &note("lost")).await.unwrap();
    rig.tokens.revoke(&ann(), made.info.id, &note("lost")).await.unwrap();
    assert!(rig.tokens.authenticate(made.token.expose()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_token_that_was_seen_a_moment_ago_costs_no_read() {
    let rig = Rig::new().await;
    let made = rig.token("ann", Role::Admin).await;
    rig.tokens.authenticate(made.token.expose()).await.unwrap();
    rig.sql("ALTER TABLE moderation_tokens RENAME TO hidden").await;
    assert!(rig.tokens.authenticate(made.token.expose()).await.unwrap().is_some());
    rig.pass(Duration::from_secs(1));
    assert!(rig.tokens.authenticate(made.token.expose()).await.is_err(), "it asks again after a second");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_revoked_while_many_use_it_opens_nothing_afterwards() {
    for _ in 0..10 {
        let rig = Rig::new().await;
        let made = rig.token("ann", Role::Admin).await;
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..20 {
            let (tokens, token) = (rig.tokens.clone(), made.token.clone());
            tasks.spawn(async move { tokens.authenticate(token.expose()).await.unwrap().is_some() });
        }
        rig.tokens.revoke(&ann(), made.info.id, &note("lost")).await.unwrap();
        assert!(rig.tokens.authenticate(made.token.expose()).await.unwrap().is_none());
        tasks.join_all().await;
        assert!(rig.tokens.authenticate(made.token.expose()).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn a_token_ends_when_its_time_is_over_even_if_it_was_just_seen() {
    let rig = Rig::new().await;
    let mut new = NewToken::new(id("ann"), Role::Moderator);
    new.ttl = Some(Duration::from_mins(1));
    let made = rig.tokens.create(&setup(), &new).await.unwrap();
    rig.pass(Duration::from_millis(59_999));
    assert!(rig.tokens.authenticate(made.token.expose()).await.unwrap().is_some());
    rig.pass(Duration::from_millis(1));
    assert!(rig.tokens.authenticate(made.token.expose()).await.unwrap().is_none());
}

#[tokio::test]
async fn revoking_twice_is_revoking_once() {
    let rig = Rig::new().await;
    let made = rig.token("ann", Role::Admin).await;
    let first = rig.tokens.revoke(&ann(), made.info.id, &note("lost")).await.unwrap();
    rig.pass(Duration::from_secs(5));
    let bob = Actor::human("bob").unwrap();
    assert_eq!(rig.tokens.revoke(&bob, made.info.id, &note("again")).await.unwrap(), first);
    assert_eq!(rig.tokens.revoke_exposed(&bob, &made.token).await.unwrap().unwrap(), first);
    assert_eq!((first.revoked_by.as_deref(), first.revoke_reason.as_deref()), (Some("ann"), Some("lost")));
    assert_eq!(rig.log.events().await.len(), 2, "made and revoked, each once");
    let unknown: TokenId = "0199d7f0-7c1e-7a6b-9d3f-0123456789ab".parse().unwrap();
    assert_eq!(code(rig.tokens.revoke(&ann(), unknown, &note("lost")).await), "moderation/token-unknown");
    assert_eq!(rig.discrepancies().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revoked_by_many_at_once_it_has_one_event_and_one_reason() {
    let rig = Rig::new().await;
    let processes = [rig.other_process().await, rig.other_process().await, rig.other_process().await];
    for round in 1..=10 {
        let made = rig.token("ann", Role::Admin).await;
        let mut tasks = tokio::task::JoinSet::new();
        let barrier = Arc::new(Barrier::new(9));
        for n in 0..9 {
            let (tokens, id, barrier) = (processes[n % 3].clone(), made.info.id, Arc::clone(&barrier));
            tasks.spawn(async move {
                let by = Actor::human(format!("admin-{n}")).unwrap();
                barrier.wait().await;
                tokens.revoke(&by, id, &note("lost")).await.unwrap().revoked_by
            });
        }
        let said: BTreeSet<_> = tasks.join_all().await.into_iter().collect();
        assert_eq!((said.len(), rig.log.events().await.len()), (1, 2 * round));
    }
    assert_eq!(rig.discrepancies().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_token_that_was_seen_in_content_is_revoked_and_a_strangers_is_none_of_ours() {
    let rig = Rig::new().await;
    let made = rig.token("agent-1", Role::Agent).await;
    let gate = Actor::system("gate").unwrap();
    let seen = Token::parse(made.token.expose()).unwrap();
    let info = rig.tokens.revoke_exposed(&gate, &seen).await.unwrap().unwrap();
    assert_eq!((info.id, info.revoke_reason.as_deref()), (made.info.id, Some("EXPOSED")));
    assert!(rig.tokens.authenticate(made.token.expose()).await.unwrap().is_none());
    assert_eq!(rig.log.events().await.last().unwrap().meta()["reason"], "EXPOSED");
    let stranger = Rig::new().await.token("x", Role::Agent).await;
    assert!(rig.tokens.revoke_exposed(&gate, &stranger.token).await.unwrap().is_none());
}

#[tokio::test]
async fn trust_and_owner_are_for_agents_and_time_is_bounded() {
    let rig = Rig::new().await;
    for role in Role::ALL.into_iter().filter(|role| *role != Role::Agent) {
        let mut trusted = NewToken::new(id("x"), role);
        trusted.trust = TrustLevel::PlatformBot;
        let mut owned = NewToken::new(id("x"), role);
        owned.owner = Some(OwnerId::new("owner").unwrap());
        for new in [trusted, owned] {
            assert_eq!(code(rig.tokens.create(&ann(), &new).await), "moderation/agents-only", "{role}");
        }
    }
    for ttl in [Duration::ZERO, Duration::from_secs(59), Duration::from_hours(24 * 3654), Duration::MAX] {
        let mut new = NewToken::new(id("x"), Role::Agent);
        new.ttl = Some(ttl);
        assert_eq!(code(rig.tokens.create(&ann(), &new).await), "moderation/token-time", "{ttl:?}");
    }
    assert_eq!((rig.count("moderation_tokens").await, rig.log.events().await.len()), (0, 0));
}

#[tokio::test]
async fn a_list_shows_the_newest_first_narrows_and_pages_by_key() {
    let rig = Rig::new().await;
    let mut made = Vec::new();
    for n in 0..7 {
        let role = if n % 2 == 0 { Role::Agent } else { Role::Bot };
        made.push(rig.token(&format!("p-{}", n % 3), role).await.info);
        rig.pass(Duration::from_secs(1));
    }
    made.reverse();
    let (mut seen, mut cursor) = (Vec::new(), None::<Cursor>);
    loop {
        let limit = PageLimit::new(3).unwrap();
        let page = rig.tokens.list(&TokenFilter::default(), cursor.as_ref(), limit).await.unwrap();
        seen.extend(page.items);
        let Some(next) = page.next_cursor else { break };
        cursor = Some(next);
    }
    assert_eq!(seen, made);
    rig.tokens.revoke(&ann(), made[0].id, &note("lost")).await.unwrap();
    let mut filter = TokenFilter::default();
    (filter.id, filter.role, filter.live_only) = (Some(id("p-0")), Some(Role::Agent), true);
    let page = rig.tokens.list(&filter, None, PageLimit::default()).await.unwrap();
    let names: Vec<_> = page.items.iter().map(|info| info.id).collect();
    assert_eq!(names, [made[6].id], "p-0 as an agent, and not the one that was revoked");
    for bad in ["", "x", "1:", "1:nobody"] {
        let refused = rig.tokens.list(&filter, Some(&Cursor::new(bad)), PageLimit::default()).await;
        assert_eq!(code(refused), "moderation/cursor", "{bad}");
    }
    let json = serde_json::to_value(&made[6]).unwrap();
    for name in ["id", "principal", "role", "trust", "owner", "createdAt", "createdBy", "expiresAt", "hint"] {
        assert!(json.get(name).is_some(), "{name}");
    }
}

#[tokio::test]
async fn a_row_that_was_put_in_or_edited_by_hand_opens_nothing_and_is_found() {
    let rig = Rig::new().await;
    let made = rig.token("ann", Role::Auditor).await;
    tamper::trigger_off(&rig.db, "moderation_tokens", "fixed").await;
    for edit in ["role = 'admin'", "principal_id = 'eve'", "expires_at = 9000000000000000", "revoked_at = 1"]
    {
        let also = if edit.starts_with("revoked") { ", revoked_by = 'x', revoke_reason = 'x'" } else { "" };
        rig.sql(&format!("UPDATE moderation_tokens SET {edit}{also}")).await;
        rig.pass(Duration::from_secs(1));
        assert_eq!(code(rig.tokens.authenticate(made.token.expose()).await), "moderation/altered", "{edit}");
        assert_eq!(
            code(rig.tokens.revoke(&ann(), made.info.id, &note("odd")).await),
            "moderation/altered",
            "what was altered is not signed anew: {edit}"
        );
        assert_eq!(rig.discrepancies().await, [format!("moderation_tokens {}: altered", made.info.id)]);
        rig.sql(
            "UPDATE moderation_tokens SET role = 'auditor', principal_id = 'ann', expires_at = NULL, \
             revoked_at = NULL, revoked_by = NULL, revoke_reason = NULL",
        )
        .await;
        assert_eq!(rig.discrepancies().await, Vec::<String>::new());
    }
    // A token of another deployment, whose hash somebody puts in here.
    let forged = Rig::new().await.token("eve", Role::Admin).await;
    rig.sql(&format!(
        "INSERT INTO moderation_tokens SELECT '{}', {}, hint, 'eve', 'admin', trust, owner_id, created_at, \
         created_by, expires_at, NULL, NULL, NULL, 1, state_mac FROM moderation_tokens",
        forged.info.id,
        tamper::blob(&rig.db, &hash_of(forged.token.expose()))
    ))
    .await;
    assert_eq!(code(rig.tokens.authenticate(forged.token.expose()).await), "moderation/altered");
    assert_eq!(rig.discrepancies().await.len(), 1);
}

/// SHA-256 in hex, as somebody would make it who forges a row.
fn hash_of(text: &str) -> String {
    let hash = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    hash.as_ref().iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

#[tokio::test]
async fn the_table_itself_keeps_tokens_and_lets_none_come_back() {
    let rig = Rig::new().await;
    let made = rig.token("ann", Role::Agent).await;
    let hash = format!("token_hash = {}", tamper::blob(&rig.db, &"00".repeat(32)));
    for edit in ["role = 'admin'", "trust = 'VERIFIED'", "expires_at = 1", &hash] {
        let sql = format!("UPDATE moderation_tokens SET {edit}, version = version + 1");
        assert!(!rig.try_sql(&sql).await, "{edit}");
    }
    rig.tokens.revoke(&ann(), made.info.id, &note("lost")).await.unwrap();
    let back = "UPDATE moderation_tokens SET revoked_at = NULL, revoked_by = NULL, revoke_reason = NULL, \
                version = version + 1";
    assert!(!rig.try_sql(back).await);
    assert!(!rig.try_sql("DELETE FROM moderation_tokens").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_admin_is_made_once_whoever_asks_at_once() {
    let rig = Rig::new().await;
    let mut processes = Vec::new();
    for _ in 0..4 {
        processes.push(rig.other_process().await);
    }
    let mut made = Vec::new();
    for round in 1..=10 {
        let mut tasks = tokio::task::JoinSet::new();
        let barrier = Arc::new(Barrier::new(16));
        for n in 0..16 {
            let (tokens, barrier) = (processes[n % 4].clone(), Arc::clone(&barrier));
            tasks.spawn(async move {
                barrier.wait().await;
                tokens.ensure_admin(&id("root")).await.unwrap()
            });
        }
        made = tasks.join_all().await.into_iter().flatten().collect();
        assert_eq!((made.len(), rig.log.events().await.len()), (1, 2 * round - 1));
        if round < 10 {
            rig.tokens.revoke(&ann(), made[0].info.id, &note("lost")).await.unwrap();
        }
    }
    let who = rig.tokens.authenticate(made[0].token.expose()).await.unwrap().unwrap();
    assert_eq!(who, principal("root", Role::Admin));
    assert!(rig.tokens.ensure_admin(&id("other")).await.unwrap().is_none());
    rig.tokens.revoke(&ann(), made[0].info.id, &note("lost")).await.unwrap();
    assert!(rig.tokens.ensure_admin(&id("root")).await.unwrap().is_some(), "nobody could make any other");
    assert_eq!(rig.discrepancies().await, Vec::<String>::new());
}

#[tokio::test]
async fn no_more_than_ten_thousand_live_and_those_that_ended_do_not_count() {
    let rig = Rig::new().await;
    // Rows that no token belongs to: they are counted, and that is all.
    let (name, hash) = tamper::either(
        &rig.db,
        "printf('%036d', i);CAST(printf('%032d', i) AS BLOB)",
        "lpad(CAST(i AS TEXT), 36, '0');convert_to(lpad(CAST(i AS TEXT), 32, '0'), 'UTF8')",
    )
    .split_once(';')
    .unwrap();
    rig.sql(&format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {TOKENS_MAX}) \
         INSERT INTO moderation_tokens SELECT {name}, {hash}, 'claw_0000', \
         'x', 'bot', 'NEW', NULL, 1, 'x', {}, NULL, NULL, NULL, 1, '' FROM n",
        rig.clock.now().plus(Duration::from_secs(1)).as_micros()
    ))
    .await;
    let new = NewToken::new(id("x"), Role::Bot);
    assert_eq!(code(rig.tokens.create(&ann(), &new).await), "moderation/too-many-tokens");
    // Three end, and many ask at once for their room.
    let three = "SELECT id FROM moderation_tokens ORDER BY id LIMIT 3";
    rig.sql(&format!(
        "UPDATE moderation_tokens SET revoked_at = 1, revoked_by = 'x', revoke_reason = 'x', version = 2 \
         WHERE id IN ({three})"
    ))
    .await;
    let mut tasks = tokio::task::JoinSet::new();
    let barrier = Arc::new(Barrier::new(12));
    for _ in 0..4 {
        let tokens = rig.other_process().await;
        for _ in 0..3 {
            let (tokens, new, barrier) = (tokens.clone(), new.clone(), Arc::clone(&barrier));
            tasks.spawn(async move {
                barrier.wait().await;
                tokens.create(&ann(), &new).await.is_ok()
            });
        }
    }
    assert_eq!(tasks.join_all().await.into_iter().filter(|made| *made).count(), 3);
    rig.pass(Duration::from_secs(1));
    assert!(rig.tokens.create(&ann(), &new).await.is_ok());
}
