//! The last line of a program that an error shows to a caller.

use picofaas_contract::wire::Answer;

use crate::http_server;
use crate::instance::Instance;
use crate::wire::{Connection, invocation};
use crate::worker_program::{each, instance_with, script};

/// A line that must not be shown to anybody else.
const CARD: &str = "charging card 4111";
const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
const C: &str = "cccccccccccccccccccccccccccccccccccccccc";
const KILLED: &str = "the worker was killed by SIGKILL";
/// The path of lines that no error shows.
const ELSEWHERE: &str = " (the log has more: GET /v1/functions/charge/logs)";
const NAMED: [(&str, &str); 1] = [("FUNCTION_NAME", "charge")];

/// The bytes of an invocation of an execution.
fn of(execution: &str, input: &str) -> String {
    invocation("", &format!(r#"{{"input":{input}}}"#)).replace("e-1\r", &format!("{execution}\r"))
}

/// Sends one on a connection of its own.
fn ask(instance: &Instance, execution: &str, input: &str) -> Connection<std::os::unix::net::UnixStream> {
    let mut connection = instance.connect();
    connection.send(of(execution, input));
    connection
}

fn invoke(instance: &Instance, execution: &str, input: &str) -> Answer {
    ask(instance, execution, input).receive()
}

/// A worker that takes one at a time: with each `input` it runs that as Python, then replies.
fn obeying() -> Instance {
    let begin = "import threading\nown = f\"executionId={request['executionId']}\"";
    instance_with(&each(&format!("{begin}\nexec(input)\nsay(sequence, {{'output': None}})")), &NAMED)
}

#[test]
fn a_process_for_each_request_tells_its_own_last_line_and_none_that_names_another_execution() {
    let directory = tempfile::tempdir().unwrap();
    let gate = directory.path().join("gate");
    assert!(std::process::Command::new("mkfifo").arg(&gate).status().unwrap().success());
    let script =
        format!(r#"read -r line; eval "echo $line" >&2; head -c 1 <>{} >&2; exit 3"#, gate.display());
    let instance = Instance::of("stdio", &script);
    let mut asked = [
        ask(&instance, A, &format!(r#""{CARD}""#)),
        ask(&instance, B, r#""own words""#),
        ask(&instance, C, &format!(r#""executionId={A} {CARD}""#)),
        ask(&instance, C, r#""executionId=$EXECUTION_ID own words""#),
    ];
    instance.wait_for("picofaas_watchdog_children_running 4");
    let mut gate = std::fs::File::options().read(true).write(true).open(&gate).unwrap();
    std::io::Write::write_all(&mut gate, b"\n\n\n\n").unwrap();
    let told = asked.each_mut().map(|one| one.receive().message());
    let ended = "the program ended with exit status 3";
    assert_eq!(told[0], format!("{ended}: {CARD}"));
    assert_eq!(told[1], format!("{ended}: own words"));
    assert_eq!(told[2], format!("{ended} (the log has more: GET /v1/executions/{C}/logs)"));
    assert_eq!(told[3], format!("{ended}: executionId={C} own words"));
}

#[test]
fn a_worker_that_is_killed_tells_nothing_of_the_request_before() {
    let mut instance = obeying();
    for (last, told) in [
        ("None", String::new()),
        (r"log('of either')", ELSEWHERE.to_owned()),
        (r"log(own + ' own words')", format!(": executionId={B} own words")),
        (r"log(own + ' own words'); log('a line of its traceback')", format!(": executionId={B} own words")),
        (r"log(own + ' own words'); os.write(2, b'cut ')", format!(": executionId={B} own words")),
    ] {
        for line in [format!("log('{CARD}')"), format!("log(own + ' {CARD}')")] {
            assert_eq!(invoke(&instance, A, &format!(r#""{line}""#)).status, 200);
        }
        let message = invoke(&instance, B, &format!(r#""{last}; os.kill(PID, 9)""#)).message();
        assert_eq!(message, format!("{KILLED}{told}"), "{last}");
        let line = instance.line_with("another is started");
        assert!(!line.contains(CARD) && !line.contains(A), "{line}");
    }
}

#[test]
fn a_late_line_of_the_request_before_is_not_told_to_the_next() {
    let instance = obeying();
    let late = format!(
        "global go, said; go, said = threading.Event(), threading.Event(); \
         threading.Thread(target=lambda: (go.wait(), log('{CARD}'), said.set()), daemon=True).start()"
    );
    assert_eq!(invoke(&instance, A, &format!(r#""{late}""#)).status, 200);
    let message = invoke(&instance, B, r#""go.set(); said.wait(); os.kill(PID, 9)""#).message();
    assert_eq!(message, format!("{KILLED}{ELSEWHERE}"));
}

#[test]
fn a_late_line_that_names_its_execution_is_logged_as_that_ones() {
    let mut instance = obeying();
    assert_eq!(invoke(&instance, A, r#""pass""#).status, 200);
    assert_eq!(invoke(&instance, B, &format!(r#""log('executionId={A} {CARD}')""#)).status, 200);
    assert_eq!(instance.line_with(CARD), format!("executionId={A} {CARD}\n"));
}

#[test]
fn a_line_of_which_its_worker_says_that_it_is_of_no_execution_gets_no_ids_and_is_told_to_nobody() {
    let mut instance = obeying();
    assert_eq!(invoke(&instance, A, r#""log('executionId=- late')""#).status, 200);
    assert_eq!(instance.line_with("late"), "late\n");
    let long = r#""log('executionId=- ' + 'x' * 9000 + ' late')""#;
    assert_eq!(invoke(&instance, B, long).status, 200);
    let pieces = [instance.line_with("x"), instance.line_with("late")].concat().replace('\n', "");
    assert_eq!(pieces, format!("{} late", "x".repeat(9000)));
    let end = format!(r#""log('executionId=- {CARD}'); os.kill(PID, 9)""#).replace("PID", "os.getpid()");
    assert_eq!(invoke(&instance, B, &end).message(), format!("{KILLED}{ELSEWHERE}"));
}

#[test]
fn a_line_of_no_execution_stays_so_whatever_id_the_text_in_it_has_at_its_head() {
    let mut instance = obeying();
    assert_eq!(invoke(&instance, A, r#""pass""#).status, 200);
    for text in [
        format!("executionId={A} {CARD}"),
        format!("info executionId={A} {CARD}"),
        format!("[{A}] {CARD}"),
        format!("{{'executionId':'{A}','m':'{CARD}'}}").replace('\'', "\\\\\\\""),
    ] {
        assert_eq!(invoke(&instance, B, &format!(r#""log('executionId=- {text}')""#)).status, 200);
        assert_eq!(instance.line_with(CARD), format!("executionId=- {}\n", text.replace('\\', "")));
    }
    // So do the pieces of a long one, also where nothing says of which execution it is.
    let text = format!("{}executionId={A} {CARD}", "x".repeat(8192));
    assert_eq!(invoke(&instance, B, &format!(r#""log('executionId=- {text}')""#)).status, 200);
    assert_eq!(instance.line_with(CARD), format!("executionId=- executionId={A} {CARD}\n"));
    let instance = &mut obeying_several();
    let _held = ask(instance, A, r#""pass""#);
    instance.wait_for("picofaas_runtime_in_flight 1");
    let _logs = ask(instance, B, &format!(r#""log('{text}')""#));
    assert_eq!(instance.line_with(CARD), format!("executionId=- executionId={A} {CARD}\n"));
}

#[test]
fn every_piece_of_a_long_line_is_of_the_execution_that_its_beginning_names() {
    let mut instance = obeying();
    assert_eq!(invoke(&instance, A, r#""pass""#).status, 200);
    let line = format!(r#""log('executionId={A} ' + '€' * 3000 + 'y' * 9000)""#);
    assert_eq!(invoke(&instance, B, &line).status, 200);
    let mut text = String::new();
    while !text.ends_with("yy") || text.len() < 18_000 {
        let piece = instance.line_with("");
        text += piece.trim_end().strip_prefix(&format!("executionId={A} ")).expect("a piece has the id");
    }
    assert_eq!(text, "€".repeat(3000) + &"y".repeat(9000));
}

#[test]
fn an_id_that_somebody_sent_takes_no_line_away_and_is_told_no_line() {
    let mut instance = obeying();
    assert_eq!(invoke(&instance, A, r#""pass""#).status, 200);
    for line in [
        format!("{CARD} for user executionId={A}"),
        format!("user executionId={A}: {CARD} in execution {B}"),
        format!("{{'user':{{'executionId':'{A}'}},'m':'{CARD}'}}").replace('\'', "\\\\\\\""),
    ] {
        assert_eq!(invoke(&instance, B, &format!(r#""log('{line}')""#)).status, 200);
        let logged = instance.line_with(CARD);
        assert!(logged.starts_with(&format!("info executionId={B} traceId=- ")), "{logged}");
    }
    // Beside the one that it names, too.
    let instance = obeying_several();
    let mut held = ask(&instance, A, r#""held = sequence""#);
    instance.wait_for("picofaas_runtime_in_flight 1");
    let end = format!(r#""log('{CARD} for executionId={A}'); os.kill(PID, 9)""#);
    assert_eq!(invoke(&instance, B, &end).message(), format!("{KILLED}{ELSEWHERE}"));
    assert_eq!(held.receive().message(), format!("{KILLED}{ELSEWHERE}"));
}

#[test]
fn what_was_wrong_with_a_reply_is_not_told_by_health() {
    let directory = tempfile::tempdir().unwrap();
    let broken = directory.path().join("broken");
    let instance = instance_with(
        &script(&format!(
            r#"
if os.path.exists({broken:?}): read()
say(0, {{"ready": True}})
sequence, request = read()
open({broken:?}, "w").close()
say(sequence, {{"error": request["input"]}})
read()
"#
        )),
        &NAMED,
    );
    let message = invoke(&instance, A, &format!(r#""{CARD}""#)).message();
    assert!(message.contains(CARD), "its own caller is told: {message}");
    instance.wait_for("picofaas_watchdog_worker_restarts_total{reason=\"garbage\"} 1");
    let health = instance.connect().get("/health");
    assert_eq!(health.failure(), (503, "NOT_READY".to_owned()));
    assert!(health.message().ends_with("a reply is none"), "{}", health.message());
}

#[test]
fn what_another_writes_behind_the_beginning_of_a_line_is_not_told_to_who_began_it() {
    let instance = obeying();
    let late = format!(
        "global go, said; go, said = threading.Event(), threading.Event(); \
         threading.Thread(target=lambda: (go.wait(), log('{CARD}'), said.set()), daemon=True).start()"
    );
    assert_eq!(invoke(&instance, A, &format!(r#""{late}""#)).status, 200);
    let begin = "os.write(2, (own + ' ').encode()); until_read()";
    let message =
        invoke(&instance, B, &format!(r#""{begin}; go.set(); said.wait(); os.kill(PID, 9)""#)).message();
    assert_eq!(message, format!("{KILLED}{ELSEWHERE}"));
}

/// A worker that takes several: it runs each `input` as Python, which replies with `reply()` or not.
fn obeying_several() -> Instance {
    instance_with(
        &script(
            r#"
say(0, {"ready": True, "concurrency": 4})
while True:
    sequence, request = read()
    own = f"executionId={request['executionId']}"
    def reply(): say(sequence, {"output": None})
    exec(request["input"])
"#,
        ),
        &NAMED,
    )
}

#[test]
fn of_a_worker_with_several_requests_each_is_told_the_lines_that_name_it_and_no_other() {
    let instance = obeying_several();
    let mut one = ask(&instance, A, &format!(r#""log(own + ' {CARD}')""#));
    assert_eq!(
        invoke(&instance, C, &format!(r#""log('{CARD}'); log(own + ' {CARD}'); reply()""#)).status,
        200
    );
    let mut silent = ask(&instance, C, &format!(r#""log('{CARD}')""#));
    let mut other = ask(&instance, B, r#""log(own + ' own words'); os.kill(PID, 9)""#);
    assert_eq!(other.receive().message(), format!("{KILLED}: executionId={B} own words"));
    assert_eq!(one.receive().message(), format!("{KILLED}: executionId={A} {CARD}"));
    assert_eq!(silent.receive().message(), format!("{KILLED}{ELSEWHERE}"));
}

#[test]
fn an_end_of_a_line_that_another_request_writes_is_not_told_to_the_one_that_began_it() {
    let instance = obeying_several();
    let mut one = ask(&instance, A, r#""os.write(2, (own + ' ').encode()); until_read()""#);
    let mut other = ask(&instance, B, &format!(r#""log('{CARD}'); os.kill(PID, 9)""#));
    for asked in [&mut one, &mut other] {
        assert_eq!(asked.receive().message(), format!("{KILLED}{ELSEWHERE}"));
    }
}

#[test]
fn a_reply_that_is_none_is_quoted_to_its_own_request_alone() {
    let instance = obeying_several();
    let mut other = ask(&instance, A, r#""pass""#);
    let own = ask(&instance, B, &format!(r#""say(sequence, {{'error': '{CARD}'}})""#)).receive().message();
    assert!(own.contains("its reply to request 2 is none") && own.contains(CARD), "{own}");
    let other = other.receive().message();
    assert!(other.ends_with("its reply to another request is none"), "{other}");
}

#[test]
fn a_server_that_ends_tells_nothing_of_the_requests_before() {
    let instance = http_server::start(&NAMED);
    for (say, told) in [
        ("of either".to_owned(), ELSEWHERE.to_owned()),
        (format!("executionId={B} own words"), format!(": executionId={B} own words")),
    ] {
        let before = format!(r#"{{"do":"log","out":"{CARD}","err":"executionId={A} {CARD}"}}"#);
        assert_eq!(invoke(&instance, A, &before).status, 200);
        let message = invoke(&instance, B, &format!(r#"{{"do":"exit","say":"{say}"}}"#)).message();
        assert_eq!(message, format!("the server ended with exit status 3{told}"));
        let health = instance.connect().get("/health");
        assert!(health.status == 200 || !health.message().contains(CARD), "{}", health.message());
    }
}

#[test]
fn of_a_server_with_several_requests_each_is_told_the_lines_that_name_it_and_no_other() {
    let mut instance = http_server::start(&NAMED);
    let mut one = ask(&instance, A, &format!(r#"{{"do":"watch","say":"executionId={A} {CARD}"}}"#));
    instance.line_with(CARD);
    let mut silent = ask(&instance, C, &format!(r#"{{"do":"watch","say":"of somebody {CARD}"}}"#));
    instance.line_with(CARD);
    let other = invoke(&instance, B, &format!(r#"{{"do":"exit","say":"executionId={B} own words"}}"#));
    let ended = "the server ended with exit status 3";
    assert_eq!(other.message(), format!("{ended}: executionId={B} own words"));
    assert_eq!(one.receive().message(), format!("{ended}: executionId={A} {CARD}"));
    assert_eq!(silent.receive().message(), format!("{ended}{ELSEWHERE}"));
}
