//! Command lines and what they print, to the letter: every help text, every sort of usage error, what inspecting says.
//!
//! `TRYCMD=overwrite cargo test --test transcripts` writes the files anew; the difference is then looked at.

#[test]
fn command_lines_print_what_the_transcripts_say() {
    trycmd::TestCases::new()
        .case("tests/cmd/*.trycmd")
        .env("HOME", "/nonexistent")
        .env("XDG_STATE_HOME", "/nonexistent");
}
