//! Callers that invoke a function one after the other, each on one connection.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, JoinHandle};

use crate::support::client::Client;
use crate::support::patience::{Stopwatch, eventually};
use crate::support::server::Server;

/// Callers that do not stop.
pub(crate) struct Pressure {
    over: Arc<AtomicBool>,
    answered: Arc<AtomicU32>,
    callers: Vec<JoinHandle<BTreeMap<String, u32>>>,
    watch: Stopwatch,
}

impl Pressure {
    /// Begins to invoke `function` with `input`.
    pub(crate) fn start(server: &Server, function: &'static str, input: &'static str, callers: u32) -> Self {
        let (over, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let callers = (0..callers).map(|_| {
            let (client, over, answered) = (server.client(), over.clone(), answered.clone());
            thread::spawn(move || call(client, function, input, &over, &answered))
        });
        let callers = callers.collect();
        let pressure = Self { over, answered, callers, watch: Stopwatch::start() };
        pressure.goes_on(20);
        pressure
    }

    /// Waits until so many more were answered.
    pub(crate) fn goes_on(&self, answers: u32) {
        let before = self.answered.load(Ordering::Relaxed);
        eventually("the load is answered", || {
            (self.answered.load(Ordering::Relaxed) - before >= answers).then_some(())
        });
    }

    /// Ends it. Everything was answered with 200; what was answered, each with how often.
    #[track_caller]
    pub(crate) fn stop(self) -> BTreeMap<String, u32> {
        self.over.store(true, Ordering::Release);
        let mut whole = BTreeMap::new();
        for caller in self.callers {
            for (answer, times) in caller.join().expect("every request is answered") {
                *whole.entry(answer).or_default() += times;
            }
        }
        println!(
            "{} answers in {:?}: {whole:?}",
            self.answered.load(Ordering::Relaxed),
            self.watch.elapsed()
        );
        assert!(whole.keys().all(|answer| answer.starts_with("200 ")), "{whole:#?}");
        whole
    }
}

fn call(
    mut client: Client,
    function: &str,
    input: &str,
    over: &AtomicBool,
    answered: &AtomicU32,
) -> BTreeMap<String, u32> {
    let mut answers = BTreeMap::new();
    while !over.load(Ordering::Acquire) {
        let answer = client.invoke(function, input);
        let text = match answer.status {
            // Parts that differ from one execution to the next would make each answer one of its own.
            200 if answer.json()["output"].is_object() => "200 an object".to_owned(),
            200 => format!("200 {}", answer.json()["output"]),
            status => format!("{status} {}", answer.json()["error"]),
        };
        *answers.entry(text).or_default() += 1;
        answered.fetch_add(1, Ordering::Relaxed);
    }
    answers
}
