//! What a server says: its documents, and what went wrong.

use quick_xml::Reader;
use quick_xml::events::Event;

/// What stands directly below the root of a document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) name: String,
    /// What stands in it, if that is text.
    pub(super) text: String,
    /// Name and text of what stands in it.
    parts: Vec<(String, String)>,
}

impl Part {
    /// The text of a part of it; empty if there is none.
    pub(super) fn of(&self, name: &str) -> &str {
        self.parts.iter().find(|(n, _)| n == name).map_or("", |(_, text)| text)
    }

    /// Whether there is such a part of it.
    pub(super) fn has(&self, name: &str) -> bool {
        self.parts.iter().any(|(n, _)| n == name)
    }
}

/// More parts than any answer has: a thousand objects and what is said of the list.
const PARTS_MAX: usize = 4000;

/// Reads a document, as deep as two below its root; `None` if it is none, or too long.
pub(super) fn parts(xml: &[u8]) -> Option<Vec<Part>> {
    let mut reader = Reader::from_reader(xml);
    let (mut found, mut names) = (Vec::<Part>::new(), Vec::<String>::new());
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) => {
                let name = String::from_utf8(start.local_name().as_ref().to_vec()).ok()?;
                match names.len() {
                    1 => found.push(Part { name: name.clone(), ..Part::default() }),
                    2 => found.last_mut()?.parts.push((name.clone(), String::new())),
                    _ => {}
                }
                if found.len() > PARTS_MAX {
                    return None;
                }
                names.push(name);
            }
            Event::End(_) => {
                names.pop()?;
            }
            Event::Text(text) => write(&mut found, names.len(), &text.decode().ok()?),
            Event::CData(text) => write(&mut found, names.len(), &text.decode().ok()?),
            Event::GeneralRef(reference) => {
                let character = match reference.resolve_char_ref().ok()? {
                    Some(character) => character,
                    None => match &*reference.decode().ok()? {
                        "amp" => '&',
                        "lt" => '<',
                        "gt" => '>',
                        "quot" => '"',
                        "apos" => '\'',
                        _ => return None,
                    },
                };
                write(&mut found, names.len(), character.encode_utf8(&mut [0; 4]));
            }
            Event::Eof => return names.is_empty().then_some(found),
            // A declaration of entities is nobody's who answers.
            Event::DocType(_) => return None,
            _ => {}
        }
    }
}

fn write(found: &mut [Part], depth: usize, text: &str) {
    let Some(last) = found.last_mut() else { return };
    match depth {
        2 => last.text.push_str(text.trim_matches(['\n', '\r', '\t'])),
        3 => {
            if let Some((_, of)) = last.parts.last_mut() {
                of.push_str(text);
            }
        }
        _ => {}
    }
}

/// The text of the first part of this name; empty if there is none.
pub(super) fn first<'a>(parts: &'a [Part], name: &str) -> &'a str {
    parts.iter().find(|part| part.name == name).map_or("", |part| &part.text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_with_what_stands_between_its_parts() {
        let xml = br#"<?xml version="1.0"?>
            <ListVersionsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><IsTruncated>true</IsTruncated>
            <Version><Key>a&amp;b&#47;c</Key><VersionId>1</VersionId><ETag>&quot;x&quot;</ETag></Version>
            <DeleteMarker><Key>d</Key><VersionId>2</VersionId><Owner><ID>9</ID></Owner></DeleteMarker>
            <Version><Key>e</Key></Version></ListVersionsResult>"#;
        let parts = parts(xml).unwrap();
        let names: Vec<&str> = parts.iter().map(|part| part.name.as_str()).collect();
        assert_eq!(names, ["IsTruncated", "Version", "DeleteMarker", "Version"]);
        assert_eq!(first(&parts, "IsTruncated"), "true");
        assert_eq!((parts[1].of("Key"), parts[1].of("VersionId")), ("a&b/c", "1"));
        assert_eq!((parts[2].of("Key"), parts[2].of("Owner"), parts[2].of("ID")), ("d", "", ""));
        assert_eq!(first(&parts, "NextKeyMarker"), "");
    }

    #[test]
    fn what_is_no_document_is_none() {
        for text in ["<a><b>", "<a>&nbsp;</a>", "<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>", "</a>"] {
            assert_eq!(parts(text.as_bytes()), None, "{text}");
        }
        let long = format!("<a>{}</a>", "<b></b>".repeat(PARTS_MAX + 1));
        assert_eq!(parts(long.as_bytes()), None);
        assert_eq!(parts(b""), Some(Vec::new()));
    }
}
