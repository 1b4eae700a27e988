//! The tree in pieces that never change once they are full: the tiles of C2SP tlog-tiles. Pure.
//!
//! A tile holds up to 256 hashes that stand beside each other. At level 0 these are leaf hashes; each hash of a level
//! above is the root of a full tile below. So whoever keeps or caches tiles can make every proof.

use std::fmt;
use std::str::FromStr;

use crate::leaf::Hash;
use crate::tree::{Frontier, TREE_SIZE_MAX, root_of};
use crate::tree_error::TreeError;

/// The most hashes of a tile.
pub const TILE_WIDTH: u16 = 256;

/// How many levels of the tree a tile spans.
pub(crate) const TILE_HEIGHT: u32 = 8;

/// The highest level that has a tile: a hash of the next one would stand over more entries than a tree can have.
const LEVEL_MAX: u8 = 7;

/// The longest path is `tile/entries/x036/x028/x797/x018/x963/967.p/254`; what is longer is none and need not be read.
const PATH_BYTES_MAX: usize = 64;

/// Which tile: its level, its place there, and how many hashes it has.
///
/// Only tiles that a tree can have exist as values. As text it is its path, such as `tile/0/x001/234` or, with fewer
/// than 256 hashes, `tile/1/000.p/17`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Tile {
    level: u8,
    index: u64,
    width: u16,
}

impl Tile {
    /// The tile at `index` of `level` with `width` hashes, 256 if it is full.
    pub fn new(level: u8, index: u64, width: u16) -> Result<Self, TreeError> {
        let hashes = u128::from(index) * u128::from(TILE_WIDTH) + u128::from(width);
        if level > LEVEL_MAX
            || !(1..=TILE_WIDTH).contains(&width)
            || hashes << (TILE_HEIGHT * u32::from(level)) > u128::from(TREE_SIZE_MAX)
        {
            return Err(malformed("no tree has such a tile"));
        }
        Ok(Self { level, index, width })
    }

    /// The tile at `index` of `level` as wide as a tree of `size` entries has it; none if it has none there.
    pub fn in_tree(level: u8, index: u64, size: u64) -> Option<Self> {
        let hashes = size.checked_shr(TILE_HEIGHT * u32::from(level))?;
        let before = index.checked_mul(u64::from(TILE_WIDTH))?;
        let width = hashes.checked_sub(before)?.min(u64::from(TILE_WIDTH));
        Self::new(level, index, u16::try_from(width).ok()?).ok()
    }

    /// 0 for leaf hashes.
    pub const fn level(&self) -> u8 {
        self.level
    }

    /// Its place in its level, from 0.
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// How many hashes it has.
    pub const fn width(&self) -> u16 {
        self.width
    }

    /// Whether it has all its 256 hashes, and so will never change.
    pub const fn is_full(&self) -> bool {
        self.width == TILE_WIDTH
    }

    /// The hashes in the bytes of this tile. The bytes are the hashes behind each other, and nothing else.
    pub fn hashes(&self, bytes: &[u8]) -> Result<Vec<Hash>, TreeError> {
        let (hashes, rest) = bytes.as_chunks();
        if hashes.len() != usize::from(self.width) || !rest.is_empty() {
            return Err(TreeError::HashCount { what: "a tile" });
        }
        Ok(hashes.to_vec())
    }
}

impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        TilePath::Hashes(*self).fmt(f)
    }
}

/// What the path of a tile asks for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum TilePath {
    /// The hashes of the tile: `tile/<level>/<index>[.p/<width>]`.
    Hashes(Tile),
    /// The entries under this tile of level 0: `tile/entries/<index>[.p/<width>]`.
    Entries(Tile),
}

impl TilePath {
    /// The tile that it asks for, or whose leaves.
    pub const fn tile(&self) -> Tile {
        match self {
            Self::Hashes(tile) | Self::Entries(tile) => *tile,
        }
    }

    /// Whether it is full, so that what it asks for will never change.
    pub const fn is_full(&self) -> bool {
        self.tile().is_full()
    }
}

impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tile = match self {
            Self::Hashes(tile) => {
                write!(f, "tile/{}/", tile.level)?;
                tile
            }
            Self::Entries(tile) => {
                f.write_str("tile/entries/")?;
                tile
            }
        };
        // Three digits in each part, so that no folder has more than a thousand files, and an x before each part but
        // the last, so that no file is called as a folder is.
        let mut parts = vec![tile.index % 1000];
        let mut rest = tile.index / 1000;
        while rest > 0 {
            parts.push(rest % 1000);
            rest /= 1000;
        }
        while let Some(part) = parts.pop() {
            if parts.is_empty() {
                write!(f, "{part:03}")?;
            } else {
                write!(f, "x{part:03}/")?;
            }
        }
        if tile.is_full() { Ok(()) } else { write!(f, ".p/{}", tile.width) }
    }
}

impl FromStr for TilePath {
    type Err = TreeError;

    /// Takes what [`Display`](fmt::Display) prints and nothing else: a path has one spelling.
    fn from_str(text: &str) -> Result<Self, TreeError> {
        let path =
            parse(text).ok_or(malformed("it must read tile/<level or entries>/<index>[.p/<width>]"))?;
        // Leading zeroes, signs, parts of zero and a stated width of 256 all print differently.
        if path.to_string() != text {
            return Err(malformed("its numbers are not written as they must be"));
        }
        Ok(path)
    }
}

fn parse(text: &str) -> Option<TilePath> {
    if text.len() > PATH_BYTES_MAX {
        return None;
    }
    let (level, place) = text.strip_prefix("tile/")?.split_once('/')?;
    let (index, width) = match place.split_once(".p/") {
        Some((index, width)) => (index, width.parse().ok()?),
        None => (place, TILE_WIDTH),
    };
    let index = index.split('/').try_fold(0_u64, |index, part| {
        let part: u64 = part.strip_prefix('x').unwrap_or(part).parse().ok()?;
        index.checked_mul(1000)?.checked_add(part)
    })?;
    if level == "entries" {
        return Tile::new(0, index, width).ok().map(TilePath::Entries);
    }
    Tile::new(level.parse().ok()?, index, width).ok().map(TilePath::Hashes)
}

const fn malformed(why: &'static str) -> TreeError {
    TreeError::Malformed { what: "the path of a tile", why }
}

/// The tiles at the right edge of a tree that are not full yet: from these it grows, tile by tile.
///
/// Whoever keeps tiles writes each that [`append`](Self::append) gives, once, and at each checkpoint those that
/// [`partials`](Self::partials) gives.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Edge {
    size: u64,
    /// Of each level, the hashes since its last full tile: fewer than 256.
    levels: Vec<Vec<Hash>>,
}

impl Edge {
    /// That of a tree without entries.
    pub const fn new() -> Self {
        Self { size: 0, levels: Vec::new() }
    }

    /// Which tiles [`from_tiles`](Self::from_tiles) needs for a tree of `size` entries, lowest first.
    pub fn tiles(size: u64) -> Vec<Tile> {
        (0..=LEVEL_MAX).filter_map(|level| edge_tile(level, size)).collect()
    }

    /// Takes up the edge of a tree of `size` entries. `tile` gives the hashes of a tile; a wider one serves as well.
    ///
    /// The tiles are believed: compare the root with what was signed before going on.
    pub fn from_tiles<'t>(
        size: u64,
        mut tile: impl FnMut(&Tile) -> Option<&'t [Hash]>,
    ) -> Result<Self, TreeError> {
        if size > TREE_SIZE_MAX {
            return Err(TreeError::OutOfRange { asked: size, size: TREE_SIZE_MAX });
        }
        let mut edge = Self { size, levels: Vec::new() };
        for level in 0..=LEVEL_MAX {
            let Some(place) = edge_tile(level, size) else {
                edge.levels.push(Vec::new());
                continue;
            };
            let hashes = tile(&place).and_then(|hashes| hashes.get(..usize::from(place.width)));
            edge.levels.push(hashes.ok_or(TreeError::TileMissing { tile: place })?.to_vec());
        }
        // As a tree that grew here has it, so that two edges of one tree are equal.
        while edge.levels.len() > levels_of(size) {
            edge.levels.pop();
        }
        Ok(edge)
    }

    /// How many entries the tree has.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Appends an entry by the hash of its leaf. Gives the tiles that became full by it, lowest first.
    pub fn append(&mut self, leaf_hash: Hash) -> Result<Vec<(Tile, Vec<Hash>)>, TreeError> {
        self.append_with(leaf_hash, &[])
    }

    /// As [`append`](Self::append), for who has the roots of the tiles that become full, lowest level first.
    pub(crate) fn append_with(
        &mut self,
        leaf_hash: Hash,
        roots: &[Hash],
    ) -> Result<Vec<(Tile, Vec<Hash>)>, TreeError> {
        if self.size >= TREE_SIZE_MAX {
            return Err(TreeError::OutOfRange { asked: self.size, size: TREE_SIZE_MAX });
        }
        self.size += 1;
        let (mut full, mut hash) = (Vec::new(), leaf_hash);
        for level in 0..=LEVEL_MAX {
            if self.levels.len() <= usize::from(level) {
                self.levels.push(Vec::new());
            }
            let Some(hashes) = self.levels.get_mut(usize::from(level)) else { break };
            hashes.push(hash);
            if hashes.len() < usize::from(TILE_WIDTH) {
                break;
            }
            let hashes = std::mem::take(hashes);
            hash = roots.get(usize::from(level)).copied().unwrap_or_else(|| root_of(&hashes));
            let index = (self.size >> (TILE_HEIGHT * (u32::from(level) + 1))) - 1;
            full.push((Tile::new(level, index, TILE_WIDTH)?, hashes));
        }
        Ok(full)
    }

    /// The tiles that are not full, lowest first, with their hashes.
    pub fn partials(&self) -> impl Iterator<Item = (Tile, &[Hash])> {
        (0..=LEVEL_MAX)
            .zip(&self.levels)
            .filter_map(|(level, hashes)| Some((edge_tile(level, self.size)?, hashes.as_slice())))
    }

    /// The complete subtrees of the tree, and so its root.
    pub fn frontier(&self) -> Frontier {
        Frontier::of_levels(self.size, self.levels.iter().rev().map(Vec::as_slice))
    }
}

/// The tile of a level that is not full in a tree of `size` entries.
fn edge_tile(level: u8, size: u64) -> Option<Tile> {
    let hashes = size.checked_shr(TILE_HEIGHT * u32::from(level))?;
    Tile::in_tree(level, hashes / u64::from(TILE_WIDTH), size)
}

/// How many levels have a hash in a tree of `size` entries.
fn levels_of(size: u64) -> usize {
    size.checked_ilog2().map_or(0, |height| (height / TILE_HEIGHT) as usize + 1)
}
