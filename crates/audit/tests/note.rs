//! A signed text says what its signer said, to the last byte, and a proof cannot be bent.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clawexchange_audit::{
    Checkpoint, Edge, NOTE_BYTES_MAX, NOTE_SIGNATURES_MAX, Note, NoteSigner, NoteVerifier, PROOF_BYTES_MAX,
    ProofPlan, Tile, TlogProof, TreeError, empty_root,
};
use clawexchange_ssg_core::DataKey;
use proptest::prelude::*;

const ORIGIN: &str = "local/00000000-0000-4000-8000-000000000000/decisions";

/// Verifier key and proof that another implementation made (Python's cryptography) of the seed of 32 sevens and the
/// entries `entry 0` to `entry 999`.
const VERIFIER: &str = concat!(
    "local/00000000-0000-4000-8000-000000000000/decisions",
    "+3d55a37a+AepKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs"
);
const PROOF: &str = "\
c2sp.org/tlog-proof@v1
index 700
ftN29M4ILreg/hP/uQ+0Ha35H6gC83eWNLg1wTHQIKE=
Qjtou+bPFZBg+Ez0EMOmp4hF+UFDWGrbe1UJ8e9Gaoc=
XdFhFobaNgVYGgNEioms92wKAR+kk59OSs8MwUiA/5I=
zIefs81oSA3lA3k/ScT+1YeSkBfV1NPipry98Ben/hY=
xOvHjlTncfL26WOT7VffqCq/bij47qBMyyBBFNoB368=
aYMbA6EgqS9fn/5sj8Lpc5VQYYq3yvRkqmxWOfRrWqg=
7PXCuV5tIXiOcU0crTYRhlPumQkveFItQ/wYD8y/lAY=
3sMtuNur8EtlIgYOK+9QOKcWCz5aHlG77+ghroOZ7dU=
oA+hI5LVOb8oze41rEJt6z6YjQg78xVxljeEJVH8E1w=
xtuUnnbP1dYUB8c6SBkhJlqwJOphMdAtxrcN79/U+to=

local/00000000-0000-4000-8000-000000000000/decisions
1000
NGxrnLicS3b6ydyyDNqG46AcCldBfBOQKOrNRTj96Vs=

\u{2014} local/00000000-0000-4000-8000-000000000000/decisions PVWjepZFcjIz0Dpbr5SY8IwcCrsSkZ7dFoT48l0wzKUnu2gFKAdQmH2Ls2q4XzOTRE7bMdv/549Dy9BXR5CVC5h0IgM=
";

fn signer(name: &str, seed: u8) -> NoteSigner {
    NoteSigner::new(name, &DataKey::new([seed; 32])).unwrap()
}

fn verifier() -> NoteVerifier {
    VERIFIER.parse().unwrap()
}

fn checkpoint_text() -> &'static str {
    PROOF.split_once("\n\n").unwrap().1
}

#[test]
fn what_another_implementation_made_is_made_here_to_the_byte() {
    let signer = signer(ORIGIN, 7);
    assert_eq!(signer.verifier().to_string(), VERIFIER);
    assert_eq!(*signer.verifier(), verifier());

    let (mut edge, mut tiles) = (Edge::new(), HashMap::new());
    for n in 0..1000 {
        let leaf = [&[0][..], format!("entry {n}").as_bytes()].concat();
        let hash = ring::digest::digest(&ring::digest::SHA256, &leaf).as_ref().try_into().unwrap();
        tiles.extend(edge.append(hash).unwrap());
    }
    tiles.extend(edge.partials().map(|(tile, hashes)| (tile, hashes.to_vec())));
    let checkpoint = Checkpoint::new(ORIGIN, edge.size(), edge.frontier().root()).unwrap();
    let note = checkpoint.sign(&signer).unwrap();
    let path = ProofPlan::inclusion(700, 1000).unwrap();
    let path = path.hashes(|tile: &Tile| tiles.get(tile).map(Vec::as_slice)).unwrap();
    let proof = TlogProof::new(700, path, note).unwrap();
    assert_eq!(proof.to_string(), PROOF);

    let received: TlogProof = PROOF.parse().unwrap();
    assert_eq!(received, proof);
    assert_eq!(received.verify(b"entry 700", &verifier()), Ok(checkpoint));
    assert_eq!(received.verify(b"entry 701", &verifier()), Err(TreeError::Unproven));
}

#[test]
fn the_checkpoint_of_a_public_log_verifies() {
    // Signed by the checksum database of Go modules, whose origin has spaces and is not the name of its key.
    let key: NoteVerifier =
        "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8".parse().unwrap();
    let text = "go.sum database tree\n6476701\nmb8QLQIs0Z0yP5Cstq6guj87oXWeC9gEM8oVikmm9Wk=\n\n\
                \u{2014} sum.golang.org Az3grsLX85Gz+s1SiTbgkuqxgItqFq7gsMUEyVnrsa9LM7Us9S+1xbFIGu95949rj4nPRYfvimWEPWL+o3GeoWwOoAw=\n";
    let note: Note = text.parse().unwrap();
    assert_eq!(note.to_string(), text);
    assert_eq!(note.verify(std::slice::from_ref(&key)).unwrap(), [&key]);
    let checkpoint: Checkpoint = note.text().parse().unwrap();
    assert_eq!((checkpoint.origin(), checkpoint.size()), ("go.sum database tree", 6_476_701));
    assert!(
        matches!(Checkpoint::open(&note, &key), Err(TreeError::Origin { .. })),
        "a log of ours is named as its key is"
    );
}

/// Texts that differ from `text` in one place: each bit of each byte turned, each byte doubled, taken out, replaced by
/// a mark of the format, and the text cut there.
fn mutants(text: &str) -> impl Iterator<Item = String> {
    let bytes = text.as_bytes().to_vec();
    (0..bytes.len())
        .flat_map(move |at| {
            let with = |instead: &[u8]| [&bytes[..at], instead, &bytes[at + 1..]].concat();
            let byte = bytes[at];
            let mut some: Vec<Vec<u8>> = (0..8).map(|bit| with(&[byte ^ (1 << bit)])).collect();
            some.extend([with(&[byte, byte]), with(&[]), bytes[..at].to_vec()]);
            some.extend(b" \n\r=+A0".iter().map(|mark| with(&[*mark])));
            some.retain(|mutant| *mutant != bytes);
            some
        })
        .filter_map(|mutant| String::from_utf8(mutant).ok())
}

#[test]
fn a_note_with_one_byte_changed_is_refused() {
    let (text, key) = (checkpoint_text(), verifier());
    let open = |text: &str| text.parse::<Note>().and_then(|note| Checkpoint::open(&note, &key));
    assert!(open(text).is_ok());
    let mut count = 0;
    for mutant in mutants(text) {
        assert!(open(&mutant).is_err(), "{mutant:?}");
        count += 1;
    }
    assert!(count > 3000, "{count}");
    assert!(open(&format!("{text}\n")).is_err());
    assert!(open(&format!("{text} ")).is_err());
    assert!(open(&format!("\n{text}")).is_err());
}

#[test]
fn a_proof_with_one_byte_changed_is_refused() {
    let key = verifier();
    let verify = |text: &str| text.parse::<TlogProof>().and_then(|proof| proof.verify(b"entry 700", &key));
    assert!(verify(PROOF).is_ok());
    for mutant in mutants(PROOF) {
        assert!(verify(&mutant).is_err(), "{mutant:?}");
    }
    let at = PROOF.find("Qjto").unwrap();
    let (before, after) = PROOF.split_at(at);
    for (bent, why) in [
        (format!("{before}{after}\n"), "something behind it"),
        (format!("{before}{}", &after[45..]), "a hash less"),
        (format!("{before}{}{after}", &after[..45]), "a hash twice"),
        (format!("{before}\n{after}"), "an empty line too many"),
        (PROOF.replace("index 700", "index 0700"), "a zero in front"),
        (PROOF.replace("index 700", "index 9223372036854775807"), "no place in a tree"),
        (PROOF.replace("index 700", "index 18446744073709551616"), "no number"),
        (PROOF.replace("index 700", "extra\nindex 700"), "no space behind the word"),
        (PROOF.replace("index 700", "extra \nindex 700"), "empty extra data"),
        (PROOF.replace("index 700", "extra YQ==\nextra YQ==\nindex 700"), "extra data twice"),
        (PROOF.replace("index 700", "index 700\nextra YQ=="), "extra data behind the index"),
        (PROOF.replace("index 700\n", ""), "no index"),
        (PROOF.replace("@v1", "@v2"), "another version"),
        (PROOF.replace('\n', "\r\n"), "line ends of another system"),
        (format!("{before}{}{after}", after[..45].repeat(64)), "more hashes than any tree has"),
        (PROOF.replace("index", &format!("extra {}\nindex", "A".repeat(1 << 13))), "too much extra data"),
    ] {
        assert!(verify(&bent).is_err(), "{why}");
    }
}

#[test]
fn extra_data_is_kept_and_covered_by_nothing() {
    let text = PROOF.replace("index 700", "extra YQ==\nindex 700");
    let proof: TlogProof = text.parse().unwrap();
    assert_eq!(proof.extra(), Some(&b"a"[..]));
    assert_eq!(proof.to_string(), text);
    assert!(proof.verify(b"entry 700", &verifier()).is_ok());
}

#[test]
fn signatures_by_unknown_keys_are_passed_over_and_bent_ones_by_known_keys_are_not() {
    let (old, new, witness) = (signer(ORIGIN, 7), signer(ORIGIN, 8), signer("witness.example", 9));
    let note = Note::sign("a text\n\nwith an empty line\n", &old).unwrap();
    let note = note.signed_also_by(&witness).unwrap().signed_also_by(&new).unwrap();
    let note: Note = note.to_string().parse().unwrap();
    assert_eq!(note.text(), "a text\n\nwith an empty line\n");
    assert_eq!(note.signatures().len(), 3);

    let keys: Vec<NoteVerifier> = [&old, &new, &witness].map(|s| s.verifier().clone()).to_vec();
    assert_eq!(note.verify(&keys).unwrap().len(), 3);
    assert_eq!(note.verify(&keys[1..2]).unwrap(), [&keys[1]], "one name, two keys: the id tells them apart");
    let stranger = signer("stranger.example", 7).verifier().clone();
    assert_eq!(note.verify(&[stranger]), Err(TreeError::Unsigned));
    assert_eq!(note.verify(&[]), Err(TreeError::Unsigned));

    // Of a sort that is not known here, as those of witnesses are.
    let other = "\u{2014} other.example AAAAAAABAgMEBQYH\n";
    let with_other: Note = format!("{note}{other}").parse().unwrap();
    assert_eq!(with_other.verify(&keys).unwrap().len(), 3);

    // The witness's line bent: fatal to who knows the witness, nothing to who does not.
    let lines = note.to_string();
    let (before, line) = lines.split_once("\u{2014} witness.example ").unwrap();
    let (signature, after) = line.split_once('\n').unwrap();
    let mut bytes = STANDARD.decode(signature).unwrap();
    bytes[40] ^= 1;
    let bent = format!("{before}\u{2014} witness.example {}\n{after}", STANDARD.encode(bytes));
    let bent: Note = bent.parse().unwrap();
    assert_eq!(bent.verify(&keys), Err(TreeError::Signature { name: "witness.example".to_owned() }));
    assert_eq!(bent.verify(&keys[..2]).unwrap().len(), 2);

    // The same signature twice is one signer.
    let twice = note.signed_also_by(&witness).unwrap();
    assert_eq!(twice.verify(&keys).unwrap().len(), 3);
}

#[test]
fn what_a_witness_signed_is_no_checkpoint_of_the_log() {
    let (log, witness) = (signer(ORIGIN, 7), signer("witness.example", 9));
    let checkpoint = Checkpoint::new(ORIGIN, 0, empty_root()).unwrap();
    let note = Note::sign(checkpoint.to_string(), &witness).unwrap();
    assert_eq!(Checkpoint::open(&note, log.verifier()), Err(TreeError::Unsigned));
    assert!(matches!(Checkpoint::open(&note, witness.verifier()), Err(TreeError::Origin { .. })));
    assert!(matches!(checkpoint.sign(&witness), Err(TreeError::Origin { .. })));
}

#[test]
fn a_log_that_was_written_anew_does_not_extend_its_checkpoint() {
    let grow = |first: u8, n: u8| {
        let mut edge = Edge::new();
        for at in 0..n {
            edge.append([if at == 0 { first } else { at }; 32]).unwrap();
        }
        edge
    };
    let checkpoint = |edge: &Edge| Checkpoint::new(ORIGIN, edge.size(), edge.frontier().root()).unwrap();
    let (old, new, other) = (grow(100, 5), grow(100, 9), grow(101, 9));
    let prove = |edge: &Edge, plan: ProofPlan| {
        let tiles: HashMap<Tile, Vec<[u8; 32]>> = edge.partials().map(|(t, h)| (t, h.to_vec())).collect();
        plan.hashes(|tile| tiles.get(tile).map(Vec::as_slice)).unwrap()
    };
    let proof = prove(&new, ProofPlan::consistency(5, 9).unwrap());
    assert_eq!(checkpoint(&new).verify_extends(&checkpoint(&old), &proof), Ok(()));
    let bent = prove(&other, ProofPlan::consistency(5, 9).unwrap());
    assert_eq!(checkpoint(&other).verify_extends(&checkpoint(&old), &bent), Err(TreeError::Unproven));
    assert!(checkpoint(&old).verify_extends(&checkpoint(&new), &proof).is_err(), "a log does not shrink");
    let elsewhere = Checkpoint::new("elsewhere", 9, new.frontier().root()).unwrap();
    assert!(matches!(elsewhere.verify_extends(&checkpoint(&old), &proof), Err(TreeError::Origin { .. })));
}

#[test]
fn a_checkpoint_has_one_spelling() {
    let root = STANDARD.encode([1; 32]);
    let empty = STANDARD.encode(empty_root());
    for text in [
        format!("o\n1\n{root}\n"),
        format!("o\n0\n{empty}\n"),
        format!("any origin + this\n9223372036854775807\n{root}\nand\nmore\n"),
    ] {
        assert_eq!(text.parse::<Checkpoint>().unwrap().to_string(), text);
    }
    let long = "x".repeat(1 << 15);
    for text in [
        String::new(),
        "\n".to_owned(),
        "o\n".to_owned(),
        "o\n1\n".to_owned(),
        format!("o\n1\n{root}"),
        format!("\n1\n{root}\n"),
        format!("o\n01\n{root}\n"),
        format!("o\n+1\n{root}\n"),
        format!("o\n-1\n{root}\n"),
        format!("o\n 1\n{root}\n"),
        format!("o\n1 \n{root}\n"),
        format!("o\n\n{root}\n"),
        format!("o\n9223372036854775808\n{root}\n"),
        format!("o\n18446744073709551617\n{root}\n"),
        format!("o\n\u{661}\n{root}\n"),
        format!("o\n0\n{root}\n"),
        format!("o\n1\n{root}\n\n"),
        format!("o\n1\n{root}\n\nmore\n"),
        format!("o\r\n1\n{root}\n"),
        format!("o\t\n1\n{root}\n"),
        format!("o\n1\n{}\n", root.trim_end_matches('=')),
        format!("o\n1\n{}\n", STANDARD.encode([1; 31])),
        format!("o\n1\n{}\n", STANDARD.encode([1; 33])),
        format!("o\n1\n{}\n", root.replace("E=", "F=")),
        format!("{long}\n1\n{root}\n"),
    ] {
        assert!(text.parse::<Checkpoint>().is_err(), "{text:?}");
    }
    for name in ["", "a b", "a+b", "a\u{a0}b", "a\u{2003}b", "a\nb", "a\u{7}b", &long] {
        assert!(Checkpoint::new(name, 1, [1; 32]).is_err(), "{name:?}");
        assert!(NoteSigner::new(name, &DataKey::new([7; 32])).is_err(), "{name:?}");
    }
    assert!(Checkpoint::new("o", u64::MAX, [1; 32]).is_err());
    assert!(Checkpoint::new("o", 0, [1; 32]).is_err());
}

#[test]
fn a_verifier_key_has_one_spelling() {
    let (name, rest) = VERIFIER.split_once('+').unwrap();
    let (id, key) = rest.split_once('+').unwrap();
    let of_other_sort = STANDARD.encode([&[4][..], &STANDARD.decode(key).unwrap()[1..]].concat());
    for text in [
        String::new(),
        name.to_owned(),
        format!("{name}+{id}"),
        format!("+{id}+{key}"),
        format!("{name}x+{id}+{key}"),
        format!("{name}+{}+{key}", id.to_uppercase()),
        format!("{name}+00000000+{key}"),
        format!("{name}+0{id}+{key}"),
        format!("{name}+{id}+{key}="),
        format!("{name}+{id}+{key} "),
        format!("{name}+{id}+{}", &key[..key.len() - 4]),
        format!("{name}+{id}+{of_other_sort}"),
        format!("{name}+{id}+"),
        format!("{}+{id}+{key}", "x".repeat(1 << 12)),
    ] {
        assert!(text.parse::<NoteVerifier>().is_err(), "{text:?}");
    }
    for mutant in mutants(VERIFIER) {
        assert!(mutant.parse::<NoteVerifier>().is_err(), "{mutant:?}");
    }
}

#[test]
fn whatever_is_larger_than_its_bound_is_refused_without_being_read() {
    let (text, line) = checkpoint_text().split_once("\n\n").unwrap();
    let with = |lines: &str| format!("{text}\n\n{lines}").parse::<Note>();
    assert!(with(&line.repeat(NOTE_SIGNATURES_MAX)).is_ok());
    assert!(matches!(with(&line.repeat(NOTE_SIGNATURES_MAX + 1)), Err(TreeError::TooLarge { .. })));
    assert!(matches!(with(&"x".repeat(NOTE_BYTES_MAX)), Err(TreeError::TooLarge { .. })));
    assert!(matches!("x".repeat(PROOF_BYTES_MAX + 1).parse::<TlogProof>(), Err(TreeError::TooLarge { .. })));

    // 16 signatures of post-quantum size must be taken, beside the log's own.
    let large = format!("\u{2014} pq.example {}\n", STANDARD.encode([3; 5000]));
    let note = with(&format!("{line}{}", large.repeat(16))).unwrap();
    assert!(Checkpoint::open(&note, &verifier()).is_ok());
    assert!(with(&format!("\u{2014} pq.example {}\n", STANDARD.encode([3; 9000]))).is_err());
    assert!(with("\u{2014} short.example AAAAAA==\n").is_err(), "a key id and no signature");
    assert!(with("").is_err());
    assert!(with("\n").is_err());

    let mut note = Note::sign("x\n", &signer(ORIGIN, 7)).unwrap();
    while note.signatures().len() < NOTE_SIGNATURES_MAX {
        note = note.signed_also_by(&signer(ORIGIN, 7)).unwrap();
    }
    assert!(note.signed_also_by(&signer(ORIGIN, 7)).is_err());
    for text in ["", "x", "x\r\n", "x\0\n", "x\u{1b}[2J\n"] {
        assert!(Note::sign(text, &signer(ORIGIN, 7)).is_err(), "{text:?}");
    }
    assert!(Note::sign(format!("{}\n", "x".repeat(1 << 15)), &signer(ORIGIN, 7)).is_err());
    assert!(TlogProof::new(0, vec![[0; 32]; 64], note_of_one()).is_err());
    assert!(TlogProof::new(u64::MAX, Vec::new(), note_of_one()).is_err());
}

fn note_of_one() -> Note {
    checkpoint_text().parse().unwrap()
}

#[test]
fn a_signer_does_not_show_its_key() {
    let shown = format!("{:?}", signer(ORIGIN, 7));
    assert!(shown.contains(VERIFIER), "{shown}");
    assert!(!shown.contains("07, 07") && !shown.contains("7, 7, 7") && !shown.contains("0707"), "{shown}");
}

proptest! {
    #[test]
    fn any_text_is_an_answer(text in "(c2sp.org/tlog-proof@v1\n|index [0-9]{0,3}\n|extra |\n|\u{2014} |[a-zA-Z0-9+/= ]{0,50}|.{0,9}){0,12}") {
        if let Ok(note) = text.parse::<Note>() {
            prop_assert_eq!(note.to_string(), text.clone());
        }
        if let Ok(proof) = text.parse::<TlogProof>() {
            prop_assert_eq!(proof.to_string(), text.clone());
        }
        if let Ok(checkpoint) = text.parse::<Checkpoint>() {
            prop_assert_eq!(checkpoint.to_string(), text.clone());
        }
        if let Ok(key) = text.parse::<NoteVerifier>() {
            prop_assert_eq!(key.to_string(), text);
        }
    }

    #[test]
    fn what_is_signed_is_read_back(text in "([^\u{0}-\u{1f}]{0,20}\n){1,5}") {
        let signer = signer(ORIGIN, 7);
        let note = Note::sign(text.clone(), &signer).unwrap();
        let read: Note = note.to_string().parse().unwrap();
        prop_assert_eq!(read.text(), text);
        prop_assert!(read.verify(std::slice::from_ref(signer.verifier())).is_ok());
        prop_assert_eq!(read, note);
    }
}
