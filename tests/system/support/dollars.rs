//! A function whose fields have dollars in them, and what its program sees of these.

use serde_json::{Value, json};

use super::server::Server;

/// Texts that a shell, or Kubernetes, would expand.
const TEXTS: [&str; 5] = ["pa$$word", "$(HOME)", "$$(SECRET)", "${HOME} $HOME", "$"];
/// Value that no caller may make the function see.
pub(crate) const SECRET: &str = "open sesame";

/// The variables, beside one called `SECRET`, which is the caller's to give.
pub(crate) fn variables() -> Vec<Value> {
    let text = |(at, text): (usize, &&str)| json!({ "name": format!("D{at}"), "value": text });
    TEXTS
        .iter()
        .enumerate()
        .map(text)
        .chain([json!({ "name": "HANDLER", "value": "surroundings" })])
        .collect()
}

/// A program and what it is called with.
pub(crate) fn command(program: &str) -> Vec<String> {
    [program].iter().chain(&TEXTS).map(ToString::to_string).collect()
}

/// Arguments behind the command.
pub(crate) fn args() -> Vec<String> {
    TEXTS.map(str::to_owned).into()
}

/// Asserts that the program of a function sees its texts as they were written, and of a `JOB` the trace id of
/// a client, too.
#[track_caller]
pub(crate) fn assert_seen_as_written(server: &Server, function: &str, is_job: bool) {
    let names: Vec<String> = (0..TEXTS.len()).map(|at| format!("D{at}")).collect();
    let asked: Vec<&str> = names.iter().map(String::as_str).chain(["SECRET", "TRACE_ID"]).collect();
    let input = json!({ "variables": asked, "files": ["/proc/self/cmdline"] });
    let trace_id = "$(SECRET) $$(SECRET)";
    let answer = server.client().invoke_with(function, &format!("x-trace-id: {trace_id}\r\n"), &input);
    let found = answer.output();
    for (name, text) in names.iter().zip(TEXTS) {
        assert_eq!(found["variables"][name], text, "{function}");
    }
    assert_eq!(found["variables"]["SECRET"], SECRET, "{function}");
    let expected = if is_job { json!(trace_id) } else { Value::Null };
    assert_eq!(found["variables"]["TRACE_ID"], expected, "{function}");
    let line = found["files"]["/proc/self/cmdline"]["Ok"].as_str().unwrap();
    let words: Vec<&str> = line.trim_end_matches('\0').split('\0').skip(1).collect();
    assert_eq!(words, [TEXTS, TEXTS].concat(), "{function}");
}
