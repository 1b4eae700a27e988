//! The Merkle tree over the hashes of the leaves: roots, proofs, and the check of proofs. Pure.
//!
//! Hashes and proofs are those of RFC 6962, section 2.1; the checks follow RFC 9162, sections 2.1.3 and 2.1.4. What a
//! proof is made of comes out of tiles (`tile.rs`), so a proof never reads the leaves again.

use std::collections::BTreeSet;
use std::ops::Range;

use ring::digest;

use crate::leaf::Hash;
use crate::tile::{TILE_HEIGHT, TILE_WIDTH, Tile};
use crate::tree_error::TreeError;

/// The most entries of a tree: the tables keep sizes as signed numbers of 64 bits.
pub const TREE_SIZE_MAX: u64 = u64::MAX >> 1;

/// The root of a tree without entries: SHA-256 of nothing.
pub fn empty_root() -> Hash {
    sha256(&[])
}

/// The hash of a node: SHA-256(0x01 ‖ left ‖ right).
///
/// The byte in front differs from that of leaves, so that no node can pass for a leaf.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    // One call over one buffer: a check of the whole log does this once an entry.
    let mut node = [0x01; 65];
    let (_, hashes) = node.split_at_mut(1);
    let (to_left, to_right) = hashes.split_at_mut(left.len());
    to_left.copy_from_slice(left);
    to_right.copy_from_slice(right);
    sha256(&[&node])
}

/// The root of the tree over some leaf hashes.
pub fn root_of(leaf_hashes: &[Hash]) -> Hash {
    Frontier::of(leaf_hashes).root()
}

/// The complete subtrees that make up a tree, largest first: at most 63 hashes from which it grows and gives its root.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Frontier {
    size: u64,
    hashes: Vec<Hash>,
}

impl Frontier {
    /// That of a tree without entries.
    pub const fn new() -> Self {
        Self { size: 0, hashes: Vec::new() }
    }

    /// Takes up what [`size`](Self::size) and [`hashes`](Self::hashes) gave.
    ///
    /// Only the count can be checked here; whether the hashes are right, the root says.
    pub fn from_parts(size: u64, hashes: Vec<Hash>) -> Result<Self, TreeError> {
        if size > TREE_SIZE_MAX {
            return Err(TreeError::OutOfRange { asked: size, size: TREE_SIZE_MAX });
        }
        if hashes.len() as u64 != u64::from(size.count_ones()) {
            return Err(TreeError::HashCount { what: "the frontier" });
        }
        Ok(Self { size, hashes })
    }

    /// How many entries the tree has.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The roots of its complete subtrees, largest first: one for each bit that is set in the size.
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    /// Appends an entry by the hash of its leaf.
    pub fn append(&mut self, leaf_hash: Hash) -> Result<(), TreeError> {
        self.append_telling(leaf_hash).map(drop)
    }

    /// As [`append`](Self::append). Gives the roots of the full tiles that end with this entry, lowest level first, which
    /// are made on the way.
    pub(crate) fn append_telling(&mut self, leaf_hash: Hash) -> Result<Vec<Hash>, TreeError> {
        if self.size >= TREE_SIZE_MAX {
            return Err(TreeError::OutOfRange { asked: self.size, size: TREE_SIZE_MAX });
        }
        Ok(self.push(leaf_hash))
    }

    /// The root.
    pub fn root(&self) -> Hash {
        self.hashes
            .iter()
            .rev()
            .copied()
            .reduce(|right, left| node_hash(&left, &right))
            .unwrap_or_else(empty_root)
    }

    /// That of a tree whose tiles end in these hashes, highest level first.
    pub(crate) fn of_levels<'t>(size: u64, levels: impl Iterator<Item = &'t [Hash]>) -> Self {
        Self { size, hashes: levels.flat_map(|level| Self::of(level).hashes).collect() }
    }

    fn of(leaf_hashes: &[Hash]) -> Self {
        let mut frontier = Self::new();
        for hash in leaf_hashes {
            frontier.push(*hash);
        }
        frontier
    }

    fn push(&mut self, leaf_hash: Hash) -> Vec<Hash> {
        self.size = self.size.saturating_add(1);
        let (mut right, mut tiles) = (leaf_hash, Vec::new());
        // Each zero at the end of the new size is a pair that has become complete.
        for height in 1..=self.size.trailing_zeros() {
            if let Some(left) = self.hashes.pop() {
                right = node_hash(&left, &right);
            }
            if height % TILE_HEIGHT == 0 {
                tiles.push(right);
            }
        }
        self.hashes.push(right);
        tiles
    }
}

/// What a proof is made of, before it is read: which tiles, and then which hashes.
///
/// Tiles are read by whoever keeps them, asynchronously or from files; so this first says which it needs
/// ([`tiles`](Self::tiles)) and then takes them from wherever they were put ([`hashes`](Self::hashes)).
///
/// Tiles are believed. Whoever did not check them against the root checks the proof:
///
/// ```
/// use std::collections::HashMap;
///
/// use clawexchange_audit::{Edge, ProofPlan, Tile, verify_inclusion};
///
/// # fn main() -> Result<(), clawexchange_audit::TreeError> {
/// let mut edge = Edge::new();
/// for n in 0..5 {
///     edge.append([n; 32])?;
/// }
/// let tiles: HashMap<Tile, Vec<[u8; 32]>> = edge.partials().map(|(tile, hashes)| (tile, hashes.to_vec())).collect();
///
/// let plan = ProofPlan::inclusion(3, 5)?;
/// assert_eq!(plan.tiles().len(), 1);
/// let proof = plan.hashes(|tile| tiles.get(tile).map(Vec::as_slice))?;
/// verify_inclusion(3, 5, &[3; 32], &edge.frontier().root(), &proof)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProofPlan {
    size: u64,
    /// Of each hash, the entries that it stands over.
    ranges: Vec<Range<u64>>,
}

impl ProofPlan {
    /// That the entry at `index` is in the tree of `size` entries: the siblings on the way from its leaf to the root.
    pub fn inclusion(index: u64, size: u64) -> Result<Self, TreeError> {
        check_size(size)?;
        if index >= size {
            return Err(TreeError::OutOfRange { asked: index, size });
        }
        let (mut begin, mut end, mut ranges) = (0, size, Vec::new());
        while end - begin > 1 {
            let split = begin + split_of(end - begin);
            if index < split {
                ranges.push(split..end);
                end = split;
            } else {
                ranges.push(begin..split);
                begin = split;
            }
        }
        ranges.reverse();
        Ok(Self { size, ranges })
    }

    /// That the tree of `new` entries begins with that of `old` entries.
    ///
    /// Nothing has to be shown if they are equal or the old one is empty: the proof is then empty.
    pub fn consistency(old: u64, new: u64) -> Result<Self, TreeError> {
        check_size(new)?;
        if old > new {
            return Err(TreeError::OutOfRange { asked: old, size: new });
        }
        let (mut begin, mut end, mut ranges) = (0, new, Vec::new());
        if old == 0 {
            return Ok(Self { size: new, ranges });
        }
        while old != end {
            let split = begin + split_of(end - begin);
            if old <= split {
                ranges.push(split..end);
                end = split;
            } else {
                ranges.push(begin..split);
                begin = split;
            }
        }
        // The old tree itself need not be told: its root is known to who checks.
        if begin != 0 {
            ranges.push(begin..end);
        }
        ranges.reverse();
        Ok(Self { size: new, ranges })
    }

    /// The root of the tree of `size` entries, as the only hash.
    pub fn root(size: u64) -> Result<Self, TreeError> {
        check_size(size)?;
        Ok(Self { size, ranges: std::iter::once(0..size).collect() })
    }

    /// The tiles that must be read, each once, as wide as the tree has them. A wider tile serves as well.
    pub fn tiles(&self) -> Vec<Tile> {
        let nodes = self.ranges.iter().flat_map(nodes_of);
        let tiles: BTreeSet<Tile> = nodes.filter_map(|node| Some(node.place(self.size)?.0)).collect();
        tiles.into_iter().collect()
    }

    /// The hashes of the proof, in the order of RFC 6962. `tile` gives the hashes of a tile.
    pub fn hashes<'t>(
        &self,
        mut tile: impl FnMut(&Tile) -> Option<&'t [Hash]>,
    ) -> Result<Vec<Hash>, TreeError> {
        let mut proof = Vec::with_capacity(self.ranges.len());
        for range in &self.ranges {
            let mut roots = Vec::new();
            for node in nodes_of(range) {
                let Some((place, part)) = node.place(self.size) else {
                    return Err(TreeError::OutOfRange { asked: range.end, size: self.size });
                };
                let hashes = tile(&place).and_then(|hashes| hashes.get(part));
                roots.push(root_of(hashes.ok_or(TreeError::TileMissing { tile: place })?));
            }
            let root = roots.into_iter().rev().reduce(|right, left| node_hash(&left, &right));
            proof.push(root.unwrap_or_else(empty_root));
        }
        Ok(proof)
    }
}

/// Checks that the entry with this leaf hash is at `index` in the tree of `size` entries with this root.
pub fn verify_inclusion(
    index: u64,
    size: u64,
    leaf_hash: &Hash,
    root: &Hash,
    proof: &[Hash],
) -> Result<(), TreeError> {
    check_size(size)?;
    if index >= size {
        return Err(TreeError::OutOfRange { asked: index, size });
    }
    let (mut node, mut last, mut hash) = (index, size - 1, *leaf_hash);
    for sibling in proof {
        if last == 0 {
            return Err(TreeError::Unproven);
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            rise_to_sibling(&mut node, &mut last);
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    if last == 0 && hash == *root { Ok(()) } else { Err(TreeError::Unproven) }
}

/// Checks that the tree of `new` entries with the root `new_root` begins with that of `old` entries and `old_root`.
pub fn verify_consistency(
    old: u64,
    old_root: &Hash,
    new: u64,
    new_root: &Hash,
    proof: &[Hash],
) -> Result<(), TreeError> {
    check_size(new)?;
    if old > new {
        return Err(TreeError::OutOfRange { asked: old, size: new });
    }
    if old == 0 || old == new {
        let known = if old == new { *new_root } else { empty_root() };
        return if proof.is_empty() && *old_root == known { Ok(()) } else { Err(TreeError::Unproven) };
    }
    // A complete old tree is a node of the new one, so its root begins the proof and is not told.
    let mut hashes = old.is_power_of_two().then_some(old_root).into_iter().chain(proof);
    let Some(first) = hashes.next() else { return Err(TreeError::Unproven) };
    let (mut node, mut last) = (old - 1, new - 1);
    while node & 1 == 1 {
        node >>= 1;
        last >>= 1;
    }
    let (mut as_old, mut as_new) = (*first, *first);
    for hash in hashes {
        if last == 0 {
            return Err(TreeError::Unproven);
        }
        if node & 1 == 1 || node == last {
            as_old = node_hash(hash, &as_old);
            as_new = node_hash(hash, &as_new);
            rise_to_sibling(&mut node, &mut last);
        } else {
            as_new = node_hash(&as_new, hash);
        }
        node >>= 1;
        last >>= 1;
    }
    if last == 0 && as_old == *old_root && as_new == *new_root { Ok(()) } else { Err(TreeError::Unproven) }
}

/// SHA-256 over the parts as if they were one.
pub(crate) fn sha256(parts: &[&[u8]]) -> Hash {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(part);
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

/// The last node of a level may stand without a sibling there, and goes up unhashed until it has one on its left.
const fn rise_to_sibling(node: &mut u64, last: &mut u64) {
    while *node & 1 == 0 && *node != 0 {
        *node >>= 1;
        *last >>= 1;
    }
}

const fn check_size(size: u64) -> Result<(), TreeError> {
    if size > TREE_SIZE_MAX {
        return Err(TreeError::OutOfRange { asked: size, size: TREE_SIZE_MAX });
    }
    Ok(())
}

/// The largest power of two below `n`, which is 2 or more: where RFC 6962 splits a tree.
const fn split_of(n: u64) -> u64 {
    1 << (n - 1).ilog2()
}

/// The root of a complete subtree.
#[derive(Clone, Copy)]
struct Node {
    height: u32,
    index: u64,
}

/// The complete subtrees over a range that begins where RFC 6962 splits, largest first.
fn nodes_of(range: &Range<u64>) -> impl Iterator<Item = Node> {
    let (mut at, end) = (range.start, range.end);
    std::iter::from_fn(move || {
        let height = end.checked_sub(at)?.checked_ilog2()?;
        let node = Node { height, index: at >> height };
        at += 1 << height;
        Some(node)
    })
}

impl Node {
    /// The tile below it, in a tree of `size` entries, and which of its hashes it stands over.
    fn place(self, size: u64) -> Option<(Tile, Range<usize>)> {
        let level = u8::try_from(self.height / TILE_HEIGHT).ok()?;
        let within = self.height % TILE_HEIGHT;
        let first = self.index << within;
        let tile = Tile::in_tree(level, first / u64::from(TILE_WIDTH), size)?;
        let begin = usize::try_from(first % u64::from(TILE_WIDTH)).ok()?;
        Some((tile, begin..begin + (1 << within)))
    }
}
