//! Somebody who only wants to know what is in a text.

fn main() {
    let text = concat!("deploy with AKIA", "2E0A8F3B244C9986 please");
    let found = clawexchange_detectors::scan(text);
    assert_eq!(found.first().map(|detection| detection.id.as_str()), Some("aws-access-key"));
    println!("works");
}
