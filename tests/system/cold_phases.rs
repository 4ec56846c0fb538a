//! The parts of a wait for an instance that was started for it.

use serde_json::{Value, json};

use crate::support::client::Answer;
use crate::support::server::Server;
use crate::support::specification::{With, job, warm};

/// Time that the handlers here take to load.
const LOAD_MS: u64 = 300;
/// The kernel counts the start of a process in steps of 10 ms, and so the time since boot.
const ROUNDING_MS: u64 = 20;

/// A function that tells its ages, and whose instances are started for a call.
fn loading(function: Value) -> Value {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/system/programs/loading.py");
    function
        .with("local", json!({ "command": ["python3", program] }))
        .with("env", json!([{ "name": "LOAD_MS", "value": LOAD_MS.to_string() }]))
}

/// A function of the Rust runtime that takes so long to load.
fn of_the_runtime(function: Value) -> Value {
    let env = json!([
        { "name": "HANDLER", "value": "echo" },
        { "name": "CONTRACT_LOAD_MS", "value": LOAD_MS.to_string() },
    ]);
    function.with("env", env)
}

fn warm_from_zero(name: &str) -> Value {
    warm(name, "echo").with("replicas", json!({ "min": 0, "max": 1 }))
}

fn standby_from_zero(name: &str) -> Value {
    job(name, "echo").with("standby", json!({ "min": 0, "max": 1 }))
}

/// The durations of `Server-Timing` behind its five stages, in microseconds, and that of `queue`.
fn told(answer: &Answer) -> (Vec<(String, u64)>, u64) {
    let text = answer.header("server-timing").unwrap_or_else(|| panic!("{answer:?}"));
    let all: Vec<(&str, u64)> = text
        .split(", ")
        .map(|part| {
            let (name, ms) = part.split_once(";dur=").unwrap_or_else(|| panic!("{text}"));
            (name, ms.replace('.', "").parse().unwrap())
        })
        .collect();
    let phases = all[5..].iter().map(|(name, us)| (name.strip_prefix("cold-").unwrap().to_owned(), *us));
    assert_eq!(all[1].0, "queue", "{text}");
    (phases.collect(), all[1].1)
}

/// The phases of the first call of a function, as all places tell them: names and microseconds.
#[track_caller]
fn phases_of_first_call(server: &Server, name: &str) -> Vec<(String, u64)> {
    let answer = server.invoke(name, 7);
    assert_eq!((answer.status, answer.header("x-cold-start")), (200, Some("true")), "{answer:?}");
    let (phases, queue) = told(&answer);
    let sum: u64 = phases.iter().map(|(_, us)| us).sum();
    assert!(sum <= queue, "{phases:?} are more than the queue, {queue}");
    let mut client = server.client();
    let read = client.ended(answer.header("x-execution-id").unwrap());
    let in_record = |record: &Value| -> Vec<(String, u64)> {
        let cold = record["cold"].as_object().unwrap_or_else(|| panic!("{record}"));
        phases.iter().map(|(name, _)| (name.clone(), cold[name].as_u64().unwrap() / 1000)).collect()
    };
    assert_eq!(read["cold"].as_object().unwrap().len(), phases.len(), "{read}");
    assert_eq!(in_record(&read), phases);
    let slowest = client.get(&format!("/v1/executions?slowest=1&function={name}")).json();
    assert_eq!(slowest["executions"][0]["cold"], read["cold"]);
    let scrape = server.scrape();
    for (phase, us) in &phases {
        let labels = format!("{{function=\"{name}\",phase=\"{phase}\"}}");
        let of = |what| scrape.series(&format!("picofaas_function_cold_phase_seconds_{what}{labels}"));
        assert_eq!(of("count"), Some(1.0), "{phase}");
        assert!((of("sum").unwrap() * 1e6 - *us as f64).abs() < 1.5, "{phase}: {us}");
    }
    phases
}

fn names(phases: &[(String, u64)]) -> Vec<&str> {
    phases.iter().map(|(name, _)| name.as_str()).collect()
}

/// Milliseconds of these phases together.
fn ms_of(phases: &[(String, u64)], names: &[&str]) -> u64 {
    phases.iter().filter(|(name, _)| names.contains(&name.as_str())).map(|(_, us)| us).sum::<u64>() / 1000
}

const OF_A_PROCESS: [&str; 6] = ["asked", "created", "container", "runtime", "handler", "announced"];

#[test]
fn the_first_call_of_a_function_from_zero_is_told_where_its_wait_went_and_no_other_is() {
    let server = Server::start(&[]);
    server.register(&loading(warm_from_zero("loads")));
    let phases = phases_of_first_call(&server, "loads");
    assert_eq!(names(&phases), OF_A_PROCESS);
    assert!(ms_of(&phases, &["handler"]) >= LOAD_MS - 2, "{phases:?}");
    assert!(ms_of(&phases, &["asked", "created", "container"]) < LOAD_MS, "{phases:?}");
    let second = server.invoke("loads", 8);
    assert_eq!(told(&second).0, []);
    let read = server.client().ended(second.header("x-execution-id").unwrap());
    assert_eq!((&read["coldStart"], &read["cold"]), (&json!(false), &Value::Null));
    let again = server.scrape();
    let count = "picofaas_function_cold_phase_seconds_count{function=\"loads\",phase=\"handler\"}";
    assert_eq!(again.series(count), Some(1.0));
}

#[test]
fn a_call_that_waits_for_a_single_use_instance_is_told_where_its_wait_went() {
    let server = Server::start(&[]);
    server.register(&loading(standby_from_zero("ahead")));
    let phases = phases_of_first_call(&server, "ahead");
    assert_eq!(names(&phases), OF_A_PROCESS);
    assert!(ms_of(&phases, &["handler"]) >= LOAD_MS - 2, "{phases:?}");
}

#[test]
fn a_function_of_the_rust_runtime_tells_what_it_does_before_it_serves() {
    let server = Server::start(&[]);
    server.register(&of_the_runtime(warm_from_zero("warm")));
    server.register(&of_the_runtime(standby_from_zero("ahead")));
    for name in ["warm", "ahead"] {
        let phases = phases_of_first_call(&server, name);
        assert_eq!(names(&phases), OF_A_PROCESS, "{phases:?}");
        // The example loads before it calls `serve`.
        assert!(ms_of(&phases, &["runtime"]) >= LOAD_MS - ROUNDING_MS, "{phases:?}");
    }
}

#[test]
fn an_execution_that_waited_for_no_start_has_no_phases() {
    let server = Server::start(&[]);
    server.register(&job("plain", "echo"));
    server.register(&loading(warm("ready", "echo")));
    server.until_status("ready", "ready", 1);
    for name in ["plain", "ready"] {
        let answer = server.invoke(name, 1);
        assert_eq!((answer.status, answer.header("x-cold-start")), (200, Some("true")), "{name}: {answer:?}");
        assert_eq!(told(&answer).0, [], "{name}");
        let read = server.client().ended(answer.header("x-execution-id").unwrap());
        assert_eq!((&read["coldStart"], &read["cold"]), (&json!(true), &Value::Null), "{name}");
    }
    let text = server.scrape().text().to_owned();
    assert!(!text.contains("cold_phase_seconds"), "{text}");
}
