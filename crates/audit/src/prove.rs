//! Proofs about the log, and the pieces from which others make their own.
//!
//! Tiles are rows that somebody may have edited, so each proof is checked before it is given away: one that does not
//! lead to what was signed is an `Integrity` fault here and not at whoever asked.

use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};

use crate::error::AuditError;
use crate::leaf::{Hash, LEAF_BYTES_MAX, Log, leaf_hash};
use crate::log::AuditLog;
use crate::pin::hex;
use crate::proof::TlogProof;
use crate::retired::tile_hashes;
use crate::signed::SignedCheckpoint;
use crate::tile::{TILE_WIDTH, Tile, TilePath};
use crate::tree::{ProofPlan, verify_consistency, verify_inclusion};
use crate::tree_error::TreeError;
use crate::tree_rows::{Tiles, first_index};
use crate::walk::{LeafAt, leaves_from};

/// That a log which was once of one size goes on to another: hashes in the order of RFC 6962, section 2.1.2.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Extension {
    /// How many events the log had once.
    pub from: u64,
    /// The root over these.
    pub old_root: [u8; 32],
    /// What hashes lead to.
    pub to: SignedCheckpoint,
    /// The proof. [`verify_consistency`] checks it.
    pub hashes: Vec<[u8; 32]>,
}

impl Serialize for Extension {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = serializer.serialize_struct("Extension", 4)?;
        members.serialize_field("from", &self.from)?;
        members.serialize_field("to", &self.to.size())?;
        members.serialize_field("hashes", &self.hashes.iter().map(hex).collect::<Vec<_>>())?;
        // What it leads to, since the log may have grown since the caller last asked.
        members.serialize_field("note", &self.to.note.to_string())?;
        members.end()
    }
}

impl AuditLog {
    /// The proof that the event at `index` is in the log, against the newest checkpoint; one is signed if the newest
    /// does not reach so far.
    pub async fn prove(&self, log: Log, index: u64) -> Result<TlogProof, AuditError> {
        let signed = self.reaching(log, index.saturating_add(1), index).await?;
        let leaf = match self.leaf(log, index).await {
            Ok(leaf) => leaf_hash(&leaf.leaf),
            // Its hash stays when it leaves, so whoever has the export can still have it proved.
            Err(error @ AuditError::Retired { .. }) => {
                let hash = tile_hashes(&self.0.db.read(), log, index, 1).await?;
                hash.first().copied().ok_or(error)?
            }
            Err(error) => return Err(error),
        };
        let plan = ProofPlan::inclusion(index, signed.size())?;
        let path = self.hashes_of(log, &plan).await?;
        let checked = verify_inclusion(index, signed.size(), &leaf, signed.root(), &path);
        let altered = || AuditError::altered(log, index, "its leaf and the tiles do not lead to the root");
        checked.ok().ok_or_else(altered)?;
        Ok(TlogProof::new(index, path, signed.note)?)
    }

    /// The proof that the newest checkpoint continues the log as it was when it had `from` events.
    pub async fn prove_extends(&self, log: Log, from: u64) -> Result<Extension, AuditError> {
        let to = self.reaching(log, from, from).await?;
        let hashes = self.hashes_of(log, &ProofPlan::consistency(from, to.size())?).await?;
        let root = self.hashes_of(log, &ProofPlan::root(from)?).await?;
        let altered = || AuditError::altered(log, from, "its tiles do not lead to the root that was signed");
        let old_root = root.first().copied().ok_or_else(altered)?;
        let checked = verify_consistency(from, &old_root, to.size(), to.root(), &hashes);
        checked.ok().ok_or_else(altered)?;
        Ok(Extension { from, old_root, to, hashes })
    }

    /// What a path of C2SP tlog-tiles asks for: the hashes of a tile behind each other, or the leaves under it, each
    /// after its length in 16 bits, big-endian.
    ///
    /// What the newest checkpoint does not cover is not there. A tile is given as narrow as it is asked for, though it
    /// is wider by now.
    pub async fn tile(&self, log: Log, path: TilePath) -> Result<Vec<u8>, AuditError> {
        let tile = path.tile();
        let signed = self.newest(log).await?.map_or(0, |signed| signed.size());
        let there = Tile::in_tree(tile.level(), tile.index(), signed);
        if there.is_none_or(|there| there.width() < tile.width()) {
            let asked = first_index(&tile);
            return Err(AuditError::NotReached { log: log.as_str(), size: signed, asked });
        }
        if let TilePath::Entries(tile) = path {
            return self.entries_under(log, &tile).await;
        }
        let tiles = Tiles::read(&self.0.db.read(), log, &[tile]).await?;
        let hashes = tiles.get(&tile).and_then(|hashes| hashes.get(..usize::from(tile.width())));
        let hashes = hashes.ok_or(TreeError::TileMissing { tile })?;
        Ok(hashes.concat())
    }

    /// Up to `at_most` leaves from `from` on, whole, as they were hashed.
    ///
    /// # Errors
    ///
    /// A leaf that is missing, or whose hash is another, is an `Integrity` fault; one that was retired is `NotFound`.
    pub async fn leaves(&self, log: Log, from: u64, at_most: u16) -> Result<Vec<LeafAt>, AuditError> {
        let leaves = leaves_from(&self.0.db.read(), log, from, at_most).await?;
        if leaves.first().is_none_or(|first| first.index != from)
            && let Some(retired) = self.retired_error(log, from).await?
        {
            return Err(retired);
        }
        for (wanted, leaf) in (from..).zip(&leaves) {
            if leaf.index != wanted {
                return Err(AuditError::altered(log, wanted, "an event is missing"));
            }
            if leaf_hash(&leaf.leaf) != leaf.hash {
                return Err(AuditError::altered(log, wanted, "the hash is not that of the leaf"));
            }
        }
        Ok(leaves)
    }

    async fn leaf(&self, log: Log, index: u64) -> Result<LeafAt, AuditError> {
        let leaf = self.leaves(log, index, 1).await?.pop();
        leaf.ok_or_else(|| AuditError::altered(log, index, "an event is missing"))
    }

    async fn entries_under(&self, log: Log, tile: &Tile) -> Result<Vec<u8>, AuditError> {
        let from = tile.index().saturating_mul(u64::from(TILE_WIDTH));
        let leaves = self.leaves(log, from, tile.width()).await?;
        if leaves.len() != usize::from(tile.width()) {
            return Err(AuditError::altered(log, from, "events are missing"));
        }
        let mut bundle = Vec::new();
        for leaf in leaves {
            let fits = u16::try_from(leaf.leaf.len()).ok().filter(|_| leaf.leaf.len() <= LEAF_BYTES_MAX);
            bundle.extend(fits.ok_or(AuditError::Leaf)?.to_be_bytes());
            bundle.extend(leaf.leaf);
        }
        Ok(bundle)
    }

    /// The newest checkpoint of `size` events or more. `asked` is what the caller wants of it.
    async fn reaching(&self, log: Log, size: u64, asked: u64) -> Result<SignedCheckpoint, AuditError> {
        if let Some(newest) = self.newest(log).await?.filter(|newest| newest.size() >= size) {
            return Ok(newest);
        }
        let newest = self.checkpoint(log).await?;
        if newest.size() < size {
            return Err(AuditError::NotReached { log: log.as_str(), size: newest.size(), asked });
        }
        Ok(newest)
    }

    async fn hashes_of(&self, log: Log, plan: &ProofPlan) -> Result<Vec<Hash>, AuditError> {
        let tiles = Tiles::read(&self.0.db.read(), log, &plan.tiles()).await?;
        Ok(plan.hashes(|tile| tiles.get(tile))?)
    }
}
