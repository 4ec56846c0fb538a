//! The floor below an invocation: the system calls that no server between a client and a function can leave out,
//! each way by itself, in one thread. A server in between pays two writes and two reads; the receiving half of a write
//! over loopback TCP is done by the writer.

#![expect(clippy::unwrap_used, reason = "a bench that cannot go on ends there")]

use std::hint::black_box;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

/// Bytes of a request or of an answer with its head, about as long as those of an echo of 40 bytes.
const MESSAGE_BYTES: usize = 250;

/// Two ends of one connection over loopback.
fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (other, _) = listener.accept().unwrap();
    one.set_nodelay(true).unwrap();
    (one, other)
}

/// A write at one end and the read of all of it at the other.
fn pass(one: &mut impl Write, other: &mut impl Read, message: &mut [u8]) {
    one.write_all(message).unwrap();
    other.read_exact(message).unwrap();
}

fn floor(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("floor");
    let mut message = [b'x'; MESSAGE_BYTES];
    group.bench_function(BenchmarkId::new("write-read/tcp", format!("bytes={MESSAGE_BYTES}")), |bencher| {
        let (mut one, mut other) = tcp();
        bencher.iter(|| pass(&mut one, &mut other, black_box(&mut message)));
    });
    group.bench_function(BenchmarkId::new("write-read/unix", format!("bytes={MESSAGE_BYTES}")), |bencher| {
        let (mut one, mut other) = UnixStream::pair().unwrap();
        bencher.iter(|| pass(&mut one, &mut other, black_box(&mut message)));
    });
    group.bench_function("read-of-nothing/tcp", |bencher| {
        let (one, mut other) = tcp();
        other.set_nonblocking(true).unwrap();
        bencher.iter(|| black_box(other.read(&mut message).is_err()));
        drop(one);
    });
    group.finish();
}

criterion_group!(benches, floor);
criterion_main!(benches);
