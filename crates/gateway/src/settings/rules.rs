//! Settings of rule packs: whose signature counts.

use super::reader::Reader;
use super::setting::{Setting, Usual};
use super::value::{Kind, Value};
use crate::rules::Trust;

pub(super) static TRUSTED_KEYS: Setting = Setting::env(
    "CLAW_RULES_TRUSTED_KEYS",
    Kind::VerifierKeys,
    Usual::Unset("none"),
    "the public keys whose signatures of rule packs count",
)
.key("rules.trusted_keys");
pub(super) static REQUIRE_SIGNATURE: Setting = Setting::env(
    "CLAW_RULES_REQUIRE_SIGNATURE",
    Kind::Boolean,
    Usual::Unset("true where keys are trusted, else false"),
    "whether rule packs judge only if a trusted key has signed them",
)
.key("rules.require_signature");

impl Reader<'_> {
    /// Whose signatures count. Whoever trusts keys means to be asked for signatures, unless it is said otherwise.
    pub(super) fn rule_trust(&mut self) -> Trust {
        // What is no key was told where it was read.
        let keys: Vec<_> = self.list(&TRUSTED_KEYS).iter().filter_map(|key| key.parse().ok()).collect();
        let Some(Value::Boolean(is_required)) = self.value(&REQUIRE_SIGNATURE) else {
            let is_required = !keys.is_empty();
            return Trust::new(keys, is_required);
        };
        if is_required && keys.is_empty() {
            let what = format!("no packs could judge: {} names no key", TRUSTED_KEYS.name());
            self.problem(REQUIRE_SIGNATURE.name(), what);
        }
        Trust::new(keys, is_required)
    }
}

#[cfg(test)]
mod tests {
    use clawexchange_audit::NoteSigner;
    use clawexchange_ssg_core::DataKey;

    use crate::settings::tests::Given;

    fn key() -> String {
        NoteSigner::new("acme-rules", &DataKey::new([7; 32])).unwrap().verifier().to_string()
    }

    #[test]
    fn whoever_trusts_a_key_asks_for_signatures_unless_it_is_said_otherwise() {
        let trust = Given::env(&[]).good().rule_trust;
        assert!(trust.keys.is_empty() && !trust.is_required);
        let trust = Given::file(&format!("rules.trusted_keys = [\"{}\"]", key())).good().rule_trust;
        assert_eq!((trust.keys.len(), trust.is_required), (1, true));
        let mild = format!("[rules]\ntrusted_keys = [\"{}\"]\nrequire_signature = false", key());
        assert!(!Given::file(&mild).good().rule_trust.is_required);
        let both = Given::file("[rules.jwt]\nmode = \"off\"").with("CLAW_RULES_TRUSTED_KEYS", &key()).good();
        assert_eq!((both.rule_trust.keys.len(), both.rules.len()), (1, 1), "keys stand beside rules");
    }

    #[test]
    fn a_signature_without_a_key_and_a_key_that_is_none_are_refused() {
        Given::file("rules.require_signature = true").refused("CLAW_RULES_REQUIRE_SIGNATURE", "names no key");
        let broken = key().replace("acme-rules", "acme-roles");
        Given::file(&format!("rules.trusted_keys = [\"{broken}\"]"))
            .refused("rules.trusted_keys", "item 1 is wrong");
        Given::file("rules.trusted_keys = 7").refused("rules.trusted_keys", "a list of");
    }
}
