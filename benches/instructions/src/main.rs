//! The invoke path, driven in one thread for callgrind to count: `cargo xtask bench instructions`.
//!
//! Without an argument it prints the names of its cases. With one it runs that case, of which callgrind counts
//! what happens inside of [`counted`] and not inside of [`outside`], and prints how many invocations that were
//! and of what kind the processor is.
//!
//! Nothing here depends on the machine's load or clock, so the count is the same in each run: there is one
//! thread, which also runs the scheduler, as a gateway does that ticks; time passes by a step for each look at
//! it ([`instance::clock_gettime`]); clients have no sockets. The instance of the `WARM` cases has a Unix socket whose other
//! end this thread serves, so that the gateway's own client is in the count; what the kernel does for it is not.

#![expect(clippy::unwrap_used, reason = "what is not as it should be ends the count")]

mod client;
mod instance;
#[path = "../../world/mod.rs"]
mod world;

use std::hint::black_box;
use std::process::ExitCode;
use std::rc::Rc;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::header::{AUTHORIZATION, LOCATION};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Response};
use picofaas::internals::api::Body;
use picofaas::internals::channel::{self, MessageReceiver};
use picofaas::internals::error::ErrorCode;
use picofaas::internals::gateway::{BodySource, Gateway};
use picofaas::internals::messages::{ControlMessage, JobEnd, JobStart};
use tokio::runtime::LocalRuntime;

use client::Client;
use instance::{INPUT, OUTPUT};
use world::{FUNCTION, JOB, WARM, World, head, parts, routed};

/// Invocations before those that are counted, which fill every pool and buffer.
const WARM_UP: usize = 200;
/// Connections of the case with several.
const TOGETHER: usize = 25;
/// Invocations that are counted.
const COUNTED: usize = 1000;

type Case = (&'static str, fn(&LocalRuntime));

const CASES: [Case; 6] = [
    ("warm/invoke", warm_invoke),
    ("warm/enqueue", warm_enqueue),
    ("warm/invoke-http", warm_invoke_http),
    ("warm/invoke-frames", warm_invoke_frames),
    ("job/invoke", job_invoke),
    ("job/post", job_post),
];

fn main() -> ExitCode {
    let Some(wanted) = std::env::args().nth(1) else {
        CASES.iter().for_each(|(name, _)| println!("{name}"));
        return ExitCode::SUCCESS;
    };
    let Some((_, run)) = CASES.iter().find(|(name, _)| *name == wanted) else {
        eprintln!("instructions: there is no case {wanted:?}; without an argument this program lists them");
        return ExitCode::FAILURE;
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(tokio::runtime::LocalOptions::default())
        .unwrap();
    run(&runtime);
    instance::remove();
    println!("{COUNTED}\n{}", cpu());
    ExitCode::SUCCESS
}

/// Features of the processor by which copying and parsing choose their code, as far as this program can find them.
fn cpu() -> String {
    #[cfg(target_arch = "x86_64")]
    let features =
        [("sse4.2", is_x86_feature_detected!("sse4.2")), ("avx2", is_x86_feature_detected!("avx2"))];
    #[cfg(not(target_arch = "x86_64"))]
    let features: [(&str, bool); 0] = [];
    let there = features.iter().filter(|(_, there)| *there).map(|(name, _)| format!(" {name}"));
    std::env::consts::ARCH.to_owned() + &there.collect::<String>()
}

/// Runs work that callgrind counts: it collects from where this is entered to where it is left.
#[inline(never)]
fn counted<T>(work: impl FnOnce() -> T) -> T {
    let done = work();
    // Without this the work could be a jump, which is never left.
    black_box(());
    done
}

/// Runs work within [`counted`] that callgrind leaves out, as others do it.
#[inline(never)]
fn outside<T>(work: impl FnOnce() -> T) -> T {
    let done = work();
    black_box(());
    done
}

/// A gateway whose function has a warm instance, which it calls over HTTP/1.1.
fn warm(runtime: &LocalRuntime) -> Rc<Gateway> {
    warm_with(runtime, &["--frames", "off"])
}

fn warm_with(runtime: &LocalRuntime, flags: &[&str]) -> Rc<Gateway> {
    let world = World::new(WARM, flags);
    world.start_instance(instance::start(runtime));
    let gateway = world.leave_idle_scheduler().0;
    let its_gateway = gateway.clone();
    runtime.spawn_local(async move { its_gateway.take_turns().unwrap().await });
    gateway
}

/// From a request whose head was parsed to the answer as hyper is given it, with the attempt in between.
fn warm_invoke(runtime: &LocalRuntime) {
    let gateway = warm(runtime);
    count_invocations(runtime, &gateway);
}

/// Counts calls that wait for their answer.
fn count_invocations(runtime: &LocalRuntime, gateway: &Rc<Gateway>) {
    let parts = parts(head(":invoke"));
    let request = routed(&parts);
    runtime.block_on(check_answer(gateway, &parts));
    let invoke = async |times| {
        for _ in 0..times {
            let answer = gateway.invoke(FUNCTION, request, BodySource::Whole(INPUT)).await;
            assert_eq!(answer.status(), 200);
        }
    };
    runtime.block_on(invoke(WARM_UP));
    counted(|| runtime.block_on(invoke(COUNTED)));
}

/// A promised execution, and the read that waits for its end.
fn warm_enqueue(runtime: &LocalRuntime) {
    let gateway = warm(runtime);
    let parts = parts(head(":enqueue"));
    let request = routed(&parts);
    let enqueue = async |times| {
        for _ in 0..times {
            let accepted = gateway.enqueue_only(FUNCTION, request, BodySource::Whole(INPUT)).await;
            assert_eq!(accepted.status(), 202);
            let id = outside(|| id(&accepted));
            let read = gateway.execution(&id, Some("wait=10")).await;
            assert_eq!(read.status(), 200);
        }
    };
    runtime.block_on(enqueue(WARM_UP));
    counted(|| runtime.block_on(enqueue(COUNTED)));
    runtime.block_on(async {
        let accepted = gateway.enqueue_only(FUNCTION, request, BodySource::Whole(INPUT)).await;
        check_output(gateway.execution(&id(&accepted), Some("wait=10")).await).await;
    });
}

/// The same as `warm/invoke` from the bytes of a request to those of its answer: with hyper and the routes.
fn warm_invoke_http(runtime: &LocalRuntime) {
    let gateway = warm(runtime);
    let mut client = Client::connect(runtime, gateway);
    let answer = runtime.block_on(client.invoke());
    assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n") && answer.ends_with(b"}"), "{answer:?}");
    let mut invoke = async |times| {
        for _ in 0..times {
            let answer = client.invoke().await;
            outside(|| assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n")));
        }
    };
    runtime.block_on(invoke(WARM_UP));
    counted(|| runtime.block_on(invoke(COUNTED)));
}

/// The same over frames, of [`TOGETHER`] connections at once: what is ready goes out in batches.
fn warm_invoke_frames(runtime: &LocalRuntime) {
    let gateway = warm_with(runtime, &[]);
    let mut clients: Vec<_> = (0..TOGETHER).map(|_| Client::connect(runtime, gateway.clone())).collect();
    runtime.block_on(async {
        // The first are called over HTTP/1.1, until the offer is accepted.
        while !instance::has_framed() {
            clients[0].invoke().await;
        }
    });
    let mut invoke = |times: usize| {
        let tasks: Vec<_> =
            clients.drain(..).map(|client| runtime.spawn_local(several(client, times))).collect();
        for task in tasks {
            clients.push(runtime.block_on(task).unwrap());
        }
    };
    invoke(WARM_UP);
    counted(|| invoke(COUNTED));
}

/// The part of one client of so many invocations.
async fn several(mut client: Client, times: usize) -> Client {
    for _ in 0..times / TOGETHER {
        let answer = client.invoke().await;
        outside(|| assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n") && answer.ends_with(b"}")));
    }
    client
}

/// A call of a `JOB` function, whose process fetches its input, posts its result and ends.
fn job_invoke(runtime: &LocalRuntime) {
    let (gateway, messages) = World::new(JOB, &[]).leave_idle_scheduler();
    let its_gateway = gateway.clone();
    runtime.spawn_local(processes(messages, async move |start: &JobStart| {
        let (id, headers) = outside(|| (start.execution.to_string(), process_headers(start)));
        assert_eq!(its_gateway.job_input(&id, &headers).status(), 200);
        let posted = its_gateway.complete_job(&id, &headers, BodySource::Whole(OUTPUT)).await;
        assert_eq!(posted.status(), 204);
    }));
    count_invocations(runtime, &gateway);
}

/// The post of a result alone.
fn job_post(runtime: &LocalRuntime) {
    let (gateway, messages) = World::new(JOB, &[]).leave_idle_scheduler();
    let its_gateway = gateway.clone();
    let mut posts = 0;
    runtime.spawn_local(processes(messages, async move |start: &JobStart| {
        let (id, headers) = (start.execution.to_string(), process_headers(start));
        let post = its_gateway.complete_job(&id, &headers, BodySource::Whole(OUTPUT));
        posts += 1;
        // The first of them are the warm-up. A body that is there needs no second poll.
        let posted = if posts <= WARM_UP {
            post.await
        } else {
            use std::task::{Context, Poll, Waker};
            let mut post = std::pin::pin!(post);
            let polled = counted(|| post.as_mut().poll(&mut Context::from_waker(Waker::noop())));
            let Poll::Ready(posted) = polled else { panic!("a post of a whole body waited") };
            posted
        };
        assert_eq!(posted.status(), 204);
    }));
    let parts = parts(head(":invoke"));
    let request = routed(&parts);
    runtime.block_on(async {
        for _ in 0..WARM_UP + COUNTED {
            let answer = gateway.invoke(FUNCTION, request, BodySource::Whole(INPUT)).await;
            assert_eq!(answer.status(), 200);
        }
    });
}

/// Plays control: each process that is asked for does `work` and ends well.
async fn processes(mut messages: MessageReceiver<ControlMessage>, mut work: impl AsyncFnMut(&JobStart)) {
    while let Some(message) = messages.recv().await {
        let ControlMessage::StartJob(start) = message else {
            panic!("nothing else is asked for: {message:?}")
        };
        work(&start).await;
        let end = JobEnd { code: ErrorCode::InstanceCrashed, reason: String::new(), exited_with_0: true };
        channel::answer(start.ended, end);
    }
}

fn process_headers(start: &JobStart) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, format!("Bearer {}", start.token).parse().unwrap());
    headers.insert("x-init-duration-ms", "12".parse().unwrap());
    headers
}

/// The id of an accepted execution.
fn id(accepted: &Response<Body>) -> String {
    let place = accepted.headers()[LOCATION].to_str().unwrap();
    place.rsplit('/').next().unwrap().to_owned()
}

async fn check_answer(gateway: &Rc<Gateway>, parts: &Parts) {
    let answer = gateway.invoke(FUNCTION, routed(parts), BodySource::Whole(INPUT)).await;
    assert_eq!(answer.status(), 200);
    check_output(answer).await;
}

/// Checks that an execution did what it is counted for.
async fn check_output(answer: Response<Body>) {
    let body: Bytes = answer.into_body().collect().await.unwrap().to_bytes();
    let body = String::from_utf8(body.to_vec()).unwrap();
    assert!(
        body.contains(r#""status":"success""#) && body.contains(r#""output":{"text":"hello"}"#),
        "{body}"
    );
}
