//! The functions, each of which goes wrong in its own way.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::LOOK;
use crate::program::Program;

/// The code of a refusal by a standby.
pub(crate) const ALREADY_USED: &str = "ALREADY_USED";
/// Longest piece of a line.
const LINE_BYTES_MAX: usize = 8192;

/// An invocation as it came.
#[derive(Clone, Default)]
pub(crate) struct Asked {
    pub(crate) execution_id: String,
    pub(crate) trace_id: Option<String>,
    pub(crate) traceparent: Option<String>,
    pub(crate) tracestate: Option<String>,
    pub(crate) idempotency_key: Option<String>,
    pub(crate) attempt: u16,
    pub(crate) deadline_ms: Option<u32>,
    pub(crate) body: Vec<u8>,
    /// The connection that it came over.
    pub(crate) connection: u64,
}

/// The answer to it.
pub(crate) struct Told {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// The end of a function that did not answer.
enum Wrong {
    Failed {
        status: u16,
        code: String,
        message: String,
        is_final: bool,
    },
    /// Its caller went, or its time.
    Stopped,
}

fn failed(status: u16, code: &str, message: &str) -> Wrong {
    Wrong::Failed {
        status,
        code: code.to_owned(),
        message: message.to_owned(),
        is_final: code.ends_with("OUTPUT"),
    }
}

/// Runs an invocation; `None` where its caller went first.
pub(crate) fn run(program: &Arc<Program>, asked: &Asked, gone: &AtomicBool) -> Option<Told> {
    let running = program.runs();
    let begun = program.now();
    let is_late =
        || asked.deadline_ms.is_some_and(|ms| program.now() - begun > Duration::from_millis(ms.into()));
    let is_stopped = || gone.load(Ordering::SeqCst) || is_late();
    let output = called(program, asked, &is_stopped);
    let (outcome, status, body) = match output {
        Ok(output) => ("success", 200, output),
        Err(Wrong::Stopped) if gone.load(Ordering::SeqCst) => return None,
        Err(Wrong::Stopped) => {
            let ms = asked.deadline_ms.unwrap_or(0);
            ("timeout", 504, error("HANDLER_TIMEOUT", &format!("not done in {ms} ms (X-Deadline-Ms)"), false))
        }
        Err(Wrong::Failed { status, code, message, is_final }) => {
            let is_rejected = ["BAD_INPUT", "BODY_TOO_LARGE", ALREADY_USED].contains(&code.as_str());
            (if is_rejected { "rejected" } else { "error" }, status, error(&code, &message, is_final))
        }
    };
    running.end(outcome);
    Some(Told { status, body })
}

fn error(code: &str, message: &str, is_final: bool) -> Vec<u8> {
    let mut error = json!({ "error": { "code": code, "message": message } });
    if is_final {
        error["error"]["retryable"] = json!(false);
    }
    error.to_string().into_bytes()
}

fn called(program: &Program, asked: &Asked, is_stopped: &dyn Fn() -> bool) -> Result<Vec<u8>, Wrong> {
    if asked.body.len() > program.body_max {
        return Err(failed(413, "BODY_TOO_LARGE", "MAX_BODY"));
    }
    let envelope: Value =
        serde_json::from_slice(&asked.body).map_err(|fault| failed(400, "BAD_INPUT", &fault.to_string()))?;
    let metadata = match envelope.get("metadata") {
        None | Some(Value::Null) => json!({}),
        Some(Value::Object(all)) if all.values().all(Value::is_string) => json!(all),
        Some(_) => return Err(failed(400, "BAD_INPUT", "metadata are texts")),
    };
    let input = envelope.get("input").ok_or_else(|| failed(400, "BAD_INPUT", "no input"))?;
    if !program.standby.begin(program, asked.connection) {
        return Err(failed(503, ALREADY_USED, "it has had its one"));
    }
    let output = output(program, asked, input, &metadata, is_stopped);
    program.standby.ended(program.now());
    let output = output?.to_string().into_bytes();
    if output.len() > program.output_max {
        let message = format!("{} bytes", output.len());
        return Err(Wrong::Failed {
            status: 500,
            code: "OUTPUT_TOO_LARGE".to_owned(),
            message,
            is_final: true,
        });
    }
    Ok(output)
}

fn output(
    program: &Program,
    asked: &Asked,
    input: &Value,
    metadata: &Value,
    is_stopped: &dyn Fn() -> bool,
) -> Result<Value, Wrong> {
    let number = |name: &str| input[name].as_u64().unwrap_or(0);
    match program.function.as_str() {
        "echo" | "later" => Ok(input.clone()),
        "context" => Ok(context(asked, input, metadata)),
        "sleep" => {
            let until = program.now() + Duration::from_millis(number("ms"));
            wait(is_stopped, || program.now() >= until)?;
            Ok(input.clone())
        }
        "never" => wait(is_stopped, || false).map(|()| Value::Null),
        "status" => {
            let text = |name: &str| input[name].as_str().unwrap_or_default().to_owned();
            Err(Wrong::Failed {
                status: u16::try_from(number("status")).unwrap_or(500),
                code: text("code"),
                message: text("message"),
                is_final: input["retryable"] == false,
            })
        }
        "panic" => {
            log(asked, input.as_str().unwrap_or_default());
            Err(failed(500, "HANDLER_ERROR", "it panicked"))
        }
        "unserialisable" | "nan" => Err(failed(500, "BAD_OUTPUT", "no JSON")),
        "exit" => std::process::exit(3),
        "leave" => {
            log(asked, input["text"].as_str().unwrap_or_default());
            if input["end"] == true {
                std::process::exit(3);
            }
            Ok(Value::Null)
        }
        "big" => Ok(Value::String("x".repeat(usize::try_from(number("bytes")).unwrap_or(0)))),
        "log" => {
            log(asked, input.as_str().unwrap_or_default());
            Ok(Value::Null)
        }
        "last" => {
            let text = std::env::var("CONTRACT_TEXT").unwrap_or_default();
            Ok(Value::String(text))
        }
        "late" => late(asked, input, is_stopped),
        other => panic!("there is no function {other}"),
    }
}

fn context(asked: &Asked, input: &Value, metadata: &Value) -> Value {
    json!({
        "input": input,
        "executionId": asked.execution_id,
        "traceId": asked.trace_id,
        "traceparent": asked.traceparent,
        "tracestate": asked.tracestate,
        "attempt": asked.attempt,
        "leftMs": asked.deadline_ms,
        "idempotencyKey": asked.idempotency_key,
        "metadata": metadata,
    })
}

fn late(asked: &Asked, input: &Value, is_stopped: &dyn Fn() -> bool) -> Result<Value, Wrong> {
    let file = |name: &str| Path::new(input[name].as_str().unwrap_or_default()).to_owned();
    let (go, said) = (file("go"), file("said"));
    if input["begin"] == true {
        let asked = asked.clone();
        std::thread::spawn(move || {
            while !go.exists() {
                std::thread::park_timeout(LOOK);
            }
            log(&asked, "late line");
            std::fs::write(said, "").expect("its folder is there");
        });
    } else {
        std::fs::write(go, "").expect("its folder is there");
        wait(is_stopped, || said.exists())?;
    }
    Ok(Value::Null)
}

fn wait(is_stopped: &dyn Fn() -> bool, is_over: impl Fn() -> bool) -> Result<(), Wrong> {
    while !is_over() {
        if is_stopped() {
            return Err(Wrong::Stopped);
        }
        std::thread::park_timeout(LOOK);
    }
    Ok(())
}

fn log(asked: &Asked, text: &str) {
    let ids = match &asked.trace_id {
        Some(trace) => format!("info executionId={} traceId={trace}", asked.execution_id),
        None => format!("info executionId={}", asked.execution_id),
    };
    for line in text.lines() {
        let mut rest = line;
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rest.floor_char_boundary(LINE_BYTES_MAX));
            eprintln!("{ids} {piece}");
            rest = after;
        }
    }
}
