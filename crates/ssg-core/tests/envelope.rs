//! What is read, and what is refused before anything is inspected. What a user would lose: content that two readers
//! read differently, or that nobody looked at, would be passed on.
#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use clawexchange_ssg_core::{
    ContentEnvelope, ContentError, ContentType, EnvelopeBounds, EnvelopeParts, Fault as _, FaultKind, LineId,
    PostCategory, ReadAs, Received, TrustLevel,
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn read(json: impl AsRef<[u8]>) -> Result<ContentEnvelope, ContentError> {
    ContentEnvelope::from_json(json.as_ref())
}

fn submission(json: &str) -> Result<Received, ContentError> {
    Received::read(json.as_bytes(), ReadAs::Submission, &EnvelopeBounds::default())
}

fn line(json: &str) -> Result<Received, ContentError> {
    Received::read(json.as_bytes(), ReadAs::Line, &EnvelopeBounds::default())
}

/// Pointer, text, and whether it is a name.
fn fields(content: &ContentEnvelope) -> Vec<(&str, &str, bool)> {
    content.fields().map(|f| (f.pointer, f.text, f.in_key)).collect()
}

#[track_caller]
fn refused(json: impl AsRef<[u8]>, code: &str, kind: FaultKind) {
    let json = json.as_ref();
    let shown = String::from_utf8_lossy(&json[..json.len().min(80)]).into_owned();
    let error = read(json).expect_err(&shown);
    assert_eq!((error.code(), error.kind()), (code, kind), "{shown}");
    assert!(!error.is_transient(), "the same bytes are refused tomorrow too: {shown}");
}

#[track_caller]
fn invalid(json: impl AsRef<[u8]>, what: &str) {
    refused(json, &format!("ssg-core/{what}"), FaultKind::Invalid);
}

#[track_caller]
fn too_large(json: impl AsRef<[u8]>, what: &str) {
    refused(json, &format!("ssg-core/{what}"), FaultKind::TooLarge);
}

#[test]
fn what_is_not_one_json_object_in_utf8_is_refused() {
    for bytes in
        [&b"\xff\xfe"[..], b"{\"text\":\"\xc3\"}", b"{\"text\":\"\xed\xa0\x80\"}", b"{\"text\":\"\xc0\xaf\"}"]
    {
        invalid(bytes, "not-utf8");
    }
    for json in [
        "",
        " ",
        "{",
        "{\"text\":\"a\"",
        "{\"text\":\"a\"} x",
        "{\"text\":\"a\"}{\"text\":\"b\"}",
        "{\"text\":\"a\",}",
        "{'text':'a'}",
        "{text:\"a\"}",
        "{\"text\":\"a\nb\"}",
        "{\"text\":\"\\x41\"}",
        "{\"text\":\"a\",\"n\":01}",
        "{\"text\":\"a\",\"n\":NaN}",
        "{\"text\":\"a\" /* no */}",
        "\u{feff}{\"text\":\"a\"}",
    ] {
        invalid(json, "not-json");
    }
    for json in ["null", "true", "7", "\"text\"", "[]", "[{\"text\":\"a\"}]"] {
        invalid(json, "not-an-object");
    }
}

#[test]
fn a_byte_that_begins_no_character_is_named_by_its_place() {
    assert_eq!(read(b"{\"text\":\"a\xff\"}").unwrap_err(), ContentError::NotUtf8 { at: 10 });
}

#[test]
fn half_a_surrogate_pair_is_refused_wherever_it_stands() {
    for json in [
        r#"{"text":"\ud800"}"#,
        r#"{"text":"\udc00"}"#,
        r#"{"text":"\ud800\u0041"}"#,
        r#"{"text":"a","title":"\ud800x"}"#,
        r#"{"text":"a","metadata":{"k":["\udfff"]}}"#,
        r#"{"text":"a","metadata":{"\ud800":1}}"#,
        r#"{"\ud800":"a","text":"a"}"#,
    ] {
        invalid(json, "not-json");
    }
    assert_eq!(read(r#"{"text":"\ud83d\ude00"}"#).unwrap().text(), "😀", "a whole pair is a character");
}

#[test]
fn two_members_of_one_name_are_refused_at_any_depth_and_in_any_spelling() {
    for json in [
        r#"{"text":"a","text":"b"}"#,
        r#"{"text":"a","\u0074ext":"b"}"#,
        r#"{"text":"a","x":1,"x":1}"#,
        r#"{"text":"a","x":null,"x":"b"}"#,
        r#"{"text":"a","metadata":{"k":1,"k":2}}"#,
        r#"{"text":"a","metadata":{"k":{"l":[{"m":1,"m":2}]}}}"#,
        r#"{"text":"a","list":[[{"k":true,"\u006b":false}]]}"#,
    ] {
        invalid(json, "duplicate-name");
    }
    assert!(read(r#"{"text":"a","x":{"k":1},"y":{"k":1},"k":1}"#).is_ok(), "one name in two objects is fine");
}

#[test]
fn a_nul_character_is_refused_in_any_string_and_any_name() {
    for json in [
        r#"{"text":"\u0000"}"#,
        r#"{"text":"a","title":"b\u0000"}"#,
        r#"{"text":"a","x":["\u0000"]}"#,
        r#"{"text":"a","metadata":{"k\u0000":1}}"#,
        r#"{"text":"a","\u0000":1}"#,
    ] {
        invalid(json, "nul");
    }
    assert!(read(r#"{"text":"\u0001\u001b[2J"}"#).is_ok(), "other control characters are content");
}

#[test]
fn the_text_must_be_there_and_have_a_character_though_it_be_a_space() {
    for json in ["{}", r#"{"text":null}"#, r#"{"title":"a"}"#, r#"{"Text":"a"}"#] {
        invalid(json, "text-missing");
    }
    invalid(r#"{"text":""}"#, "text-empty");
    for text in [" ", "\t\n", "\u{200b}", "\u{a0}"] {
        let content = read(json!({ "text": text }).to_string()).unwrap();
        assert_eq!(content.text(), text, "white space is content");
    }
}

#[test]
fn known_members_of_the_wrong_type_are_refused() {
    for json in [
        r#"{"text":["a"]}"#,
        r#"{"text":{"a":"b"}}"#,
        r#"{"text":7}"#,
        r#"{"text":true}"#,
        r#"{"text":"a","title":["b"]}"#,
        r#"{"text":"a","contentType":1}"#,
        r#"{"text":"a","category":{}}"#,
        r#"{"text":"a","metadata":[]}"#,
        r#"{"text":"a","metadata":"b"}"#,
        r#"{"text":"a","metadata":1}"#,
    ] {
        invalid(json, "wrong-type");
    }
}

#[test]
fn words_outside_the_vocabulary_are_refused() {
    for json in [
        r#"{"text":"a","contentType":"POSTS"}"#,
        r#"{"text":"a","contentType":"post"}"#,
        r#"{"text":"a","contentType":""}"#,
        r#"{"text":"a","contentType":"POST "}"#,
        r#"{"text":"a","category":"OFFER"}"#,
        r#"{"text":"a","category":"supply"}"#,
    ] {
        invalid(json, "unknown-word");
    }
    for word in ["COMMENT", "MESSAGE", "PROFILE"] {
        let json = json!({"text": "a", "contentType": word, "category": "DEMAND"}).to_string();
        invalid(json, "category-without-post");
    }
}

#[test]
fn null_is_as_if_the_member_were_absent() {
    let content = read(
        r#"{"text":"a","title":null,"contentType":null,"category":null,"metadata":null,"x":null,"y":[null]}"#,
    )
    .unwrap();
    assert_eq!((content.content_type(), content.category()), (ContentType::Post, None));
    // The values are absent; names that the sender made up are texts all the same.
    assert_eq!(fields(&content), [("/text", "a", false), ("/x", "x", true), ("/y", "y", true)]);
    let comment = r#"{"text":"a","contentType":"COMMENT","category":null}"#;
    assert_eq!(read(comment).unwrap().content_type(), ContentType::Comment);
}

#[test]
fn every_word_of_the_vocabulary_is_read() {
    for kind in ContentType::ALL {
        let content = read(json!({"text": "a", "contentType": kind}).to_string()).unwrap();
        assert_eq!(content.content_type(), kind);
    }
    for category in PostCategory::ALL {
        let content = read(json!({"text": "a", "category": category}).to_string()).unwrap();
        assert_eq!(content.category(), Some(category));
    }
}

#[test]
fn no_text_passes_uninspected_because_of_where_it_stands() {
    let content = read(
        r#"{"body":"1","title":"2","text":"3","tags":["4",["5",{"k":"6"}]],"metadata":{"a/b":{"c~d":"7"}},"author":{"name":"8"}}"#,
    )
    .unwrap();
    assert_eq!(
        fields(&content),
        [
            ("/title", "2", false),
            ("/text", "3", false),
            ("/body", "body", true),
            ("/body", "1", false),
            ("/tags", "tags", true),
            ("/tags/0", "4", false),
            ("/tags/1/0", "5", false),
            ("/tags/1/1/k", "k", true),
            ("/tags/1/1/k", "6", false),
            ("/metadata/a~1b", "a/b", true),
            ("/metadata/a~1b/c~0d", "c~d", true),
            ("/metadata/a~1b/c~0d", "7", false),
            ("/author", "author", true),
            ("/author/name", "name", true),
            ("/author/name", "8", false),
        ]
    );
}

#[test]
fn numbers_of_twelve_digits_are_texts_and_keep_their_source() {
    for (number, inspected) in [
        ("12345678901", false),
        ("123456789012", true),
        ("-123456789012", true),
        ("4111111111111111", true),
        ("1234567890123456789012345678901234567890", true),
        ("1.23456789012", true),
        ("1.2345678901", false),
        ("1.2345678901e10", true),
        ("000", false),
    ] {
        if number == "000" {
            invalid(format!(r#"{{"text":"a","n":{number}}}"#), "not-json");
            continue;
        }
        let content = read(format!(r#"{{"text":"a","n":{number}}}"#)).unwrap();
        let found = fields(&content).contains(&("/n", number, false));
        assert_eq!(found, inspected, "{number}: a card number sent as a number is still a card number");
    }
}

#[test]
fn the_envelope_may_have_32_levels_and_no_more() {
    let nested = |levels: usize| {
        format!(r#"{{"text":"a","x":{}"b"{}}}"#, "[".repeat(levels - 1), "]".repeat(levels - 1))
    };
    assert!(read(nested(32)).is_ok());
    invalid(nested(33), "too-deep");
    invalid(nested(200_000), "too-deep");
    let objects = format!(r#"{{"text":"a","x":{}1{}}}"#, r#"{"k":"#.repeat(32), "}".repeat(32));
    invalid(objects, "too-deep");
}

#[test]
fn there_may_be_256_values_and_names_do_not_count() {
    let with = |others: usize| json!({"text": "a", "list": vec!["b"; others]}).to_string();
    assert_eq!(read(with(255)).unwrap().fields().filter(|f| !f.in_key).count(), 256);
    invalid(with(256), "too-many-fields");
    let members: serde_json::Map<String, Value> = (0..255).map(|i| (format!("k{i}"), json!("v"))).collect();
    assert_eq!(read(json!({"text": "a", "metadata": members}).to_string()).unwrap().fields().count(), 511);
    invalid(json!({"text": "a", "empty": vec![""; 256]}).to_string(), "too-many-fields");
    let uncounted = json!({"text": "a", "list": vec![json!(true); 300], "n": vec![json!(7); 300]});
    assert!(read(uncounted.to_string()).is_ok(), "what is not inspected is no field");
}

#[test]
fn all_texts_together_may_have_one_mebibyte_names_included() {
    let max = 1 << 20;
    assert_eq!(read(json!({"text": "a".repeat(max)}).to_string()).unwrap().size_bytes(), max);
    too_large(json!({"text": "a".repeat(max + 1)}).to_string(), "text-too-large");
    let with_name = |name: usize| json!({"text": "a".repeat(max - 8), "k".repeat(name): 1}).to_string();
    assert!(read(with_name(8)).is_ok());
    too_large(with_name(9), "text-too-large");
    let in_two = json!({"text": "a".repeat(max / 2), "title": "b".repeat(max / 2), "x": "c"});
    too_large(in_two.to_string(), "text-too-large");
}

#[test]
fn a_body_may_have_two_mebibytes_and_its_size_is_judged_first() {
    let padded = |bytes: usize| {
        let start = r#"{"text":"a""#;
        format!("{start}{}}}", " ".repeat(bytes - start.len() - 1))
    };
    assert!(read(padded(2 << 20)).is_ok());
    too_large(padded((2 << 20) + 1), "body-too-large");
    too_large(vec![0xff; 10 << 20], "body-too-large");
}

#[test]
fn one_long_name_above_many_values_does_not_multiply_in_memory() {
    let name = "n".repeat(100_000);
    too_large(json!({"text": "a", "x": {name: vec!["b"; 200]}}).to_string(), "text-too-large");
}

#[test]
fn each_bound_can_be_set() {
    let mut bounds = EnvelopeBounds::default();
    (bounds.body_bytes_max, bounds.text_bytes_max, bounds.fields_max, bounds.depth_max) = (64, 8, 2, 2);
    for (json, error) in [
        (json!({"text": "a".repeat(64)}), ContentError::BodyTooLarge { max: 64 }),
        (json!({"text": "a".repeat(9)}), ContentError::TextTooLarge { max: 8 }),
        (json!({"text": "a", "x": ["b", "c"]}), ContentError::TooManyFields { max: 2 }),
        (json!({"text": "a", "x": [[]]}), ContentError::TooDeep { max: 2 }),
    ] {
        let refused = Received::read(json.to_string().as_bytes(), ReadAs::Envelope, &bounds);
        assert_eq!(refused.unwrap_err(), error);
    }
}

#[test]
fn what_is_split_over_fields_stands_together_in_the_joined_view() {
    let content = read(r#"{"text":"second","title":"first","metadata":{"k":"third"}}"#).unwrap();
    let joined = content.joined().unwrap();
    assert_eq!(joined.text(), "first\nsecond\nthird", "values in their order, without the names");
    assert_eq!(joined.starts().collect::<Vec<_>>(), [0, 6, 13]);
    assert!(joined.crosses(&(3..8)) && !joined.crosses(&(6..12)));
    assert!(ContentEnvelope::post("alone").unwrap().joined().is_none(), "one field is seen anyway");
}

#[test]
fn who_sends_is_not_content_of_a_submission_and_is_content_of_a_bare_envelope() {
    let json = r#"{"text":"a","agentId":"agent-7","ownerId":"o:1","trustLevel":"VERIFIED","sourceId":"p.1","revisionOf":"p.0","ip":"203.0.113.9"}"#;
    let received = submission(json).unwrap();
    assert_eq!(fields(&received.content), [("/text", "a", false)]);
    let said = &received.attribution;
    assert_eq!(said.agent.as_ref().unwrap().as_str(), "agent-7");
    assert_eq!(said.owner.as_ref().unwrap().as_str(), "o:1");
    assert_eq!(said.trust, Some(TrustLevel::Verified));
    assert_eq!(said.source.as_ref().unwrap().as_str(), "p.1");
    assert_eq!(said.revision_of.as_ref().unwrap().as_str(), "p.0");
    assert_eq!(said.ip.unwrap().to_string(), "203.0.113.9");
    assert_eq!(
        read(json).unwrap().fields().count(),
        13,
        "unknown members are inspected, whatever they are called"
    );
    assert_eq!(
        submission(r#"{"text":"a","id":"x"}"#).unwrap().content.fields().count(),
        3,
        "`id` is of lines alone"
    );
}

#[test]
fn who_sends_is_validated() {
    for (json, code) in [
        (r#"{"text":"a","agentId":""}"#, "ssg-core/not-an-id"),
        (r#"{"text":"a","agentId":"a b"}"#, "ssg-core/not-an-id"),
        (r#"{"text":"a","ownerId":"a/b"}"#, "ssg-core/not-an-id"),
        (r#"{"text":"a","sourceId":"\u00e4"}"#, "ssg-core/not-an-id"),
        (r#"{"text":"a","agentId":7}"#, "ssg-core/wrong-type"),
        (r#"{"text":"a","agentId":{"text":"b"}}"#, "ssg-core/wrong-type"),
        (r#"{"text":"a","trustLevel":"ADMIN"}"#, "ssg-core/unknown-word"),
        (r#"{"text":"a","trustLevel":"verified"}"#, "ssg-core/unknown-word"),
        (r#"{"text":"a","ip":["1.2.3.4"]}"#, "ssg-core/wrong-type"),
        (r#"{"text":"a","agentId":"\u0000"}"#, "ssg-core/nul"),
    ] {
        assert_eq!(submission(json).unwrap_err().code(), code, "{json}");
    }
    let longest = json!({"text": "a", "agentId": "a".repeat(128)}).to_string();
    assert!(submission(&longest).is_ok());
    let longer = json!({"text": "a", "agentId": "a".repeat(129)}).to_string();
    assert_eq!(submission(&longer).unwrap_err().code(), "ssg-core/not-an-id");
    let unreadable = submission(r#"{"text":"a","ip":"999.1.1.1","trustLevel":null}"#).unwrap().attribution;
    assert_eq!((unreadable.ip, unreadable.trust), (None, None), "an unreadable address is none");
}

#[test]
fn what_a_line_says_of_itself_is_read_and_not_inspected() {
    let received = line(r#"{"id":"l-1","text":"a","label":1,"cat":"pi"}"#).unwrap();
    assert_eq!(fields(&received.content), [("/text", "a", false)]);
    assert_eq!(received.line.id, Some(LineId::Text("l-1".to_owned())));
    assert_eq!((received.line.label, received.line.cat.as_deref()), (Some(true), Some("pi")));
    assert_eq!(line(r#"{"id":-7,"text":"a","label":0}"#).unwrap().line.id, Some(LineId::Number(-7)));
    let long = json!({"text": "a", "cat": "c".repeat(500)}).to_string();
    assert_eq!(line(&long).unwrap().line.cat.unwrap().len(), 128);
    for json in [
        r#"{"text":"a","id":""}"#,
        r#"{"text":"a","id":1.5}"#,
        r#"{"text":"a","id":99999999999999999999}"#,
        r#"{"text":"a","id":[1]}"#,
        r#"{"text":"a","label":2}"#,
        r#"{"text":"a","label":"1"}"#,
        r#"{"text":"a","cat":1}"#,
    ] {
        assert_eq!(line(json).unwrap_err().code(), "ssg-core/wrong-type", "{json}");
    }
}

#[test]
fn equal_content_has_one_canonical_spelling_whoever_sent_it() {
    let spellings = [
        r#"{"text":"a\u00e9","metadata":{"b":1,"a":[true,null]},"agentId":"x"}"#,
        "{ \"metadata\" : {\"a\":[ true , null ],\"b\":1 },\"agentId\":\"y\", \"text\" : \"aé\", \"ip\":\"::1\" }\n",
    ];
    let canonical = spellings.map(|json| submission(json).unwrap().content.canonical());
    assert_eq!(canonical[0], canonical[1]);
    assert_eq!(canonical[0], r#"{"metadata":{"a":[true,null],"b":1},"text":"aé"}"#.as_bytes());
    let other = submission(r#"{"text":"a\u00e9","metadata":{"b":1.0,"a":[true,null]}}"#).unwrap();
    assert_ne!(other.content.canonical(), canonical[0], "another spelling of a number is another content");
}

#[test]
fn what_came_in_is_kept_as_it_was() {
    let json = r#"  {"text":"\u0061", "n": 1.50 }  "#;
    assert_eq!(read(json).unwrap().received(), json.trim());
}

#[test]
fn an_envelope_that_is_made_obeys_the_same_rules_as_one_that_came_in() {
    let mut parts = EnvelopeParts::new("a");
    parts.title = Some("b".into());
    parts.content_type = ContentType::Comment;
    assert_eq!(fields(&parts.build().unwrap()), [("/title", "b", false), ("/text", "a", false)]);
    parts.category = Some(PostCategory::Supply);
    assert_eq!(parts.build().unwrap_err(), ContentError::CategoryWithoutPost);
    assert_eq!(ContentEnvelope::post("").unwrap_err(), ContentError::TextEmpty);
    assert_eq!(ContentEnvelope::post("a\0").unwrap_err(), ContentError::Nul);
    let too_long = ContentEnvelope::post(&"a".repeat((1 << 20) + 1));
    assert_eq!(too_long.unwrap_err(), ContentError::TextTooLarge { max: 1 << 20 });
}

#[test]
fn neither_errors_nor_debug_output_carry_content() {
    let marker = "hunter2";
    for json in [
        format!(r#"{{"text":"{marker}","text":"{marker}"}}"#),
        format!(r#"{{"text":"{marker}\ud800"}}"#),
        format!(r#"{{"text":"{marker}","contentType":"{marker}"}}"#),
        format!(r#"{{"text":"{marker}\u0000"}}"#),
        format!(r#"{{"text":["{marker}"]}}"#),
        format!(r#"{{"{marker}":1"#),
        format!(r#"{{"text":"a","{marker}":{{"{marker}":1,"{marker}":2}}}}"#),
    ] {
        let error = read(&json).unwrap_err();
        assert!(!format!("{error} {error:?}").contains(marker), "{error:?}");
    }
    let content = read(json!({"text": marker, "k": {marker: marker}}).to_string()).unwrap();
    assert!(!format!("{content:?}").contains(marker));
}

/// Any JSON value, three levels deep, with names and strings that try to break out.
fn any_json() -> impl Strategy<Value = Value> {
    let text = "[a-z0-9/~\"\\\\\u{e9}\u{1f600}\u{202e} ]{0,6}";
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(text, inner, 0..4)
                .prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

/// All non-empty strings and names below a value.
fn texts(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::String(text) => into.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|v| texts(v, into)),
        Value::Object(members) => members.iter().for_each(|(name, v)| {
            into.push(name.clone());
            texts(v, into);
        }),
        Value::Number(n) if n.to_string().bytes().filter(u8::is_ascii_digit).count() >= 12 => {
            into.push(n.to_string());
        }
        _ => {}
    }
}

proptest! {
    #[test]
    fn whatever_the_shape_every_text_is_a_field_and_its_pointer_leads_to_it(rest in any_json()) {
        let envelope = json!({"text": "t", "rest": rest});
        let content = read(envelope.to_string()).unwrap();
        let mut wanted = vec!["t".to_owned(), "rest".to_owned()];
        texts(&envelope["rest"], &mut wanted);
        wanted.retain(|text| !text.is_empty());
        wanted.sort();
        let mut seen: Vec<_> = content.fields().map(|f| f.text.to_owned()).collect();
        seen.sort();
        prop_assert_eq!(seen, wanted);
        for field in content.fields() {
            let at = envelope.pointer(field.pointer);
            prop_assert!(at.is_some(), "{} leads nowhere", field.pointer);
            match at {
                Some(Value::String(text)) if !field.in_key => prop_assert_eq!(text, field.text),
                _ => prop_assert!(field.in_key || at.is_some_and(Value::is_number)),
            }
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        drop(read(&bytes));
    }

    #[test]
    fn no_text_like_json_makes_the_reader_panic(text in "[{}\\[\\],:\"\\\\u0-9a-e.+ -]{0,64}") {
        drop(read(format!(r#"{{"text":"a","x":{text}}}"#)));
    }

    #[test]
    fn reading_what_is_canonical_gives_the_same_content(rest in any_json()) {
        let content = read(json!({"text": "t", "rest": rest}).to_string()).unwrap();
        let again = read(content.canonical()).unwrap();
        prop_assert_eq!(content.canonical(), again.canonical());
    }
}

#[test]
fn the_name_of_a_member_is_inspected_whatever_its_value() {
    for value in ["true", "false", "null", "1", "\"x\"", "[]", "{}"] {
        let content = read(format!(r#"{{"text":"t","smuggled-name":{value}}}"#)).unwrap();
        let is_seen = content.fields().any(|f| f.text == "smuggled-name" && f.in_key);
        assert!(is_seen, "with the value {value}");
    }
}

#[test]
fn what_says_nothing_makes_no_other_content() {
    let plain = read(r#"{"text":"t"}"#).unwrap().canonical();
    for same in [
        r#"{ "text" : "\u0074" }"#,
        r#"{"title":null,"text":"t"}"#,
        r#"{"text":"t","contentType":"POST"}"#,
        r#"{"contentType":null,"metadata":null,"text":"t"}"#,
    ] {
        assert_eq!(read(same).unwrap().canonical(), plain, "{same}");
    }
    for other in [r#"{"text":"t","contentType":"COMMENT"}"#, r#"{"text":"T"}"#, r#"{"text":"t","n":1}"#] {
        assert_ne!(read(other).unwrap().canonical(), plain, "{other}");
    }
}
