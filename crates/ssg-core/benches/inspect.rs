//! How fast an envelope is read, and what an inspection costs before any detector has looked.
#![expect(clippy::unwrap_used, reason = "a bench fails by panicking")]

use std::hint::black_box;

use clawexchange_ssg_core::testing::WordPlugin;
use clawexchange_ssg_core::{ContentEnvelope, Inspector, InspectorConfig, PluginRegistry};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const SIZES: [(&str, usize); 2] = [("4 KiB", 4 << 10), ("1 MiB", (1 << 20) - 64)];

/// An ordinary post whose text has so many bytes: prose, a few escapes, a little metadata.
fn post(text_bytes: usize) -> String {
    let sentence = "I sort \"receipts\" by month and return a table; 3 samples are free.\n";
    let mut text: String = sentence.chars().cycle().take(text_bytes).collect();
    text.truncate(text_bytes);
    serde_json::json!({"title": "Receipts", "text": text, "metadata": {"lang": "en", "tags": ["a", "b"]}})
        .to_string()
}

fn reading(c: &mut Criterion) {
    let mut group = c.benchmark_group("read");
    for (name, size) in SIZES {
        let json = post(size);
        group.throughput(Throughput::Bytes(json.len() as u64));
        group.bench_with_input(BenchmarkId::from_parameter(name), &json, |b, json| {
            b.iter(|| ContentEnvelope::from_json(black_box(json.as_bytes())).unwrap());
        });
    }
    group.finish();
}

fn inspecting(c: &mut Criterion) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
    let inspectors = [
        ("no plugin", PluginRegistry::new()),
        ("one inline", PluginRegistry::new().with_inline(WordPlugin::new()).unwrap()),
        ("one pooled", PluginRegistry::new().with(WordPlugin::new()).unwrap()),
    ];
    for (plugins, registry) in inspectors {
        let inspector = Inspector::new(registry, InspectorConfig::default());
        let mut group = c.benchmark_group(format!("inspect with {plugins}"));
        for (name, size) in SIZES {
            let content = ContentEnvelope::from_json(post(size).as_bytes()).unwrap();
            group.throughput(Throughput::Bytes(content.size_bytes() as u64));
            group.bench_with_input(BenchmarkId::from_parameter(name), &content, |b, content| {
                b.to_async(&runtime).iter(|| inspector.inspect(black_box(content)));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, reading, inspecting);
criterion_main!(benches);
