//! What stands beside the model: what it was made of, and how good it is.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use crate::inputs::{Inputs, hex};
use crate::learner::{Learned, Settings};

/// The manifest. No date and no path stand in it, so that the same inputs make the same text.
pub(crate) fn of(
    inputs: &Inputs,
    learned: &Learned,
    settings: &Settings,
    [lower, upper]: [i32; 2],
    table: &str,
    model: &[u8],
) -> String {
    let used = learned.weights.iter().filter(|weight| **weight != 0).count();
    let cues: u32 = learned.cues.iter().map(|byte| byte.count_ones()).sum();
    let mut out =
        String::from("model.bin: a linear model of attacks on agents, made by `cargo xtask train`.\n\n");
    _ = writeln!(out, "sha256    {}", hex(&Sha256::digest(model)));
    _ = writeln!(out, "bytes     {}", model.len());
    _ = writeln!(out, "weights   {used} that are not zero in {} buckets", learned.weights.len());
    _ = writeln!(out, "cues      {cues} hashes of stems");
    _ = writeln!(out, "noticed   from {lower} on, in hundredths of a logit");
    _ = writeln!(out, "held      from {upper} on");
    _ = writeln!(out, "learned   {settings}");
    _ = writeln!(out, "\nIts weights are learned from these texts, none of which is part of it:\n");
    for input in inputs.files.iter().filter(|input| input.source.is_learned()) {
        let source = input.source;
        _ = writeln!(
            out,
            "{}\n  {} attacks, {} ordinary; {} ({})\n  sha256 {}",
            source.name, input.attacks, input.ordinary, source.from, source.licence, input.sha256
        );
    }
    out.push_str(
        "\nFigures of the model alone in percent, of texts that the model judging them was not trained on, nor on any\n\
         that begins alike or, of attacks, has a long sentence in common. The model that ships is trained on all of\n\
         them. `cargo xtask train` prints what the rules find beside it.\n\n",
    );
    out.push_str(table);
    out
}
