//! Runs random histories through the limiter and through a naive count, and stops at the first difference.
//!
//! `cargo run --release --example oracle -- 1000000 7`: so many operations, seeded with 7. The naive side keeps every
//! unit in a list, counts by walking it, and finds waits by trying every moment at which anything could change. A third
//! argument is a file, which is overwritten: the counters are then journalled to it, and opened again now and then. Or it
//! is the address of a Redis, with `--features redis`: the counters there are told the same and have to say the same.
#![expect(clippy::print_stdout, reason = "it is a command")]

mod naive;
mod run;

fn main() -> Result<(), String> {
    let mut args = std::env::args().skip(1);
    let mut number = |default| args.next().map_or(Ok(default), |text| text.parse::<u64>());
    let operations = number(50_000).map_err(|e| format!("not a number of operations: {e}"))?;
    let seed = number(1).map_err(|e| format!("not a seed: {e}"))?;
    let beside = args.next();
    let beside = match &beside {
        Some(url) if url.starts_with("redis") => run::Beside::Redis(url),
        Some(path) => run::Beside::Journal(std::path::Path::new(path)),
        None => run::Beside::Nothing,
    };
    let begun = std::time::Instant::now();
    let counts = run::run(operations, seed, beside)?;
    println!("{counts:?}");
    println!("{operations} operations, no difference, {:.1} s", begun.elapsed().as_secs_f64());
    Ok(())
}
