//! The answer to `:invoke` of an execution that has ended: its JSON around an output of a size, and its headers.

mod bodies;
mod world;

use std::hint::black_box;
use std::rc::Rc;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use hyper::HeaderMap;
use hyper::body::Body as _;
use hyper::header::{AUTHORIZATION, HeaderValue};
use picofaas::internals::api::{ReplyMemory, invocation};
use picofaas::internals::channel::{self, MessageReceiver};
use picofaas::internals::error::ErrorCode;
use picofaas::internals::gateway::{BodySource, Gateway};
use picofaas::internals::id::ExecutionId;
use picofaas::internals::messages::{ControlMessage, JobEnd};
use picofaas::internals::ticket::Ticket;
use tokio::runtime::{Builder, LocalOptions};

use world::{FUNCTION, JOB, World, head, parts, routed};

/// Plays the process of the next attempt, which posts this output.
async fn process(gateway: &Rc<Gateway>, messages: &mut MessageReceiver<ControlMessage>, output: &[u8]) {
    let message = messages.recv().await.expect("a message");
    let ControlMessage::StartJob(start) = message else { panic!("nothing else is asked for: {message:?}") };
    let bearer = format!("Bearer {}", start.token);
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, HeaderValue::from_str(&bearer).expect("a token is text"));
    let result = [br#"{"success":true,"output":"#, output, br#","status":200}"#].concat();
    let id = start.execution.to_string();
    let posted = gateway.complete_job(&id, &headers, BodySource::Whole(Bytes::from(result))).await;
    assert_eq!(posted.status(), 204);
    let end = JobEnd { code: ErrorCode::InstanceCrashed, reason: String::new(), exited_with_0: true };
    channel::answer(start.ended, end);
}

/// A gateway with an execution that has ended with this output.
fn ended(output: &[u8]) -> (Rc<Gateway>, Ticket) {
    let runtime =
        Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).expect("a runtime");
    let (gateway, mut messages) = World::new(JOB, &[]).leave_idle_scheduler();
    let parts = parts(head(":invoke"));
    let input = BodySource::Whole(Bytes::from(bodies::invocation(bodies::SMALL)));
    let (answer, ()) = runtime.block_on(async {
        tokio::join!(
            gateway.invoke(FUNCTION, routed(&parts), input),
            process(&gateway, &mut messages, output)
        )
    });
    assert_eq!(answer.status(), 200);
    let id = answer.headers()["x-execution-id"].to_str().ok().and_then(ExecutionId::parse);
    (gateway, id.expect("an id").ticket)
}

fn envelope(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("envelope");
    for size in [bodies::SMALL, 10_240, 262_144] {
        let output = bodies::output(size);
        let (gateway, ticket) = ended(&output);
        group.throughput(Throughput::Bytes(output.len() as u64));
        let mut memory = ReplyMemory::default();
        group.bench_function(BenchmarkId::new("invoke", format!("bytes={}", output.len())), |b| {
            b.iter(|| {
                let answer = gateway
                    .executions
                    .with(black_box(ticket), |id, execution| invocation(&mut memory, id, execution))
                    .expect("an execution");
                assert!(answer.body().size_hint().lower() > output.len() as u64);
                answer
            });
        });
    }
    group.finish();
}

criterion_group!(benches, envelope);
criterion_main!(benches);
