//! Any text is a note, a checkpoint, a proof, a verifier key or the path of a tile, or is none; what is one prints as it was
//! read, and no text that was not signed verifies.
#![no_main]

use std::fmt::{Debug, Display};
use std::str::FromStr;
use std::sync::LazyLock;

use clawexchange_audit::{Checkpoint, Note, NoteSigner, NoteVerifier, TilePath, TlogProof};
use clawexchange_ssg_core::DataKey;
use libfuzzer_sys::fuzz_target;

static SIGNER: LazyLock<NoteSigner> =
    LazyLock::new(|| NoteSigner::new("example.org/audit/decisions", &DataKey::new([7; 32])).expect("it is a name"));

/// Each has one spelling.
fn read<T: FromStr<Err: Debug> + Display + PartialEq + Debug>(text: &str) -> Option<T> {
    let read = text.parse::<T>().ok()?;
    assert_eq!(read.to_string(), text);
    Some(read)
}

fuzz_target!(|text: &str| {
    let known = SIGNER.verifier();
    if let Some(note) = read::<Note>(text) {
        assert!(Checkpoint::open(&note, known).is_err(), "nobody has the key");
    }
    if let Some(checkpoint) = read::<Checkpoint>(text)
        && checkpoint.origin() == known.name()
    {
        let note = checkpoint.sign(&SIGNER).expect("what parses can be signed");
        assert_eq!(Checkpoint::open(&note, known).expect("it was signed"), checkpoint);
    }
    if let Some(proof) = read::<TlogProof>(text) {
        assert!(proof.verify(b"leaf", known).is_err(), "nobody has the key");
    }
    read::<NoteVerifier>(text);
    read::<TilePath>(text);
});
