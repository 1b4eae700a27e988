//! Tiles and signed checkpoints against the tree that the leaves give.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Range;

use clawexchange_database::Tx;
use clawexchange_ssg_core::{KeyId, KeyProvider};

use crate::checkpoint::Checkpoint;
use crate::error::AuditError;
use crate::leaf::{Hash, Log};
use crate::note::NoteSigner;
use crate::signed::signer;
use crate::subjects::is_altered;
use crate::tile::{Edge, TILE_WIDTH, Tile};
use crate::tree::Frontier;
use crate::tree_rows::{CheckpointRow, count_from, first_index, stored, stored_between};
use crate::verify::Report;
use crate::walk::Batch;

/// Tiles, and checkpoints, of one log that are named at most: one leaf that was altered alters all that were signed
/// after it.
const NAMED_MAX: u32 = 16;

/// Tiles of the lowest level that are read at once; 8 KiB each.
const TILES_AHEAD: u64 = 8;

/// The tree of one log as it grows out of the leaves, and what of it is stored.
pub(crate) struct TreeCheck<'a> {
    keys: &'a dyn KeyProvider,
    tx: &'a Tx,
    log: Log,
    origin: &'a str,
    edge: Edge,
    /// The same tree: it gives the root of each size at little cost.
    frontier: Frontier,
    /// What the newest checkpoint covers, and so what must be there in tiles.
    signed: u64,
    /// Checkpoints that were read and not reached yet.
    waiting: VecDeque<CheckpointRow>,
    /// The largest that was read.
    read: u64,
    /// Tiles of the lowest level that were read and not reached yet, and which these are.
    tiles: HashMap<u64, Vec<Hash>>,
    ahead: Range<u64>,
    signers: BTreeMap<String, Option<NoteSigner>>,
    checkpoints: u64,
    /// Events are missing, so from here on nothing can be compared.
    is_broken: bool,
    tiles_named: u32,
    checkpoints_named: u32,
}

impl<'a> TreeCheck<'a> {
    pub(crate) async fn begin(
        keys: &'a dyn KeyProvider,
        tx: &'a Tx,
        log: Log,
        origin: &'a str,
    ) -> Result<Self, AuditError> {
        let signed = CheckpointRow::newest(tx, log).await?.map_or(0, |row| row.size);
        Ok(Self {
            keys,
            tx,
            log,
            origin,
            edge: Edge::new(),
            frontier: Frontier::new(),
            signed,
            waiting: VecDeque::new(),
            read: 0,
            tiles: HashMap::new(),
            ahead: 0..0,
            signers: BTreeMap::new(),
            checkpoints: 0,
            is_broken: false,
            tiles_named: 0,
            checkpoints_named: 0,
        })
    }

    /// Takes the leaves of the next batch, whose hashes were computed from their bytes.
    pub(crate) async fn take(
        &mut self,
        batch: &Batch,
        hashes: &[Hash],
        report: &mut Report,
    ) -> Result<(), AuditError> {
        if self.is_broken {
            return Ok(());
        }
        if batch.head.start != self.edge.size() || hashes.len() as u64 != u64::from(batch.head.n) {
            self.is_broken = true;
            let place = format!("audit_tiles {} from index {}", self.log.as_str(), self.edge.size());
            report.add(place, "events are missing, so tiles and checkpoints from here on cannot be compared");
            return Ok(());
        }
        for hash in hashes {
            let roots = self.frontier.append_telling(*hash)?;
            for (tile, hashes) in self.edge.append_with(*hash, &roots)? {
                self.compare(&tile, &hashes, report).await?;
            }
        }
        self.reach(batch.head.committed_us, report).await
    }

    /// Compares what is left, and says how many checkpoints there were.
    pub(crate) async fn finish(mut self, report: &mut Report) -> Result<u64, AuditError> {
        if self.is_broken {
            return Ok(self.checkpoints);
        }
        let partials: Vec<(Tile, Vec<Hash>)> =
            self.edge.partials().map(|(tile, hashes)| (tile, hashes.to_vec())).collect();
        for (tile, hashes) in partials {
            self.compare(&tile, &hashes, report).await?;
        }
        let size = self.edge.size();
        for level in 0..=7_u8 {
            let hashes = size.checked_shr(8 * u32::from(level)).unwrap_or(0);
            let from = hashes.div_ceil(u64::from(TILE_WIDTH));
            let more = count_from(self.tx, self.log, level, from).await?;
            if more > 0 {
                let place = format!("audit_tiles {} level {level}", self.log.as_str());
                report.add(place, format!("{more} tiles are there that the log has not"));
            }
        }
        while let Some(row) = self.next().await? {
            self.named(row.size, "it covers more events than there are", report);
        }
        Ok(self.checkpoints)
    }

    /// A stored tile begins as the leaves say, is as wide as what was signed has it, and no wider than the log.
    async fn compare(&mut self, tile: &Tile, hashes: &[Hash], report: &mut Report) -> Result<(), AuditError> {
        let wanted = Tile::in_tree(tile.level(), tile.index(), self.signed).map_or(0, |tile| tile.width());
        let there = self.there(tile).await?;
        let what = match &there {
            None if wanted == 0 => return Ok(()),
            None => "it is missing, or not as wide as it says",
            Some(there) if there.len() < usize::from(wanted) => "it is not as wide as what was signed has it",
            Some(there) if there.len() > hashes.len() => "it is wider than the log is long",
            Some(there) if there.iter().zip(hashes).any(|(one, other)| one != other) => {
                "its hashes are not those of the leaves"
            }
            Some(_) => return Ok(()),
        };
        self.tiles_named += 1;
        if self.tiles_named <= NAMED_MAX {
            let index = first_index(tile);
            report.add(format!("audit_tiles {} {tile} (from index {index})", self.log.as_str()), what);
        }
        Ok(())
    }

    /// A tile as it is stored. Those of the lowest level are read many at once, since they are met one after the other.
    async fn there(&mut self, tile: &Tile) -> Result<Option<Vec<Hash>>, AuditError> {
        if tile.level() > 0 {
            return stored(self.tx, self.log, tile).await;
        }
        if !self.ahead.contains(&tile.index()) {
            self.ahead = tile.index()..tile.index().saturating_add(TILES_AHEAD);
            self.tiles = stored_between(self.tx, self.log, &self.ahead).await?;
        }
        Ok(self.tiles.remove(&tile.index()))
    }

    /// Checks the checkpoints up to the end of a batch.
    async fn reach(&mut self, committed_us: i64, report: &mut Report) -> Result<(), AuditError> {
        while let Some(row) = self.next_up_to(self.edge.size()).await? {
            self.checkpoints += 1;
            if row.size < self.edge.size() {
                self.named(row.size, "no batch ends there", report);
                continue;
            }
            if row.root != self.frontier.root() {
                self.named(row.size, "its root is not that of the leaves", report);
            }
            if row.committed_us != committed_us {
                self.named(row.size, "its time is not that of the last batch that it covers", report);
            }
            match self.signed_note(&row).await? {
                None => self.named(row.size, "the key that signed it is not here", report),
                Some(note) if note != row.note => {
                    self.named(row.size, "it is not what its key signs", report);
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// What the key of a row signs of its size and root. Signatures are the same each time, so the whole text is
    /// compared and nothing can stand beside it.
    async fn signed_note(&mut self, row: &CheckpointRow) -> Result<Option<String>, AuditError> {
        if !self.signers.contains_key(&row.key_id) {
            let signer = match KeyId::new(&row.key_id) {
                Ok(key) => match signer(self.keys, &key, self.origin).await {
                    Ok(signer) => Some(signer),
                    Err(AuditError::Key(error)) if is_altered(&error) => None,
                    Err(error) => return Err(error),
                },
                Err(_) => None,
            };
            self.signers.insert(row.key_id.clone(), signer);
        }
        let Some(Some(signer)) = self.signers.get(&row.key_id) else { return Ok(None) };
        let note = Checkpoint::new(self.origin, row.size, row.root)?.sign(signer)?;
        Ok(Some(note.to_string()))
    }

    async fn next_up_to(&mut self, size: u64) -> Result<Option<CheckpointRow>, AuditError> {
        let row = self.next().await?;
        match row {
            Some(row) if row.size > size => {
                self.waiting.push_front(row);
                Ok(None)
            }
            row => Ok(row),
        }
    }

    async fn next(&mut self) -> Result<Option<CheckpointRow>, AuditError> {
        if self.waiting.is_empty() && self.read < self.signed {
            self.waiting.extend(CheckpointRow::some_after(self.tx, self.log, self.read).await?);
            self.read = self.waiting.back().map_or(self.signed, |row| row.size);
        }
        Ok(self.waiting.pop_front())
    }

    fn named(&mut self, size: u64, what: &str, report: &mut Report) {
        self.checkpoints_named += 1;
        if self.checkpoints_named <= NAMED_MAX {
            report.add(format!("audit_checkpoints {} of {size} events", self.log.as_str()), what);
        }
    }
}
