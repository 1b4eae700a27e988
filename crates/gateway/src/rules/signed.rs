//! Signed packs: who wrote them, which came later, and until when they hold.
//!
//! What is signed is a note (`clawexchange_audit::Note`) of four lines: what it is, the hash of the packs, a serial number,
//! and the last moment. All of it stands inside of what is signed, so that nobody can pass old packs off as new ones.

use clawexchange_audit::{Note, NoteSigner, NoteVerifier};
use clawexchange_database::rules::{Activation, Signed};
use clawexchange_detectors::OwnPacks;
use clawexchange_ssg_core::Timestamp;

use super::error::RulesError;

/// The first line: what is signed with the same key for another purpose is no packs.
const HEAD: &str = "claw rule packs 1";

/// Whose signatures count, and whether one is asked for.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Trust {
    /// The keys.
    pub keys: Vec<NoteVerifier>,
    /// Whether packs judge only if one of these keys has signed them.
    pub is_required: bool,
}

impl Trust {
    /// Puts both together.
    pub const fn new(keys: Vec<NoteVerifier>, is_required: bool) -> Self {
        Self { keys, is_required }
    }

    /// What is signed of packs that are to be activated; `None` if nothing is, and nothing has to be.
    ///
    /// # Errors
    ///
    /// There is no signature and one is asked for; it is none of a trusted key, over other packs, or over.
    pub fn signed(
        &self,
        own: &OwnPacks,
        note: Option<&str>,
        now: Timestamp,
    ) -> Result<Option<Signed>, RulesError> {
        let note = match note {
            // Without keys nobody can say whether a signature is worth anything.
            Some(note) if !self.keys.is_empty() => note,
            _ if self.is_required && !own.is_empty() => {
                return Err(RulesError::Untrusted { what: "are not signed" });
            }
            _ => return Ok(None),
        };
        let signed = self.verified(own.hash(), note)?;
        if signed.not_after <= now {
            return Err(RulesError::Expired { at: signed.not_after });
        }
        Ok(Some(signed))
    }

    /// Whether packs that are active may judge. That their signature has ended since is no reason: without them the gate
    /// would be a milder one.
    pub(super) fn check(&self, active: &Activation) -> Result<(), RulesError> {
        let Some(hash) = active.hash.as_deref().filter(|_| self.is_required) else { return Ok(()) };
        let said = active.signed.as_ref().ok_or(RulesError::Untrusted { what: "are not signed" })?;
        if self.verified(hash, &said.note)? == *said {
            Ok(())
        } else {
            Err(RulesError::Untrusted { what: "have another serial number or end than was signed" })
        }
    }

    fn verified(&self, hash: &str, note: &str) -> Result<Signed, RulesError> {
        let untrusted = |what| RulesError::Untrusted { what };
        let parsed: Note =
            note.parse().ok().ok_or_else(|| untrusted("have a signature that cannot be read"))?;
        if parsed.verify(&self.keys).is_err() {
            return Err(untrusted("are not signed by a key that is trusted"));
        }
        let said = read(parsed.text()).ok_or_else(|| untrusted("have a signature over something else"))?;
        if said.0 != hash {
            return Err(untrusted("are not those that were signed"));
        }
        Ok(Signed::new(note.to_owned(), said.1, said.2))
    }
}

/// Signs packs. The serial number is greater than that of the packs that they replace.
///
/// # Errors
///
/// There are no packs, or the number is negative.
pub fn sign_packs(
    own: &OwnPacks,
    signer: &NoteSigner,
    serial: i64,
    not_after: Timestamp,
) -> Result<String, RulesError> {
    if own.is_empty() || serial < 0 {
        return Err(RulesError::Untrusted {
            what: "cannot be signed: there are none, or the number is negative",
        });
    }
    let text = format!("{HEAD}\nhash {}\nserial {serial}\nnot-after {not_after}\n", own.hash());
    let note =
        Note::sign(text, signer).map_err(|_what| RulesError::Untrusted { what: "cannot be signed" })?;
    Ok(note.to_string())
}

/// Hash, serial number and end; nothing if the text is not exactly what is written when signing.
fn read(text: &str) -> Option<(&str, i64, Timestamp)> {
    let mut lines = text.strip_suffix('\n')?.split('\n');
    let (head, hash, serial, end) = (lines.next()?, lines.next()?, lines.next()?, lines.next()?);
    if head != HEAD || lines.next().is_some() {
        return None;
    }
    let serial: i64 = serial.strip_prefix("serial ")?.parse().ok().filter(|serial| *serial >= 0)?;
    let read = (hash.strip_prefix("hash ")?, serial, end.strip_prefix("not-after ")?.parse().ok()?);
    let again = format!("{HEAD}\nhash {}\nserial {}\nnot-after {}\n", read.0, read.1, read.2);
    (again == text).then_some(read)
}

#[cfg(test)]
mod tests {
    use clawexchange_detectors::PackText;
    use clawexchange_ssg_core::DataKey;

    use super::*;

    fn signer(seed: u8) -> NoteSigner {
        NoteSigner::new("acme-rules", &DataKey::new([seed; 32])).unwrap()
    }

    fn packs(mode: &str) -> OwnPacks {
        OwnPacks::read(vec![PackText::new("a.toml", format!("[modes]\njwt = \"{mode}\"\n"))]).unwrap()
    }

    const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);
    const LATER: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

    #[test]
    fn packs_are_trusted_only_as_they_were_signed_and_by_whom() {
        let trust = Trust::new(vec![signer(1).verifier().clone()], true);
        let own = packs("off");
        let note = sign_packs(&own, &signer(1), 7, LATER).unwrap();
        let signed = trust.signed(&own, Some(&note), NOW).unwrap().unwrap();
        assert_eq!((signed.serial, signed.not_after), (7, LATER));
        let refused =
            |own: &OwnPacks, note: Option<&str>, now| trust.signed(own, note, now).unwrap_err().to_string();
        assert!(refused(&own, None, NOW).contains("are not signed"));
        assert!(refused(&packs("shadow"), Some(&note), NOW).contains("not those that were signed"));
        let foreign = sign_packs(&own, &signer(2), 7, LATER).unwrap();
        assert!(refused(&own, Some(&foreign), NOW).contains("by a key that is trusted"));
        assert!(refused(&own, Some(&note), LATER).contains("ended at"));
        for (from, to) in
            [("serial 7", "serial 8"), ("not-after 2027", "not-after 2028"), ("hash ", "hash 0")]
        {
            assert!(note.contains(from));
            refused(&own, Some(&note.replacen(from, to, 1)), NOW);
        }
        refused(&own, Some(""), NOW);
        assert_eq!(
            trust.signed(&OwnPacks::default(), None, NOW).unwrap(),
            None,
            "no packs need no signature"
        );
        let open = Trust::default();
        assert_eq!(
            open.signed(&own, Some(&note), NOW).unwrap(),
            None,
            "without keys a signature says nothing"
        );
    }

    #[test]
    fn a_note_about_something_else_is_no_signature_of_packs() {
        let trust = Trust::new(vec![signer(1).verifier().clone()], true);
        let own = packs("off");
        for text in [
            format!("claw rule packs 1\nhash {}\nserial 07\nnot-after {LATER}\n", own.hash()),
            format!("claw rule packs 1\nhash {}\nserial -7\nnot-after {LATER}\n", own.hash()),
            format!("claw rule packs 1\nhash {}\nserial 7\nnot-after {LATER}\nmore\n", own.hash()),
            format!("claw rule packs 2\nhash {}\nserial 7\nnot-after {LATER}\n", own.hash()),
            "north.example/log\n3\n".to_owned(),
        ] {
            let note = Note::sign(text, &signer(1)).unwrap().to_string();
            let error = trust.signed(&own, Some(&note), NOW).unwrap_err();
            assert!(error.to_string().contains("something else"), "{error}");
        }
    }

    #[test]
    fn what_the_database_says_of_a_signature_is_what_was_signed() {
        let trust = Trust::new(vec![signer(1).verifier().clone()], true);
        let own = packs("off");
        let signed = trust.signed(&own, Some(&sign_packs(&own, &signer(1), 7, LATER).unwrap()), NOW).unwrap();
        let active =
            |signed| Activation::new(1, Some(own.hash().to_owned()), 1, signed, "a:b".to_owned(), NOW);
        trust.check(&active(signed.clone())).unwrap();
        trust.check(&active(None)).unwrap_err();
        let mut later = signed.unwrap();
        later.not_after = Timestamp::from_micros(1_900_000_000_000_000);
        trust.check(&active(Some(later))).unwrap_err();
        Trust::default().check(&active(None)).unwrap();
    }
}
