//! The one pass over a body: serde_json below a size, simd-json above it.
//!
//! `check/bytes=N` is what a gateway does; the other two are its parts, to see where they cross.

mod bodies;

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use picofaas::internals::api::check_invocation;
use serde::de::IgnoredAny;

const SIZES: [usize; 7] = [64, 256, 1024, 2048, 4096, 16_384, 262_144];

fn json(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("json");
    for size in SIZES {
        let body = bodies::invocation(size);
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_with_input(
            BenchmarkId::new("check", format!("bytes={}", body.len())),
            &body,
            |b, body| {
                b.iter(|| check_invocation(black_box(body)).is_ok());
            },
        );
        group.bench_with_input(
            BenchmarkId::new("serde", format!("bytes={}", body.len())),
            &body,
            |b, body| {
                b.iter(|| {
                    std::str::from_utf8(black_box(body))
                        .is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
                });
            },
        );
        let mut buffers = simd_json::Buffers::new(body.len());
        let mut scratch = Vec::with_capacity(body.len());
        group.bench_with_input(
            BenchmarkId::new("simd", format!("bytes={}", body.len())),
            &body,
            |b, body| {
                b.iter(|| {
                    scratch.clear();
                    scratch.extend_from_slice(black_box(body));
                    simd_json::to_tape_with_buffers(&mut scratch, &mut buffers).is_ok()
                });
            },
        );
    }
    group.finish();
}

criterion_group!(benches, json);
criterion_main!(benches);
