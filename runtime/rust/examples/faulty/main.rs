//! A function that goes wrong in the way its `HANDLER` says, for tests from outside.
//!
//! | `HANDLER` | what `POST /invoke` does |
//! |---|---|
//! | `echo` | returns the input |
//! | `identity` | returns `{"input","pid","attempt","executionId"}` |
//! | `sleep` | waits `input.ms` milliseconds, then returns the input |
//! | `gate` | waits until the file `input.file` is there, then returns the input |
//! | `write` | writes `input.text` and a line's end to `input.to` (stdout, stderr) `input.times` times, `{id}` in it replaced by the execution's id and `{n}` by the number of times; before that `input.bytes`; then waits `input.ms` or until the file `input.until` is there, and returns its process id |
//! | `flood` | the same without an end, for the first invocation of its process; returns at once |
//! | `times` | waits `input.ms` milliseconds and returns `{"startedNs","endedNs","instance"}`: when it began and ended, on the clock that all processes of a machine share, in containers too, and its `HOSTNAME` |
//! | `never` | never answers |
//! | `panic` | panics with `input` if that is a string |
//! | `status` | fails with `input.status`, `input.code`, `input.message`; finally where `input.retryable` is false |
//! | `exit` | ends the process with code 3 in the middle of the request |
//! | `late` | where `input.begin`, leaves a task behind that waits for the file `input.go`, logs `late line` and makes the file `input.said`; else makes `input.go` and waits for `input.said` |
//! | `leave` | logs `input.text`, writes it to stderr as it is, and ends the process with code 3 where `input.end`; else returns null |
//! | `context` | returns the input and all that the context says |
//! | `log` | logs `input`; where that is an object, logs `input.text`, waits `input.ms` milliseconds, logs `dropped` at the end |
//! | `unserialisable` | returns what JSON cannot say |
//! | `nan` | returns a list with NaN in it |
//! | `later` | returns the input after a pause of one turn |
//! | `big` | returns a text of `input.bytes` times `x` |
//! | `compute` | keeps another thread busy for `input.ms` milliseconds |
//! | `hold` | holds up the thread of the runtime for `input.ms` milliseconds, then returns its process id |
//! | `surroundings` | waits `input.ms` milliseconds, with `input.freeze` on its first attempt for ever and all of its process with it; then returns `{"attempt","variables","files"}`: which attempt it is, and what the variables and files named in `input` hold |
//! | `residue` | returns what it finds of earlier invocations, `{"memory","threads","processes","directory","file"}`, and leaves such things itself, of which processes and the file have `input` as their mark |
//! | `web` | nothing: it answers web requests, see `web.rs` |
//! | `garbage` | answers with bytes that are not HTTP, and closes |
//! | `half` | promises a body and ends the process with code 3 after half of it |
//! | `too-much` | streams 8 MiB of valid JSON in chunks |
//!
//! With `garbage`, `half` and `too-much` it is no JOB. With `exit-at-start` the process ends with code 7 before it listens.
//! With `CONTRACT_LOAD_MS` it takes so long to load, and says `loaded` then.

mod broken_server;
mod residue;
mod web;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Once;
use std::time::Duration;

use picofaas_runtime::{Context, HandlerError, Handlers};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use broken_server::Fault;

/// Pause between two looks whether a file is there: a test function does without a watch of its folder.
const GATE_LOOK: Duration = Duration::from_millis(50);

fn main() -> ExitCode {
    if let Some(ms) = std::env::var("CONTRACT_LOAD_MS").ok().and_then(|ms| ms.parse().ok()) {
        load(Duration::from_millis(ms));
    }
    match std::env::var("HANDLER").as_deref() {
        Ok("exit-at-start") => {
            eprintln!("faulty: ending before listening, as told");
            ExitCode::from(7)
        }
        Ok("garbage") => broken_server::serve(Fault::Garbage),
        Ok("half") => broken_server::serve(Fault::Half),
        Ok("too-much") => broken_server::serve(Fault::TooMuch),
        _ => Handlers::new()
            .with("echo", echo)
            .with("identity", identity)
            .with("sleep", sleep)
            .with("gate", gate)
            .with("write", write)
            .with("flood", flood)
            .with("times", times)
            .with("never", never)
            .with("panic", panic)
            .with("status", status)
            .with("exit", exit)
            .with("leave", leave)
            .with("late", late)
            .with("context", context)
            .with("log", log)
            .with("last", last)
            .with("unserialisable", unserialisable)
            .with("nan", nan)
            .with("later", later)
            .with("big", big)
            .with("compute", compute)
            .with("hold", hold)
            .with("residue", residue::residue)
            .with("surroundings", surroundings)
            .with_web("web", web::web)
            .serve(),
    }
}

#[expect(clippy::disallowed_methods, reason = "what takes its time to load does not listen meanwhile")]
fn load(time: Duration) {
    std::thread::sleep(time);
    eprintln!("loaded");
}

async fn echo(input: Box<RawValue>) -> Result<Box<RawValue>, Infallible> {
    Ok(input)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Identity {
    input: Box<RawValue>,
    pid: u32,
    attempt: u32,
    execution_id: String,
}

async fn identity(input: Box<RawValue>, context: Context) -> Result<Identity, Infallible> {
    let execution_id = context.execution_id().to_owned();
    Ok(Identity { input, pid: std::process::id(), attempt: context.attempt(), execution_id })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Circumstances {
    input: Box<RawValue>,
    execution_id: String,
    trace_id: Option<String>,
    traceparent: Option<String>,
    tracestate: Option<String>,
    attempt: u32,
    left_ms: Option<u128>,
    idempotency_key: Option<String>,
    metadata: BTreeMap<String, String>,
}

async fn context(input: Box<RawValue>, context: Context) -> Result<Circumstances, Infallible> {
    Ok(Circumstances {
        input,
        execution_id: context.execution_id().to_owned(),
        trace_id: context.trace_id().map(str::to_owned),
        traceparent: context.traceparent().map(str::to_owned),
        tracestate: context.tracestate().map(str::to_owned),
        attempt: context.attempt(),
        left_ms: context.time_left().map(|left| left.as_millis()),
        idempotency_key: context.idempotency_key().map(str::to_owned),
        metadata: context.metadata().clone(),
    })
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Log {
    Line(String),
    Life { text: String, ms: u64 },
}

/// Tells when a handler is dropped, finished or not.
struct Farewell(Context);

impl Drop for Farewell {
    fn drop(&mut self) {
        self.0.log("dropped");
    }
}

async fn log(input: Log, context: Context) -> Result<(), Infallible> {
    match input {
        Log::Line(text) => context.log(&text),
        Log::Life { text, ms } => {
            context.log(&text);
            let _farewell = Farewell(context);
            tokio::time::sleep(Duration::from_millis(ms)).await;
        }
    }
    Ok(())
}

/// The text that is printed last has no end of line.
async fn last(_input: Value) -> Result<String, Infallible> {
    let text = std::env::var("CONTRACT_TEXT").unwrap_or_default();
    eprint!("{text}");
    Ok(text)
}

async fn unserialisable(_input: Value) -> Result<BTreeMap<(u8, u8), u8>, Infallible> {
    // A name in an object is a text.
    Ok(BTreeMap::from([((1, 2), 3)]))
}

#[derive(Deserialize)]
struct Big {
    bytes: usize,
}

async fn big(input: Big) -> Result<String, Infallible> {
    Ok("x".repeat(input.bytes))
}

#[derive(Deserialize)]
struct Compute {
    ms: u64,
}

async fn compute(input: Compute) -> Result<(), tokio::task::JoinError> {
    let busy = Duration::from_millis(input.ms);
    tokio::task::spawn_blocking(move || std::thread::park_timeout(busy)).await
}

/// Lets nothing else run on the thread of the runtime meanwhile.
async fn hold(input: Compute) -> Result<u32, Infallible> {
    std::thread::park_timeout(Duration::from_millis(input.ms));
    Ok(std::process::id())
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Asked {
    ms: u64,
    freeze: bool,
    variables: Vec<String>,
    files: Vec<String>,
}

#[derive(Serialize)]
struct Surroundings {
    attempt: u32,
    variables: BTreeMap<String, Option<String>>,
    files: BTreeMap<String, Result<String, String>>,
}

async fn surroundings(input: Asked, context: Context) -> Result<Surroundings, Infallible> {
    while input.freeze && context.attempt() == 1 {
        // Every handler, `/health` and every signal have this one thread.
        std::thread::park();
    }
    tokio::time::sleep(Duration::from_millis(input.ms)).await;
    let read = |path: &String| std::fs::read_to_string(path).map_err(|error| error.to_string());
    Ok(Surroundings {
        attempt: context.attempt(),
        variables: input.variables.iter().map(|name| (name.clone(), std::env::var(name).ok())).collect(),
        files: input.files.iter().map(|path| (path.clone(), read(path))).collect(),
    })
}

#[derive(Deserialize, Serialize)]
struct Sleep {
    ms: u64,
    #[serde(flatten)]
    rest: serde_json::Map<String, Value>,
}

async fn sleep(input: Sleep) -> Result<Sleep, Infallible> {
    tokio::time::sleep(Duration::from_millis(input.ms)).await;
    Ok(input)
}

#[derive(Deserialize, Serialize)]
struct Gate {
    file: PathBuf,
    #[serde(flatten)]
    rest: serde_json::Map<String, Value>,
}

async fn gate(input: Gate) -> Result<Gate, Infallible> {
    until_there(&input.file).await;
    Ok(input)
}

/// Waits until whoever holds this up makes a file.
async fn until_there(file: &Path) {
    while !file.exists() {
        tokio::time::sleep(GATE_LOOK).await;
    }
}

#[derive(Deserialize)]
struct Wait {
    ms: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Times {
    started_ns: i64,
    ended_ns: i64,
    instance: Option<String>,
}

async fn times(input: Wait) -> Result<Times, Infallible> {
    let started_ns = monotonic_ns();
    if input.ms > 0 {
        tokio::time::sleep(Duration::from_millis(input.ms)).await;
    }
    Ok(Times { started_ns, ended_ns: monotonic_ns(), instance: std::env::var("HOSTNAME").ok() })
}

fn monotonic_ns() -> i64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

#[derive(Deserialize)]
struct Write {
    to: String,
    text: String,
    #[serde(default = "once")]
    times: u64,
    #[serde(default)]
    bytes: Vec<u8>,
    #[serde(default)]
    ms: u64,
    until: Option<PathBuf>,
}

fn once() -> u64 {
    1
}

impl Write {
    fn line(&self, id: &str, n: u64) -> Vec<u8> {
        format!("{}\n", self.text.replace("{id}", id).replace("{n}", &n.to_string())).into_bytes()
    }

    fn write(&self, bytes: &[u8]) {
        let written = match self.to.as_str() {
            "stdout" => io::stdout().write_all(bytes).and_then(|()| io::stdout().flush()),
            _ => io::stderr().write_all(bytes),
        };
        written.expect("whoever reads the output of this process is there for as long as it runs");
    }
}

async fn write(input: Write, context: Context) -> Result<u32, Infallible> {
    input.write(&input.bytes);
    for n in 0..input.times {
        input.write(&input.line(context.execution_id(), n));
    }
    tokio::time::sleep(Duration::from_millis(input.ms)).await;
    if let Some(file) = &input.until {
        until_there(file).await;
    }
    Ok(std::process::id())
}

async fn flood(input: Write, context: Context) -> Result<u32, Infallible> {
    static FLOODS: Once = Once::new();
    let id = context.execution_id().to_owned();
    FLOODS.call_once(|| {
        let lines = (0..1000).flat_map(|n| input.line(&id, n)).collect::<Vec<u8>>();
        std::thread::spawn(move || {
            loop {
                input.write(&lines);
            }
        });
    });
    Ok(std::process::id())
}

async fn never(_input: Value) -> Result<Value, Infallible> {
    std::future::pending().await
}

async fn panic(input: Value) -> Result<Value, Infallible> {
    panic!("{}", input.as_str().unwrap_or("told to panic"))
}

#[derive(Deserialize)]
struct Status {
    status: u16,
    code: String,
    message: String,
    retryable: Option<bool>,
}

async fn status(input: Status) -> Result<Value, HandlerError> {
    if !(400..=599).contains(&input.status) {
        return Err(HandlerError::new(422, "BAD_STATUS", "input.status must be 400 … 599"));
    }
    let error = HandlerError::new(input.status, input.code, input.message);
    Err(if input.retryable == Some(false) { error.not_retryable() } else { error })
}

async fn nan(_input: Value) -> Result<BTreeMap<&'static str, [f64; 2]>, Infallible> {
    Ok(BTreeMap::from([("in", [1.0, f64::NAN])]))
}

async fn later(input: Box<RawValue>) -> Result<Box<RawValue>, Infallible> {
    tokio::task::yield_now().await;
    Ok(input)
}

async fn exit(_input: Value) -> Result<Value, Infallible> {
    eprintln!("faulty: ending in the middle of a request, as told");
    std::process::exit(3)
}

#[derive(Deserialize)]
struct Leave {
    text: String,
    #[serde(default)]
    end: bool,
}

async fn leave(input: Leave, context: Context) -> Result<(), Infallible> {
    context.log(&input.text);
    eprintln!("{}", input.text);
    if input.end {
        std::process::exit(3);
    }
    Ok(())
}

#[derive(Deserialize)]
struct Late {
    go: PathBuf,
    said: PathBuf,
    begin: bool,
}

async fn late(input: Late, context: Context) -> io::Result<()> {
    if !input.begin {
        std::fs::write(&input.go, "")?;
        until_there(&input.said).await;
        return Ok(());
    }
    let logger = context.logger();
    tokio::task::spawn_local(async move {
        until_there(&input.go).await;
        logger.log("late line");
        std::fs::write(&input.said, "").expect("whoever waits for it has its folder");
    });
    Ok(())
}
