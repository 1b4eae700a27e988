//! Roots and proofs are those of RFC 6962, whatever tiles they come from, and nothing else passes for one.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::HashMap;

use clawexchange_audit::{
    Edge, Frontier, ProofPlan, TREE_SIZE_MAX, Tile, TilePath, TreeError, empty_root, node_hash, root_of,
    verify_consistency, verify_inclusion,
};
use proptest::prelude::*;
use ring::digest::{SHA256, digest};

type Hash = [u8; 32];

fn sha256(bytes: &[u8]) -> Hash {
    digest(&SHA256, bytes).as_ref().try_into().unwrap()
}

/// The leaf hash of an entry that says its index.
fn leaf(index: u64) -> Hash {
    sha256(&[&[0][..], &index.to_be_bytes()].concat())
}

fn leaves(n: u64) -> Vec<Hash> {
    (0..n).map(leaf).collect()
}

/// The definitions of RFC 6962, section 2.1, word by word, with what was computed once kept.
struct Naive {
    leaves: Vec<Hash>,
    known: HashMap<(usize, usize), Hash>,
}

impl Naive {
    fn new(n: u64) -> Self {
        Self { leaves: leaves(n), known: HashMap::new() }
    }

    fn split(n: usize) -> usize {
        (0..32).map(|i| 1 << i).take_while(|k| *k < n).last().unwrap()
    }

    fn root(&mut self, begin: usize, end: usize) -> Hash {
        match end - begin {
            0 => return sha256(&[]),
            1 => return self.leaves[begin],
            _ => {}
        }
        if let Some(hash) = self.known.get(&(begin, end)) {
            return *hash;
        }
        let k = begin + Self::split(end - begin);
        let hash = sha256(&[&[1][..], &self.root(begin, k), &self.root(k, end)].concat());
        self.known.insert((begin, end), hash);
        hash
    }

    fn path(&mut self, m: usize, begin: usize, end: usize) -> Vec<Hash> {
        if end - begin == 1 {
            return Vec::new();
        }
        let k = begin + Self::split(end - begin);
        let (mut path, sibling) = if m < k {
            (self.path(m, begin, k), self.root(k, end))
        } else {
            (self.path(m, k, end), self.root(begin, k))
        };
        path.push(sibling);
        path
    }

    fn subproof(&mut self, m: usize, begin: usize, end: usize, is_whole: bool) -> Vec<Hash> {
        if m == end {
            return if is_whole { Vec::new() } else { vec![self.root(begin, end)] };
        }
        let k = begin + Self::split(end - begin);
        let (mut proof, sibling) = if m <= k {
            (self.subproof(m, begin, k, is_whole), self.root(k, end))
        } else {
            (self.subproof(m, k, end, false), self.root(begin, k))
        };
        proof.push(sibling);
        proof
    }
}

/// A tree as whoever keeps tiles has it: the full ones, and those at the edge.
struct Kept {
    edge: Edge,
    full: HashMap<(u8, u64), Vec<Hash>>,
}

impl Kept {
    fn grown(n: u64) -> Self {
        let mut kept = Self { edge: Edge::new(), full: HashMap::new() };
        for index in 0..n {
            for (tile, hashes) in kept.edge.append(leaf(index)).unwrap() {
                assert!(tile.is_full());
                assert!(
                    kept.full.insert((tile.level(), tile.index()), hashes).is_none(),
                    "{tile} is full once"
                );
            }
        }
        kept
    }

    fn tiles(&self) -> HashMap<(u8, u64), Vec<Hash>> {
        let partials = self.edge.partials().map(|(tile, hashes)| {
            assert_eq!(hashes.len(), usize::from(tile.width()));
            ((tile.level(), tile.index()), hashes.to_vec())
        });
        self.full.clone().into_iter().chain(partials).collect()
    }
}

fn prove(plan: &ProofPlan, tiles: &HashMap<(u8, u64), Vec<Hash>>) -> Vec<Hash> {
    let mut read = std::collections::BTreeSet::new();
    let hashes = plan
        .hashes(|tile| {
            read.insert(*tile);
            tiles.get(&(tile.level(), tile.index())).map(Vec::as_slice)
        })
        .unwrap();
    assert_eq!(read.into_iter().collect::<Vec<_>>(), plan.tiles(), "a plan names what it reads");
    hashes
}

#[test]
fn the_roots_are_those_that_other_logs_compute() {
    // The entries and roots that implementations of RFC 6962 test themselves with.
    let entries: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];
    let roots = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let hashes: Vec<Hash> = entries.iter().map(|entry| sha256(&[&[0][..], entry].concat())).collect();
    for (n, wanted) in roots.iter().enumerate() {
        let root = root_of(&hashes[..n]).iter().fold(String::new(), |hex, b| hex + &format!("{b:02x}"));
        assert_eq!(root, *wanted, "{n} entries");
    }
}

#[test]
fn proofs_of_seven_entries_are_those_that_the_standard_draws() {
    // RFC 6962, section 2.1.3, whose letters these are.
    let [a, b, c, d, e, f, j] = std::array::from_fn(|i| leaf(i as u64));
    let (g, h, i) = (node_hash(&a, &b), node_hash(&c, &d), node_hash(&e, &f));
    let (k, l) = (node_hash(&g, &h), node_hash(&i, &j));
    let tiles = Kept::grown(7).tiles();
    let inclusion = |index| prove(&ProofPlan::inclusion(index, 7).unwrap(), &tiles);
    assert_eq!(inclusion(0), [b, h, l]);
    assert_eq!(inclusion(3), [c, g, l]);
    assert_eq!(inclusion(4), [f, j, k]);
    assert_eq!(inclusion(6), [i, k]);
    let consistency = |old| prove(&ProofPlan::consistency(old, 7).unwrap(), &tiles);
    assert_eq!(consistency(3), [c, d, g, l]);
    assert_eq!(consistency(4), [l]);
    assert_eq!(consistency(6), [i, j, k]);
    assert_eq!(prove(&ProofPlan::root(7).unwrap(), &tiles), [node_hash(&k, &l)]);
}

#[test]
fn every_inclusion_up_to_300_is_proven_as_the_standard_defines() {
    let (mut naive, mut frontier) = (Naive::new(300), Frontier::new());
    for size in 1..=300_u64 {
        frontier.append(leaf(size - 1)).unwrap();
        let n = usize::try_from(size).unwrap();
        let root = naive.root(0, n);
        assert_eq!(frontier.root(), root, "frontier of {size}");
        assert_eq!(Frontier::from_parts(size, frontier.hashes().to_vec()).unwrap(), frontier);
        let kept = Kept::grown(size);
        assert_eq!(kept.edge.frontier(), frontier);
        let tiles = kept.tiles();
        for index in 0..size {
            let plan = ProofPlan::inclusion(index, size).unwrap();
            assert!(plan.tiles().len() <= 3);
            let proof = prove(&plan, &tiles);
            assert_eq!(proof, naive.path(usize::try_from(index).unwrap(), 0, n), "{index} in {size}");
            verify_inclusion(index, size, &leaf(index), &root, &proof).unwrap();
        }
    }
}

#[test]
fn every_pair_up_to_300_is_proven_consistent_as_the_standard_defines() {
    let mut naive = Naive::new(300);
    let mut roots = vec![empty_root()];
    for size in 1..=300_u64 {
        let n = usize::try_from(size).unwrap();
        let root = naive.root(0, n);
        roots.push(root);
        let tiles = Kept::grown(size).tiles();
        for old in 0..=size {
            let proof = prove(&ProofPlan::consistency(old, size).unwrap(), &tiles);
            let m = usize::try_from(old).unwrap();
            let wanted = if old == 0 { Vec::new() } else { naive.subproof(m, 0, n, true) };
            assert_eq!(proof, wanted, "{old} in {size}");
            verify_consistency(old, &roots[m], size, &root, &proof).unwrap();
        }
    }
}

#[test]
fn a_tree_of_three_levels_grows_on_from_its_tiles() {
    // One more than two levels of full tiles, and a few.
    let size = 256 * 256 + 256 + 3;
    let kept = Kept::grown(size);
    let tiles = kept.tiles();
    let root = kept.edge.frontier().root();
    assert_eq!(root, root_of(&leaves(size)));
    for tile in tiles.keys().map(|(level, index)| Tile::in_tree(*level, *index, size).unwrap()) {
        assert_eq!(tiles[&(tile.level(), tile.index())].len(), usize::from(tile.width()));
    }
    assert_eq!(
        Edge::tiles(size).iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["tile/0/257.p/3", "tile/1/001.p/1", "tile/2/000.p/1"]
    );
    for earlier in [0, 1, 255, 256, 257, 65_535, 65_536, 65_537, size] {
        let read = |tile: &Tile| tiles.get(&(tile.level(), tile.index())).map(Vec::as_slice);
        let mut edge = Edge::from_tiles(earlier, read).unwrap();
        assert_eq!(edge, Kept::grown(earlier).edge, "{earlier}");
        for index in earlier..size {
            for (tile, hashes) in edge.append(leaf(index)).unwrap() {
                assert_eq!(kept.full[&(tile.level(), tile.index())], hashes);
            }
        }
        assert_eq!(edge, kept.edge);

        let proof = prove(&ProofPlan::consistency(earlier, size).unwrap(), &tiles);
        let old_root = prove(&ProofPlan::root(earlier).unwrap(), &tiles)[0];
        verify_consistency(earlier, &old_root, size, &root, &proof).unwrap();
    }
    for index in [0, 255, 256, 65_535, 65_536, size - 1] {
        let proof = prove(&ProofPlan::inclusion(index, size).unwrap(), &tiles);
        verify_inclusion(index, size, &leaf(index), &root, &proof).unwrap();
    }
}

#[test]
fn a_missing_or_short_tile_is_an_error_and_not_a_wrong_proof() {
    let tiles = Kept::grown(300).tiles();
    let plan = ProofPlan::inclusion(299, 300).unwrap();
    for cut in plan.tiles() {
        let read = |tile: &Tile| (*tile != cut).then(|| tiles[&(tile.level(), tile.index())].as_slice());
        assert_eq!(plan.hashes(read), Err(TreeError::TileMissing { tile: cut }));
        let shorter = |tile: &Tile| {
            let hashes = &tiles[&(tile.level(), tile.index())];
            Some(if *tile == cut { &hashes[..0] } else { hashes.as_slice() })
        };
        assert_eq!(plan.hashes(shorter), Err(TreeError::TileMissing { tile: cut }));
    }
    assert_eq!(
        Edge::from_tiles(300, |_| None),
        Err(TreeError::TileMissing { tile: Tile::new(0, 1, 44).unwrap() })
    );
    assert!(Frontier::from_parts(3, vec![[0; 32]]).is_err());
    assert!(Frontier::from_parts(TREE_SIZE_MAX + 1, vec![[0; 32]]).is_err());
}

#[test]
fn what_no_tree_has_is_refused_before_anything_is_read() {
    assert!(ProofPlan::inclusion(5, 5).is_err());
    assert!(ProofPlan::inclusion(0, 0).is_err());
    assert!(ProofPlan::consistency(6, 5).is_err());
    assert!(ProofPlan::root(TREE_SIZE_MAX + 1).is_err());
    assert!(ProofPlan::inclusion(0, u64::MAX).is_err());
    assert!(verify_inclusion(5, 5, &leaf(0), &leaf(0), &[]).is_err());
    assert!(verify_inclusion(0, u64::MAX, &leaf(0), &leaf(0), &[]).is_err());
    assert!(verify_consistency(6, &leaf(0), 5, &leaf(0), &[]).is_err());
    assert!(verify_consistency(0, &leaf(0), 5, &leaf(1), &[]).is_err(), "an empty tree has one root");
    assert!(verify_consistency(5, &leaf(0), 5, &leaf(1), &[]).is_err());
    assert!(verify_consistency(5, &leaf(0), 5, &leaf(0), &[leaf(1)]).is_err());
    assert!(verify_consistency(3, &leaf(0), 5, &leaf(1), &[]).is_err());
    // The largest trees are planned in a moment and with few tiles.
    let plan = ProofPlan::inclusion(TREE_SIZE_MAX / 3, TREE_SIZE_MAX).unwrap();
    assert!(plan.tiles().len() <= 16, "{}", plan.tiles().len());
    assert!(plan.hashes(|_| None).is_err());
    assert!(ProofPlan::consistency(TREE_SIZE_MAX / 3, TREE_SIZE_MAX).unwrap().tiles().len() <= 16);
    assert_eq!(Edge::tiles(TREE_SIZE_MAX).len(), 8);
}

#[test]
fn a_path_of_a_tile_has_one_spelling() {
    for (path, level, index, width) in [
        ("tile/0/000", 0, 0, 256),
        ("tile/0/999.p/1", 0, 999, 1),
        ("tile/3/x001/234", 3, 1234, 256),
        ("tile/0/x001/x234/067.p/255", 0, 1_234_067, 255),
        ("tile/1/x001/000", 1, 1000, 256),
    ] {
        let tile = Tile::new(level, index, width).unwrap();
        assert_eq!(path.parse(), Ok(TilePath::Hashes(tile)));
        assert_eq!(tile.to_string(), path);
    }
    let bundle = "tile/entries/x001/234.p/7";
    assert_eq!(bundle.parse(), Ok(TilePath::Entries(Tile::new(0, 1234, 7).unwrap())));
    assert_eq!(TilePath::Entries(Tile::new(0, 1234, 7).unwrap()).to_string(), bundle);
    for path in [
        "",
        "tile",
        "tile/",
        "tile/0",
        "tile/0/",
        "/tile/0/000",
        "tile/0/000/",
        "tile/0/0",
        "tile/0/0000",
        "tile/0/1000",
        "tile/0/x000/001",
        "tile/0/x001",
        "tile/0/001/234",
        "tile/0/x001/x234",
        "tile/0/xx01/234",
        "tile/0/+01",
        "tile/0/-01",
        "tile/0/ 01",
        "tile/0/0a1",
        "tile/0/../000",
        "tile/0/000.p",
        "tile/0/000.p/",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/257",
        "tile/0/000.p/01",
        "tile/0/000.p/+1",
        "tile/0/000.p/1.p/1",
        "tile/0/000.p/1/",
        "tile/00/000",
        "tile/+0/000",
        "tile/-1/000",
        "tile/7/000",
        "tile/8/000.p/1",
        "tile/63/000.p/1",
        "tile/256/000.p/1",
        "tile/entries",
        "tile/entries/",
        "tile/Entries/000",
        "tile/entries/0/000",
        "tile/0/x999/x999/x999/x999/x999/x999/999",
        "tile/0/x018/x446/x744/x073/x709/x551/616",
        "tile/0/٠٠٠",
    ] {
        assert!(path.parse::<TilePath>().is_err(), "{path:?}");
    }
    assert!("tile/7/000.p/127".parse::<TilePath>().is_ok(), "the largest tree has these");
    assert!("tile/0/".repeat(1 << 16).parse::<TilePath>().is_err());
    assert!(Tile::new(0, 0, 0).is_err());
    assert!(Tile::new(0, 0, 257).is_err());
    assert!(Tile::new(0, u64::MAX, 1).is_err());
    assert_eq!(Tile::in_tree(0, 0, 0), None);
    assert_eq!(Tile::in_tree(1, 0, 255), None);
    assert_eq!(Tile::in_tree(200, 0, TREE_SIZE_MAX), None);
}

#[test]
fn the_tiles_of_70000_entries_are_those_of_the_standard() {
    let size = 70_000;
    let width = |level, index| Tile::in_tree(level, index, size).map(|tile| tile.width());
    assert_eq!([width(0, 272), width(0, 273), width(0, 274)], [Some(256), Some(112), None]);
    assert_eq!([width(1, 0), width(1, 1), width(1, 2)], [Some(256), Some(17), None]);
    assert_eq!([width(2, 0), width(2, 1), width(3, 0)], [Some(1), None, None]);
}

#[test]
fn the_bytes_of_a_tile_are_its_hashes_and_nothing_else() {
    let tile = Tile::new(0, 0, 3).unwrap();
    let hashes = leaves(3);
    assert_eq!(tile.hashes(hashes.as_flattened()).unwrap(), hashes);
    assert!(tile.hashes(&hashes.as_flattened()[..95]).is_err());
    assert!(tile.hashes(&[hashes.as_flattened(), &[0]].concat()).is_err());
    assert!(tile.hashes(leaves(4).as_flattened()).is_err());
    assert!(tile.hashes(leaves(2).as_flattened()).is_err());
    assert!(tile.hashes(&[]).is_err());
}

proptest! {
    #[test]
    fn a_bent_inclusion_proof_leads_nowhere(
        size in 1..600_u64,
        index in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
        bit in 0..256_usize,
    ) {
        let index = index.index(usize::try_from(size).unwrap()) as u64;
        let kept = Kept::grown(size);
        let (root, tiles) = (kept.edge.frontier().root(), kept.tiles());
        let proof = prove(&ProofPlan::inclusion(index, size).unwrap(), &tiles);
        let verify = |index, size, leaf: &Hash, root: &Hash, proof: &[Hash]| {
            verify_inclusion(index, size, leaf, root, proof).is_ok()
        };
        prop_assert!(verify(index, size, &leaf(index), &root, &proof));
        let bend = |hash: &mut Hash| hash[bit / 8] ^= 1 << (bit % 8);
        let (mut other_leaf, mut other_root) = (leaf(index), root);
        bend(&mut other_leaf);
        bend(&mut other_root);
        prop_assert!(!verify(index, size, &other_leaf, &root, &proof));
        prop_assert!(!verify(index, size, &leaf(index), &other_root, &proof));
        let longer = [&proof[..], &[leaf(0)]].concat();
        prop_assert!(!verify(index, size, &leaf(index), &root, &longer));
        for other in (0..size).filter(|other| *other != index) {
            prop_assert!(!verify(other, size, &leaf(index), &root, &proof));
        }
        if !proof.is_empty() {
            let mut bent = proof.clone();
            bend(&mut bent[place.index(proof.len())]);
            prop_assert!(!verify(index, size, &leaf(index), &root, &bent));
            prop_assert!(!verify(index, size, &leaf(index), &root, &proof[1..]));
            prop_assert!(!verify(index, size, &leaf(index), &root, &proof[..proof.len() - 1]));
        }
    }

    #[test]
    fn a_bent_consistency_proof_leads_nowhere(
        size in 2..600_u64,
        old in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
        bit in 0..256_usize,
    ) {
        let old = 1 + old.index(usize::try_from(size - 1).unwrap()) as u64;
        let kept = Kept::grown(size);
        let (root, tiles) = (kept.edge.frontier().root(), kept.tiles());
        let old_root = prove(&ProofPlan::root(old).unwrap(), &tiles)[0];
        let proof = prove(&ProofPlan::consistency(old, size).unwrap(), &tiles);
        let verify = |old, old_root: &Hash, root: &Hash, proof: &[Hash]| {
            verify_consistency(old, old_root, size, root, proof).is_ok()
        };
        prop_assert!(verify(old, &old_root, &root, &proof));
        let bend = |hash: &mut Hash| hash[bit / 8] ^= 1 << (bit % 8);
        let (mut other_old, mut other_root, mut bent) = (old_root, root, proof.clone());
        bend(&mut other_old);
        bend(&mut other_root);
        bend(&mut bent[place.index(proof.len())]);
        prop_assert!(!verify(old, &other_old, &root, &proof));
        prop_assert!(!verify(old, &old_root, &other_root, &proof));
        prop_assert!(!verify(old, &old_root, &root, &bent));
        prop_assert!(!verify(old, &old_root, &root, &proof[1..]));
        prop_assert!(!verify(old, &old_root, &root, &proof[..proof.len() - 1]));
        prop_assert!(!verify(old, &old_root, &root, &[&proof[..], &[leaf(0)]].concat()));
        for other in (0..size).filter(|other| *other != old) {
            prop_assert!(!verify(other, &old_root, &root, &proof));
        }
    }

    #[test]
    fn no_path_is_read_that_is_not_printed_so(path in "tile/([0-9]{1,3}|entries)/(x?[0-9]{1,4}/){0,3}[0-9]{1,4}(\\.p/[0-9]{0,3})?") {
        if let Ok(parsed) = path.parse::<TilePath>() {
            prop_assert_eq!(parsed.to_string(), path);
        }
    }

    #[test]
    fn any_text_as_a_path_is_an_answer(path in ".{0,80}") {
        if let Ok(parsed) = path.parse::<TilePath>() {
            prop_assert_eq!(parsed.to_string(), path);
        }
    }
}
