//! Endpoints whose host vanishes with attempts on it: packets are dropped, and nobody says so.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::support::client::{Answer, Client};
use crate::support::framed_endpoint::{FramedEndpoint, FramedPeer};
use crate::support::own_network::{FarHost, in_own_network};
use crate::support::patience::{Stopwatch, eventually};
use crate::support::server::Server;
use crate::support::specification::{With, pool};

/// Clients at once; endpoints take turns.
const CLIENTS: usize = 20;
/// Far below the deadline of 30 s, and far above the 3 s after which an instance without a sign of life is lost and the
/// 2 s after which one that cannot be connected to is.
const IN_TIME: Duration = Duration::from_secs(20);

/// An endpoint that stays, one that will vanish, and a function of both that has called each over frames.
struct Endpoints {
    server: Server,
    near: FramedPeer,
    far: FramedPeer,
}

impl Endpoints {
    fn open(host: &FarHost, name: &str, retries: u32) -> Self {
        let server = Server::start_bare(&[]);
        let near = FramedEndpoint::listen();
        let far = host.on_it(FramedEndpoint::listen_at);
        let specification = pool(name, vec![near.url(), far.url()])
            .with("frames", true)
            .with("concurrency", 200)
            .with("maxRetries", retries)
            .with("retryBackoffMs", 0)
            .with("timeoutMs", 30_000);
        server.register(&specification);
        let mut client = server.client();
        eventually("both are asked for frames", || {
            assert_eq!(client.invoke(name, 1).output(), "http");
            (near.was_asked() && far.was_asked()).then_some(())
        });
        let (near, far) = (near.greeted(), far.greeted());
        Self { server, near, far }
    }
}

/// Clients that have invoked.
fn ask(server: &Server, name: &str, count: usize) -> Vec<Client> {
    let mut clients: Vec<Client> = (0..count).map(|_| server.client()).collect();
    for (at, client) in clients.iter_mut().enumerate() {
        client.ask_invoke(name, "", at);
    }
    clients
}

#[test]
fn attempts_at_a_host_that_vanishes_are_tried_again_elsewhere_once_and_long_before_their_deadline() {
    let test = "vanished::attempts_at_a_host_that_vanishes_are_tried_again_elsewhere_once_and_long_before_their_deadline";
    in_own_network(test, |host| {
        let Endpoints { server, mut near, mut far } = Endpoints::open(&host, "gone", 1);
        let mut clients = ask(&server, "gone", CLIENTS);
        let on_far: Vec<_> = (0..CLIENTS / 2).map(|_| far.attempt()).collect();
        host.vanish();
        let watch = Stopwatch::start();
        // It is not known to be gone yet: some of these are written to it.
        clients.extend(ask(&server, "gone", CLIENTS));
        let (mut ran, mut again) = (BTreeSet::new(), 0);
        while ran.len() < clients.len() {
            let attempt = near.attempt();
            assert!(ran.insert(attempt.head.execution_id), "{:?} runs twice", attempt.head.execution_id);
            near.answer(attempt.sequence, 200, "\"near\"").unwrap();
            again += usize::from(attempt.head.attempt == 2);
        }
        let answers: Vec<_> = clients.iter_mut().map(Client::receive).collect();
        let took = watch.elapsed();
        let is_well = |answer: &Answer| answer.status == 200 && answer.output() == "near";
        assert!(answers.iter().all(is_well), "{answers:?}");
        assert!(again >= on_far.len(), "{again} were tried again");
        assert!(took < IN_TIME, "it took {took:?}");
        assert!(near.event().is_none(), "nothing runs twice");
    });
}

#[test]
fn attempts_at_a_host_that_vanishes_fail_once_and_long_before_their_deadline_where_none_is_tried_again() {
    let test = "vanished::attempts_at_a_host_that_vanishes_fail_once_and_long_before_their_deadline_where_none_is_tried_again";
    in_own_network(test, |host| {
        let Endpoints { server, mut near, mut far } = Endpoints::open(&host, "lost", 0);
        let mut clients = ask(&server, "lost", CLIENTS);
        for _ in 0..CLIENTS / 2 {
            far.attempt();
            let attempt = near.attempt();
            near.answer(attempt.sequence, 200, "\"near\"").unwrap();
        }
        host.vanish();
        let watch = Stopwatch::start();
        let answers: Vec<_> = clients.iter_mut().map(Client::receive).collect();
        let took = watch.elapsed();
        let (well, failed): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
        assert_eq!((well.len(), failed.len()), (CLIENTS / 2, CLIENTS / 2), "{answers:?}");
        for answer in failed {
            answer.assert_error(500, "INSTANCE_CRASHED", "function", &["the instance went away"]);
            assert_eq!(answer.header("x-attempts"), Some("1"));
        }
        assert!(took < IN_TIME, "it took {took:?}");
        assert!(near.event().is_none(), "nothing is tried again");
    });
}
