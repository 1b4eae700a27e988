//! The log signs what it is, so that others can see that it only grew, and signs nothing else.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/log.rs"]
#[expect(dead_code, unreachable_pub, reason = "it is shared between tests")]
mod support;

use async_trait::async_trait;
use clawexchange_audit::{
    AuditConfig, AuditError, AuditLog, Checkpoint, Log, Note, SignedCheckpoint, Tile, TilePath, TlogProof,
    TreeError, root_of, verify_consistency,
};
use clawexchange_database::Statements as _;
use clawexchange_ssg_core::{DataKey, EventKind, Fault as _, FaultKind, KeyId, KeyProvider, Mac, PortError};
use clawexchange_testkit::postgres;
use ring::digest::{SHA256, digest};
use support::{DoesNotOpen, Fixture, TestKeys, fixture, open_at};

fn leaf_hash(leaf: &[u8]) -> [u8; 32] {
    digest(&SHA256, &[&[0][..], leaf].concat()).as_ref().try_into().unwrap()
}

/// Appends events of the log of decisions, in as few batches as go.
async fn append(f: &Fixture, events: usize) {
    let mut all = Vec::new();
    for n in 0..events {
        let (log, event) = (f.log.clone(), f.event(EventKind::SsgBlock, &format!("agent-{}", n % 5), "post"));
        all.push(tokio::spawn(async move { log.append(event).await }));
    }
    for one in all {
        one.await.unwrap().unwrap();
    }
}

/// The root as the leaves give it, without any tile.
async fn root(f: &Fixture, size: u64) -> [u8; 32] {
    let mut hashes = Vec::new();
    while (hashes.len() as u64) < size {
        let left = u16::try_from((size - hashes.len() as u64).min(500)).unwrap();
        let leaves = f.log.leaves(Log::Decisions, hashes.len() as u64, left).await.unwrap();
        hashes.extend(leaves.iter().map(|leaf| leaf_hash(&leaf.leaf)));
    }
    root_of(&hashes)
}

async fn count(f: &Fixture, table: &str) -> i64 {
    let sql = format!("SELECT COUNT(*) AS n FROM {table}");
    f.db.read().row(&sql, []).await.unwrap().unwrap().get("n").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_covers_all_that_is_there_and_is_signed_once() {
    let f = fixture().await;
    let empty = f.log.checkpoint(Log::Decisions).await.unwrap();
    assert_eq!(
        (empty.size(), count(&f, "audit_checkpoints").await),
        (0, 0),
        "nothing is kept of an empty log"
    );
    let mut last: Option<SignedCheckpoint> = None;
    for (events, size) in [(1, 1), (2, 3), (253, 256), (1, 257), (600, 857)] {
        append(&f, events).await;
        assert!(f.log.has_grown(Log::Decisions).await.unwrap());
        let signed = f.log.checkpoint(Log::Decisions).await.unwrap();
        assert_eq!((signed.size(), *signed.root()), (size, root(&f, size).await));
        assert!(!f.log.has_grown(Log::Decisions).await.unwrap());
        assert_eq!(f.log.checkpoint(Log::Decisions).await.unwrap(), signed, "it did not grow");
        // Whoever has only the texts sees the same.
        let note: Note = signed.note.to_string().parse().unwrap();
        let verifier = signed.verifier.to_string().parse().unwrap();
        let opened = Checkpoint::open(&note, &verifier).unwrap();
        assert_eq!(opened, signed.checkpoint);
        let head = f.log.head(Log::Decisions).await.unwrap();
        assert_eq!((opened.origin(), opened.size()), (head.origin.as_str(), head.size));
        if let Some(last) = &last {
            let grown = f.log.prove_extends(Log::Decisions, last.size()).await.unwrap();
            assert_eq!((grown.old_root, &grown.to), (*last.root(), &signed));
            opened.verify_extends(&last.checkpoint, &grown.hashes).unwrap();
        }
        last = Some(signed);
    }
    assert_eq!(count(&f, "audit_checkpoints").await, 5);
    let report = f.verify().await;
    assert!(report.is_clean(), "{:?}", report.discrepancies);
    assert_eq!((report.decisions, report.checkpoints), (857, 5));
    assert_eq!(f.log.checkpoint(Log::Verdicts).await.unwrap().size(), 0, "each log has its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_process_goes_on_where_one_ended_and_signs_with_the_same_key() {
    let f = fixture().await;
    append(&f, 300).await;
    let one = f.log.checkpoint(Log::Decisions).await.unwrap();
    let (_db, other) = open_at(f.folder.path(), &f.clock).await;
    assert_eq!(other.checkpoint(Log::Decisions).await.unwrap(), one);
    append(&f, 10).await;
    let two = other.checkpoint(Log::Decisions).await.unwrap();
    assert_eq!((two.size(), &two.verifier), (310, &one.verifier));
    assert_eq!(f.log.checkpoint(Log::Decisions).await.unwrap(), two);
}

/// Keys after a rotation: what is new is done with `next`, and `test` is there or taken out of the ring.
#[derive(Clone, Debug)]
struct Rotated {
    keys: TestKeys,
    has_old: bool,
}

#[async_trait]
impl KeyProvider for Rotated {
    fn active(&self) -> KeyId {
        KeyId::new("next").unwrap()
    }

    async fn wrap(&self, id: &KeyId, context: &[u8], key: &DataKey) -> Result<Vec<u8>, PortError> {
        self.keys.wrap(id, context, key).await
    }

    async fn unwrap(&self, id: &KeyId, context: &[u8], wrapped: &[u8]) -> Result<DataKey, PortError> {
        self.keys.unwrap(id, context, wrapped).await
    }

    async fn mac(&self, id: &KeyId, context: &[u8], message: &[u8]) -> Result<Mac, PortError> {
        if id.as_str() == "test" && !self.has_old {
            return Err(DoesNotOpen.into());
        }
        self.keys.mac(id, context, message).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_master_key_is_rotated_so_is_the_key_that_signs_and_what_was_signed_stands() {
    let f = fixture().await;
    append(&f, 3).await;
    let old = f.log.checkpoint(Log::Decisions).await.unwrap();
    let open = async |has_old| {
        let keys = Rotated { keys: TestKeys::default(), has_old };
        let config = AuditConfig::default();
        AuditLog::open_with_clock(f.db.clone(), keys, config, f.clock.clone()).await.unwrap()
    };
    let rotated = open(true).await;
    assert_eq!(rotated.checkpoint(Log::Decisions).await.unwrap(), old, "it did not grow");
    append(&f, 2).await;
    let new = rotated.checkpoint(Log::Decisions).await.unwrap();
    assert_ne!(new.verifier, old.verifier);
    assert_eq!((new.verifier.name(), new.key.as_str()), (old.verifier.name(), "next"));
    let grown = rotated.prove_extends(Log::Decisions, old.size()).await.unwrap();
    new.checkpoint.verify_extends(&old.checkpoint, &grown.hashes).unwrap();
    let report = rotated.verify(&[], &|_, _| {}).await.unwrap();
    assert!(report.is_clean(), "{:?}", report.discrepancies);
    // Without the old key nobody can say what it signed.
    let without = open(false).await;
    assert_eq!(without.checkpoint(Log::Decisions).await.unwrap(), new);
    let report = without.verify(&[], &|_, _| {}).await.unwrap();
    let places: Vec<&str> = report.discrepancies.iter().map(|d| d.place.as_str()).collect();
    assert!(places.contains(&"audit_checkpoints decisions of 3 events"), "{places:?}");
    f.tamper(&["DELETE FROM audit_checkpoints WHERE size = 5"]).await;
    let error = without.checkpoint(Log::Decisions).await.unwrap_err();
    assert!(matches!(error, AuditError::Altered { index: 3, .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_sign_at_once_sign_one_tree() {
    let f = fixture().await;
    let mut all = Vec::new();
    for n in 0..40 {
        let (log, event) = (f.log.clone(), f.event(EventKind::SsgBlock, "agent", &format!("post-{n}")));
        all.push(tokio::spawn(async move {
            log.append(event).await.unwrap();
            log.checkpoint(Log::Decisions).await.unwrap()
        }));
    }
    let mut signed = Vec::new();
    for one in all {
        signed.push(one.await.unwrap());
    }
    signed.sort_by_key(SignedCheckpoint::size);
    assert_eq!(signed.last().unwrap().size(), 40);
    for pair in signed.windows(2) {
        let grown = f.log.prove_extends(Log::Decisions, pair[0].size()).await.unwrap();
        assert_eq!(grown.old_root, *pair[0].root());
    }
    assert!(f.verify().await.is_clean());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_has_a_proof_that_holds_without_the_log() {
    let f = fixture().await;
    append(&f, 700).await;
    for index in [0, 1, 255, 256, 511, 512, 698, 699] {
        let leaf = f.log.leaves(Log::Decisions, index, 1).await.unwrap().pop().unwrap();
        let text = f.log.prove(Log::Decisions, index).await.unwrap().to_string();
        let verifier = f.log.checkpoint(Log::Decisions).await.unwrap().verifier;
        let proof: TlogProof = text.parse().unwrap();
        let said = proof.verify(&leaf.leaf, &verifier).unwrap();
        assert_eq!((proof.index(), said.size(), leaf.hash), (index, 700, leaf_hash(&leaf.leaf)));
        let mut other = leaf.leaf.clone();
        other[10] ^= 1;
        assert_eq!(proof.verify(&other, &verifier).unwrap_err(), TreeError::Unproven);
    }
    let all = f.log.checkpoint(Log::Decisions).await.unwrap();
    for from in [0, 1, 2, 255, 256, 257, 512, 699, 700] {
        let grown = f.log.prove_extends(Log::Decisions, from).await.unwrap();
        verify_consistency(from, &root(&f, from).await, 700, all.root(), &grown.hashes).unwrap();
    }
    // What was just appended is signed before it is proved.
    append(&f, 1).await;
    assert_eq!(f.log.prove(Log::Decisions, 700).await.unwrap().index(), 700);
    let missing = f.log.prove(Log::Decisions, 701).await.unwrap_err();
    assert!(matches!(missing, AuditError::NotReached { size: 701, asked: 701, .. }), "{missing}");
    assert_eq!(missing.kind(), FaultKind::NotFound);
    assert_eq!(f.log.prove_extends(Log::Decisions, 702).await.unwrap_err().kind(), FaultKind::NotFound);
    assert_eq!(f.log.prove(Log::Verdicts, 0).await.unwrap_err().kind(), FaultKind::NotFound);
    assert_eq!(f.log.prove(Log::Decisions, u64::MAX).await.unwrap_err().kind(), FaultKind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn tiles_and_leaves_are_there_as_far_as_it_was_signed() {
    let f = fixture().await;
    append(&f, 600).await;
    let tile = |path: &str| f.log.tile(Log::Decisions, path.parse().unwrap());
    assert_eq!(tile("tile/0/000").await.unwrap_err().kind(), FaultKind::NotFound, "nothing is signed yet");
    f.log.checkpoint(Log::Decisions).await.unwrap();
    append(&f, 10).await;
    let hashes: Vec<u8> = {
        let mut leaves = f.log.leaves(Log::Decisions, 0, 300).await.unwrap();
        leaves.extend(f.log.leaves(Log::Decisions, 300, 300).await.unwrap());
        leaves.iter().flat_map(|leaf| leaf.hash).collect()
    };
    assert_eq!(tile("tile/0/000").await.unwrap(), hashes[..256 * 32]);
    assert_eq!(tile("tile/0/000.p/3").await.unwrap(), hashes[..3 * 32], "narrower, as it was once");
    assert_eq!(tile("tile/0/002.p/88").await.unwrap(), hashes[512 * 32..]);
    assert_eq!(tile("tile/1/000.p/2").await.unwrap().len(), 64);
    for missing in ["tile/0/002", "tile/0/002.p/89", "tile/0/003.p/1", "tile/1/000.p/3", "tile/2/000.p/1"] {
        assert_eq!(tile(missing).await.unwrap_err().kind(), FaultKind::NotFound, "{missing}");
    }
    let TilePath::Entries(entries) = "tile/entries/002.p/88".parse().unwrap() else { panic!() };
    assert_eq!((entries.index(), entries.width()), (2, 88));
    let mut bundle = &tile("tile/entries/002.p/88").await.unwrap()[..];
    for leaf in f.log.leaves(Log::Decisions, 512, 88).await.unwrap() {
        let (length, rest) = bundle.split_first_chunk().unwrap();
        let (bytes, rest) = rest.split_at(u16::from_be_bytes(*length).into());
        assert_eq!(bytes, leaf.leaf);
        bundle = rest;
    }
    assert!(bundle.is_empty());
    assert!(f.verify().await.is_clean());
}

/// More tiles than one transaction takes, so that some are written before the checkpoint that covers them.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_never_signed_is_taken_up_in_parts_and_tiles_ahead_do_no_harm() {
    let f = fixture().await;
    for _ in 0..17 {
        append(&f, 1000).await;
    }
    let signed = f.log.checkpoint(Log::Decisions).await.unwrap();
    assert_eq!((signed.size(), *signed.root()), (17_000, root(&f, 17_000).await));
    // As a crash after the tiles would leave it.
    f.tamper(&["DELETE FROM audit_checkpoints"]).await;
    assert!(f.verify().await.is_clean(), "tiles may be ahead of what was signed");
    assert_eq!(f.log.checkpoint(Log::Decisions).await.unwrap(), signed, "the same again");
    f.tamper(&["DELETE FROM audit_checkpoints", "DELETE FROM audit_tiles WHERE tile_index > 20"]).await;
    append(&f, 1).await;
    f.log.checkpoint(Log::Decisions).await.unwrap();
    let report = f.verify().await;
    assert!(report.is_clean(), "{:?}", report.discrepancies);
    assert_eq!(
        f.log.tile(Log::Decisions, TilePath::Hashes(Tile::new(1, 0, 66).unwrap())).await.unwrap().len(),
        66 * 32
    );
}

async fn signed(events: usize) -> Fixture {
    let f = fixture().await;
    append(&f, events).await;
    f.log.pin().await.unwrap();
    f.log.checkpoint(Log::Decisions).await.unwrap();
    f
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_signed_that_does_not_continue_what_was_signed_or_pinned() {
    let cut = |from: u64| {
        [
            format!(
                "DELETE FROM audit_logs WHERE log = 'decisions' AND batch_id IN \
                 (SELECT batch_id FROM audit_batches WHERE log = 'decisions' AND start_index >= {from})"
            ),
            format!("DELETE FROM audit_batches WHERE log = 'decisions' AND start_index >= {from}"),
            format!(
                "UPDATE audit_head SET size = {from}, batches = (SELECT COUNT(*) FROM audit_batches WHERE log = 'decisions'), \
                 head_hash = (SELECT batch_hash FROM audit_batches WHERE log = 'decisions' ORDER BY start_index DESC LIMIT 1), \
                 committed_us = (SELECT committed_us FROM audit_batches WHERE log = 'decisions' ORDER BY start_index DESC LIMIT 1) \
                 WHERE log = 'decisions'"
            ),
        ]
    };
    // A tail cut off: it was longer.
    let f = signed(1).await;
    append(&f, 1).await;
    f.log.checkpoint(Log::Decisions).await.unwrap();
    let edits = cut(1);
    f.tamper(&edits.each_ref().map(String::as_str)).await;
    let error = f.log.checkpoint(Log::Decisions).await.unwrap_err();
    assert!(matches!(error, AuditError::Altered { .. }), "{error}");
    // And appended anew by our own code, to the same length and beyond: another history of one size.
    append(&f, 1).await;
    let error = f.log.checkpoint(Log::Decisions).await;
    assert_eq!(error.unwrap().size(), 2, "nothing new was signed");
    append(&f, 1).await;
    let error = f.log.checkpoint(Log::Decisions).await.unwrap_err();
    assert!(matches!(error, AuditError::Altered { .. }), "{error}");
    assert_eq!(error.kind(), FaultKind::Integrity);

    // All that was signed is taken away with it: the pin is elsewhere.
    let f = signed(1).await;
    append(&f, 1).await;
    f.log.pin().await.unwrap();
    let mut edits = cut(1).to_vec();
    edits.extend(["audit_checkpoints", "audit_tiles"].map(|table| format!("DELETE FROM {table}")));
    f.tamper(&edits.iter().map(String::as_str).collect::<Vec<_>>()).await;
    append(&f, 2).await;
    let error = f.log.checkpoint(Log::Decisions).await.unwrap_err();
    assert!(matches!(error, AuditError::NotExtended { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_signed_or_proved_upon_rows_that_were_edited() {
    // What is wrong with what was signed, and with what is to be signed.
    for edit in [
        "UPDATE audit_checkpoints SET root = zeroblob(32)",
        "UPDATE audit_checkpoints SET note = replace(note, '300', '301')",
        "UPDATE audit_checkpoints SET note = 'nonsense'",
        "UPDATE audit_checkpoints SET key_id = 'other'",
        "UPDATE audit_checkpoints SET size = size - 1",
        "UPDATE audit_tiles SET hashes = zeroblob(32) WHERE level = 1",
        "DELETE FROM audit_tiles WHERE level = 1",
        "UPDATE audit_batches SET batch_hash = zeroblob(32) WHERE start_index >= 300",
        "UPDATE audit_batches SET prev_hash = zeroblob(32) WHERE start_index >= 300",
        "DELETE FROM audit_batches WHERE start_index >= 300",
        "UPDATE audit_logs SET leaf_hash = zeroblob(32) WHERE batch_id = \
         (SELECT batch_id FROM audit_batches WHERE log = 'decisions' ORDER BY start_index DESC LIMIT 1)",
        "UPDATE audit_head SET head_hash = zeroblob(32) WHERE log = 'decisions'",
        "UPDATE audit_head SET size = size + 1 WHERE log = 'decisions'",
    ] {
        let f = signed(300).await;
        append(&f, 1).await;
        f.tamper(&[edit]).await;
        let error = f.log.checkpoint(Log::Decisions).await.unwrap_err();
        assert_eq!(error.kind(), FaultKind::Integrity, "{edit}: {error}");
        assert_eq!(count(&f, "audit_checkpoints").await, 1, "{edit}");
    }
    // A full tile of level 0 takes no part in the root of what is signed next, but in proofs.
    let f = signed(300).await;
    f.tamper(&["UPDATE audit_tiles SET hashes = CAST(zeroblob(32) || substr(hashes, 33) AS BLOB) WHERE level = 0 AND tile_index = 0"]).await;
    assert_eq!(f.log.prove(Log::Decisions, 1).await.unwrap_err().kind(), FaultKind::Integrity);
    let f = signed(300).await;
    f.tamper(&["UPDATE audit_logs SET leaf = CAST(replace(CAST(leaf AS TEXT), 'CRITICAL', 'HARMLESS') AS BLOB) WHERE ord = 0"])
    .await;
    assert_eq!(f.log.prove(Log::Decisions, 0).await.unwrap_err().kind(), FaultKind::Integrity);
    assert_eq!(f.log.leaves(Log::Decisions, 0, 1).await.unwrap_err().kind(), FaultKind::Integrity);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_may_only_call_writes_what_fits_and_nothing_by_hand() {
    if !postgres::is_wanted() {
        return;
    }
    let f = signed(3).await;
    append(&f, 1).await;
    let role =
        format!("app_{}", f.db.deployment().await.unwrap().unwrap().map(|b| format!("{b:02x}")).concat());
    let tx = f.db.begin().await.unwrap();
    tx.execute(&format!("CREATE ROLE {role}"), []).await.unwrap();
    tx.execute(&format!("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"), []).await.unwrap();
    tx.commit().await.unwrap();
    let tile = "SELECT CAST(audit_put_tiles(log, ARRAY[level], ARRAY[tile_index], ARRAY[hashes || sha256('')]) AS TEXT) \
                FROM audit_tiles";
    let checkpoint = "SELECT CAST(audit_put_checkpoint(log, 4, root, note, key_id, committed_us) AS TEXT) \
                      FROM audit_checkpoints";
    let by_hand = [
        "INSERT INTO audit_tiles SELECT log, 1, tile_index, width, hashes FROM audit_tiles",
        "INSERT INTO audit_checkpoints SELECT log, 4, root, note, key_id, committed_us FROM audit_checkpoints",
        "ALTER TABLE audit_tiles DISABLE TRIGGER audit_only_grows",
    ];
    for (is_let, sql) in [(false, tile), (false, checkpoint), (true, tile), (true, checkpoint)] {
        for by_hand in by_hand {
            let tx = f.db.begin().await.unwrap();
            tx.execute(&format!("SET LOCAL ROLE {role}"), []).await.unwrap();
            tx.execute(by_hand, []).await.unwrap_err();
        }
        let tx = f.db.begin().await.unwrap();
        if is_let {
            let functions = "FUNCTION audit_put_tiles, audit_put_checkpoint";
            tx.execute(&format!("GRANT EXECUTE ON {functions} TO {role}"), []).await.unwrap();
        }
        tx.execute(&format!("SET LOCAL ROLE {role}"), []).await.unwrap();
        assert_eq!(tx.execute(sql, []).await.is_ok(), is_let, "{sql}");
    }
    let tx = f.db.begin().await.unwrap();
    tx.execute(&format!("DROP OWNED BY {role}"), []).await.unwrap();
    tx.execute(&format!("DROP ROLE {role}"), []).await.unwrap();
    tx.commit().await.unwrap();
}
