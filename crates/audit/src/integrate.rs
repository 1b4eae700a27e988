//! The tree grows: what was appended goes into tiles, and a checkpoint over it is signed.
//!
//! Everything is taken from rows that anybody who owns the database may have edited, so nothing is signed that does not
//! continue what was signed and pinned before.

use clawexchange_ssg_core::{KeyId, Timestamp, fail_point};

use crate::checkpoint::Checkpoint;
use crate::error::AuditError;
use crate::leaf::{Hash, Log, batch_hash, genesis};
use crate::log::AuditLog;
use crate::note::Note;
use crate::retired::tile_hashes;
use crate::signed::{SignedCheckpoint, signer};
use crate::store::{self, Head};
use crate::subjects::is_altered;
use crate::tile::{Edge, TILE_WIDTH, Tile};
use crate::tree_rows::{CheckpointRow, Tiles, put_tiles};
use crate::walk::{batches, end_at, hashes_from, leaf_hashes, parts};

/// Full tiles that are written in one transaction: half a megabyte, over some 16,000 events.
const TILES_MAX: usize = 64;

impl AuditLog {
    /// The newest checkpoint of a log, over all events that it has; signs one if it grew since the last.
    ///
    /// A log without events gets one that is signed and not kept. Where much was appended since, tiles are written in
    /// many transactions and the checkpoint in the last; what a crash leaves is taken up by the next call.
    ///
    /// # Errors
    ///
    /// Nothing is signed if the log does not continue the last checkpoint, or its pin, or if its batches do not fit
    /// each other: two signed checkpoints that do not fit would be proof against the log for ever.
    pub async fn checkpoint(&self, log: Log) -> Result<SignedCheckpoint, AuditError> {
        loop {
            // In this order: others may append and sign meanwhile, and what is signed is never larger than the log.
            let last = self.newest(log).await?;
            let head = store::head(&self.0.db.read(), log).await?;
            let head = head.ok_or(AuditError::Head { log: log.as_str() })?;
            match last {
                Some(last) if last.size() == head.size => return Ok(last),
                Some(last) if last.size() > head.size => {
                    return Err(AuditError::altered(log, head.size, "it was longer when it was last signed"));
                }
                last => {
                    if let Some(grown) = self.grow(log, last.as_ref(), &head).await? {
                        return Ok(grown);
                    }
                }
            }
        }
    }

    /// How many events the newest checkpoint of a log covers, by its row: a cheap question that checks nothing.
    pub async fn signed_size(&self, log: Log) -> Result<u64, AuditError> {
        Ok(CheckpointRow::newest(&self.0.db.read(), log).await?.map_or(0, |row| row.size))
    }

    /// Whether a log has events that its newest checkpoint does not cover. As cheap.
    pub async fn has_grown(&self, log: Log) -> Result<bool, AuditError> {
        let signed = self.signed_size(log).await?;
        Ok(self.size(log).await? > signed)
    }

    /// The newest checkpoint of a log, its signature checked. `None` if nothing was signed yet.
    pub(crate) async fn newest(&self, log: Log) -> Result<Option<SignedCheckpoint>, AuditError> {
        let read = self.0.db.read();
        let Some(row) = CheckpointRow::newest(&read, log).await? else { return Ok(None) };
        let altered = |what| AuditError::altered(log, row.size, what);
        let head = store::head(&read, log).await?.ok_or(AuditError::Head { log: log.as_str() })?;
        let key = KeyId::new(&row.key_id).ok().ok_or_else(|| altered("its checkpoint names no key"))?;
        let signer = match signer(&*self.0.keys, &key, &head.origin).await {
            Err(AuditError::Key(error)) if is_altered(&error) => {
                return Err(altered("its checkpoint was signed by a key that is not here"));
            }
            signer => signer?,
        };
        let forged = || altered("its checkpoint is not what was signed");
        let note: Note = row.note.parse().ok().ok_or_else(forged)?;
        let checkpoint = Checkpoint::open(&note, signer.verifier()).ok().ok_or_else(forged)?;
        if (checkpoint.size(), *checkpoint.root()) != (row.size, row.root) {
            return Err(forged());
        }
        let end = end_at(&read, log, &head.origin, row.size).await?;
        let end = end.ok_or_else(|| altered("no batch ends where it was signed"))?;
        let committed_at = Timestamp::from_micros(end.committed_us);
        let verifier = signer.verifier().clone();
        Ok(Some(SignedCheckpoint { log, checkpoint, head_hash: end.hash, committed_at, note, verifier, key }))
    }

    /// The edge of the tree as it was signed: from tiles, but what is under the last of them from the log itself, so
    /// that a tail which was written anew since then is not taken for what was signed.
    async fn edge(&self, log: Log, last: Option<&SignedCheckpoint>) -> Result<Edge, AuditError> {
        let Some(last) = last else { return Ok(Edge::new()) };
        let width = u64::from(TILE_WIDTH);
        let base = last.size().saturating_sub(1) / width * width;
        let tiles = Tiles::read(&self.0.db.read(), log, &Edge::tiles(base)).await?;
        let mut edge = Edge::from_tiles(base, |tile| tiles.get(tile))?;
        for hash in self.hashes_at_edge(log, base, last.size()).await? {
            edge.append(hash)?;
        }
        if (edge.size(), edge.frontier().root()) != (last.size(), *last.root()) {
            return Err(AuditError::altered(log, last.size(), "it does not give the root that was signed"));
        }
        Ok(edge)
    }

    /// The hashes under the last tile: of events that were retired from the tile, of all others from the log.
    async fn hashes_at_edge(&self, log: Log, base: u64, size: u64) -> Result<Vec<Hash>, AuditError> {
        let read = self.0.db.read();
        let hashes = hashes_from(&read, log, base, size - base).await?;
        if hashes.len() as u64 == size - base {
            return Ok(hashes);
        }
        let gone = self.retired().await?.end(log).clamp(base, size);
        let mut hashes = tile_hashes(&read, log, base, gone - base).await?;
        hashes.extend(hashes_from(&read, log, gone, size - gone).await?);
        Ok(hashes)
    }

    /// Grows the tree from what was last signed to `head`. `None`: somebody else was faster, and it begins anew.
    async fn grow(
        &self,
        log: Log,
        last: Option<&SignedCheckpoint>,
        head: &Head,
    ) -> Result<Option<SignedCheckpoint>, AuditError> {
        self.check_pin(log).await?;
        let read = self.0.db.read();
        let mut edge = self.edge(log, last).await?;
        let signed = edge.size();
        let mut prev = last.map_or_else(|| genesis(&head.origin), |last| last.head_hash);
        let mut full: Vec<(Tile, Vec<Hash>)> = Vec::new();
        while edge.size() < head.size {
            let batches = batches(&read, log, edge.size()).await?;
            if batches.is_empty() {
                return Err(AuditError::altered(log, edge.size(), "events are missing"));
            }
            for some in parts(&batches) {
                let mut hashes = leaf_hashes(&read, log, some).await?;
                for batch in some {
                    if edge.size() == head.size {
                        break;
                    }
                    let hashes = hashes.remove(&batch.id).unwrap_or_default();
                    let continues = batch.head.start == edge.size()
                        && batch.head.prev == prev
                        && hashes.len() as u64 == u64::from(batch.head.n)
                        && batch_hash(&batch.head, hashes.iter()) == batch.hash;
                    if !continues {
                        return Err(AuditError::altered(log, edge.size(), "a batch does not continue it"));
                    }
                    prev = batch.hash;
                    for hash in hashes {
                        full.extend(edge.append(hash)?);
                    }
                }
                if full.len() >= TILES_MAX {
                    self.put_ahead(log, &full).await?;
                    full.clear();
                }
            }
        }
        if (edge.size(), prev) != (head.size, head.hash) {
            return Err(AuditError::Head { log: log.as_str() });
        }
        self.sign(log, signed, head, edge, full).await
    }

    /// Writes tiles that no checkpoint covers yet.
    async fn put_ahead(&self, log: Log, tiles: &[(Tile, Vec<Hash>)]) -> Result<(), AuditError> {
        let tx = self.0.db.begin().await?;
        tx.lock(&lock(log)).await?;
        put_tiles(&tx, log, tiles).await?;
        tx.commit().await?;
        fail_point!("tree.ahead");
        Ok(())
    }

    /// Writes the last tiles and the checkpoint, unless somebody else has signed meanwhile.
    async fn sign(
        &self,
        log: Log,
        signed: u64,
        head: &Head,
        edge: Edge,
        mut tiles: Vec<(Tile, Vec<Hash>)>,
    ) -> Result<Option<SignedCheckpoint>, AuditError> {
        let key = self.0.keys.active();
        let signer = signer(&*self.0.keys, &key, &head.origin).await?;
        let checkpoint = Checkpoint::new(&head.origin, edge.size(), edge.frontier().root())?;
        let note = checkpoint.sign(&signer)?;
        tiles.extend(edge.partials().map(|(tile, hashes)| (tile, hashes.to_vec())));
        if edge.size() > 0 {
            let tx = self.0.db.begin().await?;
            tx.lock(&lock(log)).await?;
            if CheckpointRow::newest(&tx, log).await?.map_or(0, |row| row.size) != signed {
                return Ok(None);
            }
            put_tiles(&tx, log, &tiles).await?;
            fail_point!("tree.after-tiles");
            let row = CheckpointRow {
                size: checkpoint.size(),
                root: *checkpoint.root(),
                note: note.to_string(),
                key_id: key.as_str().to_owned(),
                committed_us: head.committed_us,
            };
            row.put(&tx, log).await?;
            fail_point!("tree.before-commit");
            tx.commit().await?;
            fail_point!("tree.committed");
        }
        Ok(Some(SignedCheckpoint {
            log,
            checkpoint,
            head_hash: head.hash,
            committed_at: Timestamp::from_micros(head.committed_us),
            note,
            verifier: signer.verifier().clone(),
            key,
        }))
    }

    /// A log that was cut off or rewritten may be whole in itself; outside of the database it is known what it was.
    async fn check_pin(&self, log: Log) -> Result<(), AuditError> {
        for pin in self.pinned().await?.unwrap_or_default() {
            if pin.log == log && !self.extends(&pin).await? {
                return Err(AuditError::NotExtended { log: log.as_str(), pinned: pin.size });
            }
        }
        Ok(())
    }
}

/// What is locked while tiles and checkpoints of a log are written.
fn lock(log: Log) -> String {
    format!("audit/tree/{}", log.as_str())
}
