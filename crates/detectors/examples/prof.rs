#![allow(warnings, clippy::all)]
#[path = "../benches/rivals/texts.rs"]
mod texts;
#[path = "../benches/rivals/rivals.rs"]
mod rivals;
use clawexchange_detectors::Detectors;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let size: usize = a[2].parse().unwrap();
    let n: usize = a[3].parse().unwrap();
    let times: usize = a[4].parse().unwrap();
    let all = match a[1].as_str() { "dense" => texts::dense(size, n), "hostile" => texts::hostile(size).into_iter().map(|t| t.1).collect(), _ => texts::ordinary(size, n) };
    let d = Detectors::default();
    let exact = a.get(5).is_some();
    let bytes: usize = all.iter().map(|t| t.len()).sum();
    let mut best = 0.0;
    for i in 0..=times {
        let start = std::time::Instant::now();
        let mut c = 0;
        for t in &all { c += if exact { d.matches_as_sent(t) } else { d.scan(t).len() }; }
        let s = start.elapsed().as_secs_f64(); let m = bytes as f64 / s / 1e6; if i == 0 { eprint!("{c} found, first {m:.2}, "); } if m > best { best = m; } if i == times { eprintln!("best {best:.2} MB/s"); }
    }
}
