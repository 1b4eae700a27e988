//! What cargo sends: a length, metadata as JSON, a length, an archive.

use serde_json::{Map, Value, json};

/// Bytes of the metadata: a long README is the most of it.
const METADATA_BYTES_MAX: usize = 1 << 20;

/// Characters of a name, as crates.io has it.
const NAME_LENGTH_MAX: usize = 64;

/// Characters of a version.
const VERSION_LENGTH_MAX: usize = 128;

/// One upload, taken apart and looked at.
pub(super) struct Upload<'b> {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) archive: &'b [u8],
    metadata: Value,
}

impl<'b> Upload<'b> {
    /// Reads a body; every byte of it must belong to one of the two parts.
    pub(super) fn read(body: &'b [u8]) -> Result<Self, &'static str> {
        let (metadata, rest) = part(body).ok_or("the metadata ends early")?;
        let (archive, rest) = part(rest).ok_or("the archive ends early")?;
        if !rest.is_empty() {
            return Err("something follows the archive");
        }
        if metadata.len() > METADATA_BYTES_MAX {
            return Err("the metadata is larger than this registry takes");
        }
        let metadata: Value = serde_json::from_slice(metadata).map_err(|_e| "the metadata is not JSON")?;
        let text = |member: &str| metadata.get(member).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (name, version) = (text("name"), text("vers"));
        if !is_name(&name) {
            return Err("the metadata has no name, or one that is none");
        }
        if !is_version(&version) {
            return Err("the metadata has no version, or one that is none");
        }
        if archive.is_empty() {
            return Err("the archive is empty");
        }
        Ok(Self { name, version, archive, metadata })
    }

    /// The line that the index has for it.
    pub(super) fn entry(&self, checksum: &str) -> Value {
        let dependencies = self.metadata.get("deps").and_then(Value::as_array).into_iter().flatten();
        let (plain, second): (Map<String, Value>, Map<String, Value>) = self
            .metadata
            .get("features")
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default()
            .into_iter()
            .partition(|(_, enables)| {
                let enables = enables.as_array().into_iter().flatten().filter_map(Value::as_str);
                !enables.into_iter().any(|what| what.starts_with("dep:") || what.contains('?'))
            });
        json!({
            "name": self.name,
            "vers": self.version,
            "deps": dependencies.map(dependency).collect::<Vec<_>>(),
            "cksum": checksum,
            "features": plain,
            "features2": second,
            "v": 2,
            "yanked": false,
            "links": self.metadata.get("links"),
            "rust_version": self.metadata.get("rust_version"),
        })
    }
}

/// Takes a little-endian length and as many bytes off the front.
fn part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)
}

/// The index calls some things otherwise than an upload does.
fn dependency(sent: &Value) -> Value {
    let renamed = sent.get("explicit_name_in_toml").filter(|name| name.is_string());
    json!({
        "name": renamed.or_else(|| sent.get("name")),
        "package": renamed.and(sent.get("name")),
        "req": sent.get("version_req"),
        "features": sent.get("features"),
        "optional": sent.get("optional"),
        "default_features": sent.get("default_features"),
        "target": sent.get("target"),
        "kind": sent.get("kind"),
        "registry": sent.get("registry"),
    })
}

/// Letters, digits, `-` and `_`, beginning with a letter: it becomes a file name too.
fn is_name(name: &str) -> bool {
    name.len() <= NAME_LENGTH_MAX
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

/// Three numbers and what may follow them; no character that means something in a path but the dot.
fn is_version(version: &str) -> bool {
    let numbers = version.split(['-', '+']).next().unwrap_or_default().split('.');
    version.len() <= VERSION_LENGTH_MAX
        && numbers.clone().count() == 3
        && numbers.clone().all(|number| !number.is_empty() && number.chars().all(|c| c.is_ascii_digit()))
        && version.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(metadata: &str, archive: &[u8]) -> Vec<u8> {
        let length = |n: usize| u32::try_from(n).unwrap().to_le_bytes();
        [&length(metadata.len()), metadata.as_bytes(), &length(archive.len()), archive].concat()
    }

    #[test]
    fn a_body_that_lies_about_its_parts_is_refused() {
        let whole = framed(r#"{"name":"kit","vers":"0.1.0"}"#, b"archive");
        assert!(Upload::read(&whole).is_ok());
        for cut in 0..whole.len() {
            assert!(Upload::read(&whole[..cut]).is_err(), "{cut} bytes of {}", whole.len());
        }
        assert!(Upload::read(&[whole.as_slice(), b"x"].concat()).is_err(), "something follows");
        assert!(Upload::read(&[0xff; 64]).is_err(), "a length beyond the body");
    }

    #[test]
    fn no_name_and_no_version_leads_out_of_the_folder() {
        for (name, version, taken) in [
            ("kit", "0.1.0", true),
            ("kit-two_3", "1.2.3-rc.1+build", true),
            ("../kit", "0.1.0", false),
            ("", "0.1.0", false),
            ("3kit", "0.1.0", false),
            ("kit", "0.1", false),
            ("kit", "0.1.0/..", false),
            ("kit", "../0.1.0", false),
            ("kit", "0..0", false),
        ] {
            let body = framed(&json!({ "name": name, "vers": version }).to_string(), b"archive");
            assert_eq!(Upload::read(&body).is_ok(), taken, "{name} {version}");
        }
    }

    #[test]
    fn a_renamed_dependency_and_a_feature_of_the_second_kind_reach_the_index() {
        let metadata = json!({
            "name": "kit", "vers": "0.1.0",
            "deps": [{ "name": "time", "explicit_name_in_toml": "clock", "version_req": "^1", "kind": "normal" }],
            "features": { "plain": ["clock/std"], "second": ["dep:clock"] },
        });
        let body = framed(&metadata.to_string(), b"archive");
        let entry = Upload::read(&body).ok().unwrap().entry("00");
        assert_eq!(
            (&entry["deps"][0]["name"], &entry["deps"][0]["package"]),
            (&json!("clock"), &json!("time"))
        );
        assert_eq!(entry["features"], json!({ "plain": ["clock/std"] }));
        assert_eq!(entry["features2"], json!({ "second": ["dep:clock"] }));
    }
}
