//! Sealing and opening against the cipher alone, on the same bytes in the same run.
#![expect(clippy::unwrap_used, reason = "a bench that cannot run fails")]

use std::hint::black_box;

use clawexchange_quarantine::{CHUNK_BYTES, FreshKey, KeyRing, Opener, SealContext, Sealer, open, seal};
use clawexchange_ssg_core::{ContentType, KeyId, KeyProvider as _, Mac, QuarantineId, RiskTier, Timestamp};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

fn context(size: usize) -> SealContext {
    let code = Mac::new(KeyId::new("bench").unwrap(), [7; 32]);
    let size = u64::try_from(size).unwrap();
    let at = Timestamp::from_micros(1_800_000_000_000_000);
    SealContext::new(QuarantineId::fresh(), at, RiskTier::High, ContentType::Post, size, code)
}

/// The cipher and nothing else: chunks of 16 KiB into one buffer, a counter as nonce.
fn bare_seal(content: &[u8], out: &mut Vec<u8>) {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[7; 32]).unwrap());
    for (n, chunk) in content.chunks(CHUNK_BYTES).enumerate() {
        let from = out.len();
        out.extend_from_slice(chunk);
        let tag = key.seal_in_place_separate_tag(nonce(n), Aad::empty(), out.get_mut(from..).unwrap());
        out.extend_from_slice(tag.unwrap().as_ref());
    }
}

fn bare_open(sealed: &[u8], out: &mut Vec<u8>) {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[7; 32]).unwrap());
    for (n, chunk) in sealed.chunks(CHUNK_BYTES + 16).enumerate() {
        let (text, tag) = chunk.split_last_chunk::<16>().unwrap();
        let from = out.len();
        out.extend_from_slice(text);
        let place = out.get_mut(from..).unwrap();
        key.open_in_place_separate_tag(nonce(n), Aad::empty(), (*tag).into(), place, 0..).unwrap();
    }
}

fn nonce(n: usize) -> Nonce {
    let mut bytes = [0; 12];
    for (to, from) in bytes.iter_mut().skip(4).zip(u64::try_from(n).unwrap().to_be_bytes()) {
        *to = from;
    }
    Nonce::assume_unique_for_key(bytes)
}

fn bench(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for (name, size) in [("280 B", 280), ("1 MiB", 1 << 20)] {
        let (content, context) = (vec![b'x'; size], context(size));
        let mut group = c.benchmark_group(name);
        group.throughput(Throughput::Bytes(u64::try_from(size).unwrap()));
        // One buffer for all rounds, so that the cost of fresh memory does not drown what is compared.
        let mut out = Vec::with_capacity(size + size / 100 + 2048);
        group.bench_function("seal, cipher alone", |b| {
            b.iter(|| {
                out.clear();
                bare_seal(black_box(&content), &mut out);
            });
        });
        let bare = out.clone();
        group.bench_function("seal", |b| {
            b.iter(|| {
                out.clear();
                let mut sealer = Sealer::new(FreshKey::generate().unwrap(), &context, &mut out).unwrap();
                sealer.push(black_box(&content), &mut out).unwrap();
                sealer.finish(&mut out).unwrap();
            });
        });
        let keys = KeyRing::generate().unwrap();
        group.bench_function("seal and wrap", |b| {
            b.iter(|| {
                out.clear();
                let key = FreshKey::generate().unwrap();
                let wrapped = runtime.block_on(keys.wrap(&keys.active(), b"record", key.data_key()));
                let mut sealer = Sealer::new(key, &context, &mut out).unwrap();
                sealer.push(black_box(&content), &mut out).unwrap();
                sealer.finish(&mut out).unwrap();
                wrapped.unwrap()
            });
        });
        group.bench_function("open, cipher alone", |b| {
            b.iter(|| {
                out.clear();
                bare_open(black_box(&bare), &mut out);
            });
        });
        let key = FreshKey::generate().unwrap();
        let reader = key.data_key().clone();
        let sealed = seal(key, &context, &content).unwrap();
        group.bench_function("open", |b| {
            b.iter(|| {
                out.clear();
                let mut opener = Opener::new(&reader, &context).unwrap();
                opener.push(black_box(&sealed), &mut out).unwrap();
                opener.finish(&mut out).unwrap();
            });
        });
        group.bench_function("open into fresh memory, and wipe it", |b| {
            b.iter(|| open(&reader, &context, black_box(&sealed)).unwrap());
        });
        group.finish();
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
