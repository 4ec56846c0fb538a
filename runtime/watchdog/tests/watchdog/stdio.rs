//! A process for each request: what it gets, and what becomes of what it says.

use serde_json::json;

use crate::instance::Instance;
use crate::wire::invocation;

#[test]
fn the_input_is_stdin_and_stdout_is_the_output_byte_for_byte() {
    let instance = Instance::running("stdio", "cat", &[]);
    let mut connection = instance.connect();
    for input in ["null", "1e400", "12345678901234567890123", r#"{ "a" : [ 1 ,2 ], "a":"é\u00e9" }"#] {
        let answer = connection.invoke("", &format!(r#"{{"metadata":{{"k":"v"}},"input":{input}}}"#));
        assert_eq!((answer.status, answer.text()), (200, input));
    }
}

#[test]
fn a_program_may_have_the_envelope_which_always_has_both_fields() {
    let instance = Instance::running("stdio", "cat", &[("WATCHDOG_INPUT", "envelope")]);
    let mut connection = instance.connect();
    let answer = connection.invoke("", r#"{"metadata":{"k":"v"},"more":1, "input":[ 1e400 ]}"#);
    assert_eq!(answer.text(), r#"{"input":[ 1e400 ],"metadata":{"k":"v"}}"#);
    assert_eq!(connection.invoke("", r#"{"input":7}"#).text(), r#"{"input":7,"metadata":{}}"#);
}

#[test]
fn the_environment_says_which_execution_it_is_and_keeps_the_watchdogs_own_to_itself() {
    let instance = Instance::with(
        "stdio",
        r#"printf '["%s","%s","%s","%s","%s","%s","%s","%s"]' $EXECUTION_ID $TRACE_ID "$TRACEPARENT" "$TRACESTATE" "$IDEMPOTENCY_KEY" $ATTEMPT $MINE "$PICOFAAS_TOKEN$PICOFAAS_SOCKET$PICOFAAS_RUNTIME_URL"
           test "$DEADLINE_MS" -gt 50000 -a "$DEADLINE_MS" -le 60000"#,
        &[("PICOFAAS_TOKEN", "secret"), ("PICOFAAS_RUNTIME_URL", "http://h:1"), ("MINE", "m")],
    );
    let answer = instance.connect().invoke(
        "x-trace-id: t-1\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\ntracestate: a=1, b=2\r\nidempotency-key: k 1\r\nx-attempt: 3\r\n\
         x-deadline-ms: 60000\r\n",
        r#"{"input":1}"#,
    );
    assert_eq!(
        (answer.status, answer.json()),
        (
            200,
            json!([
                "e-1",
                "t-1",
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                "a=1, b=2",
                "k 1",
                "3",
                "m",
                ""
            ])
        )
    );
}

#[test]
fn a_program_works_in_utf_8_where_its_environment_says_nothing_of_it_and_else_as_that_says() {
    for (given, said) in [
        (&[][..], "C.UTF-8,,"),
        (&[("LC_TIME", "de_DE.UTF-8")], "C.UTF-8,,"),
        (&[("LANG", "de_DE.UTF-8"), ("TZ", "Europe/Berlin")], "de_DE.UTF-8,,Europe/Berlin"),
        (&[("LC_ALL", "C")], ",C,"),
    ] {
        let instance = Instance::with("stdio", r#"printf '"%s,%s,%s"' "$LANG" "$LC_ALL" "$TZ""#, given);
        assert_eq!(instance.connect().invoke("", r#"{"input":1}"#).json(), said, "{given:?}");
    }
}

#[test]
fn lines_on_stderr_are_passed_on_with_the_execution_before_it_is_answered() {
    let mut instance = Instance::of(
        "stdio",
        r#"echo one >&2; echo >&2; echo "{\"executionId\":\"$EXECUTION_ID\"}" >&2; printf 'no end' >&2; echo 1"#,
    );
    assert_eq!(instance.connect().invoke("x-trace-id: t-1\r\n", r#"{"input":1}"#).text(), "1");
    let who = "info executionId=e-1 traceId=t-1";
    for line in [
        format!("{who} one\n"),
        format!("{who} \n"),
        "{\"executionId\":\"e-1\"}\n".to_owned(),
        format!("{who} no end\n"),
    ] {
        assert_eq!(instance.line_with(""), line);
    }
}

#[test]
fn a_line_without_an_end_is_passed_on_in_pieces() {
    let mut instance = Instance::of("stdio", "head -c 20000 /dev/zero | tr '\\0' x >&2");
    assert_eq!(instance.connect().invoke("", r#"{"input":1}"#).text(), "null");
    for length in [8192, 8192, 20_000 - 2 * 8192] {
        let line = instance.line_with("");
        assert_eq!(line.trim_end().rsplit(' ').next().unwrap().len(), length);
    }
}

#[test]
fn a_line_that_is_too_long_is_cut_between_characters() {
    let mut instance =
        Instance::of("stdio", "python3 -c 'import sys; print(\"x\" + \"€\" * 6000, file=sys.stderr)'");
    assert_eq!(instance.connect().invoke("", r#"{"input":1}"#).text(), "null");
    let pieces: Vec<_> =
        (0..3).map(|_| instance.line_with("").trim_end().rsplit(' ').next().unwrap().to_owned()).collect();
    assert_eq!(pieces.iter().map(String::len).collect::<Vec<_>>(), [8191, 8190, 18_001 - 8191 - 8190]);
    assert_eq!(pieces.concat(), format!("x{}", "€".repeat(6000)));
}

#[test]
fn an_exit_status_is_a_failure_that_is_told_and_65_blames_the_input() {
    let instance = Instance::of("stdio", r#"read -r script; eval "$(echo $script | tr -d '"')""#);
    let mut connection = instance.connect();
    for (script, status, code, message) in [
        (
            "echo [1,NaN]",
            500,
            "BAD_OUTPUT",
            r#"the program's output is not one JSON value: expected value at line 1 column 4; it begins with "[1,NaN]\n". Does it print to standard output? That is for the output alone; print to standard error"#,
        ),
        ("echo 1; exit 3", 500, "HANDLER_ERROR", "the program ended with exit status 3"),
        ("echo why not >&2; exit 1", 500, "HANDLER_ERROR", "the program ended with exit status 1: why not"),
        ("exit 65", 400, "BAD_INPUT", "the program refused its input"),
        ("echo no number >&2; exit 65", 400, "BAD_INPUT", "no number"),
        ("kill -9 $$", 500, "HANDLER_ERROR", "the program was killed by SIGKILL"),
        ("kill -15 $$", 500, "HANDLER_ERROR", "the program was ended by signal 15"),
    ] {
        let answer = connection.invoke("", &format!(r#"{{"input":"{script}"}}"#));
        assert_eq!(answer.failure(), (status, code.to_owned()), "{script}");
        assert_eq!(answer.message(), message, "{script}");
        assert_eq!(answer.is_final(), code == "BAD_OUTPUT", "else the status decides: {}", answer.text());
    }
}

#[test]
fn exit_status_70_and_an_error_object_say_that_another_attempt_would_not_help() {
    let instance = Instance::of("stdio", r#"read -r script; eval "$(echo $script | tr -d '"')""#);
    let mut connection = instance.connect();
    for (script, code, message) in [
        ("exit 70", "HANDLER_ERROR", "the program ended with exit status 70"),
        ("echo no card >&2; exit 70", "HANDLER_ERROR", "the program ended with exit status 70: no card"),
    ] {
        let answer = connection.invoke("", &format!(r#"{{"input":"{script}"}}"#));
        assert_eq!(answer.failure(), (500, code.to_owned()), "{script}");
        assert_eq!(answer.message(), message, "{script}");
        assert!(answer.is_final(), "{script}: {}", answer.text());
    }
    let instance = Instance::of("stdio", "cat; exit 1");
    let mut connection = instance.connect();
    for (retryable, is_final) in [("false", true), ("true", false), ("\"no\"", false), ("null", false)] {
        let object = format!(r#"{{"error":{{"code":"MINE","message":"my own","retryable":{retryable}}}}}"#);
        let answer = connection.invoke("", &format!(r#"{{"input":{object}}}"#));
        assert_eq!(answer.failure(), (500, "MINE".to_owned()), "{retryable}");
        assert_eq!(answer.is_final(), is_final, "{retryable}: {}", answer.text());
    }
}

#[test]
fn an_error_object_on_stdout_says_more_than_an_exit_status() {
    let instance = Instance::of("stdio", "cat; exit 1");
    let mut connection = instance.connect();
    for (object, status, code) in [
        (r#"{"error":{"status":422,"code":"MINE","message":"my own"}}"#, 422, "MINE"),
        (r#"{"error":{"code":"MINE","message":"my own"}}"#, 500, "MINE"),
        (r#"{"error":{"status":200,"message":"my own"}}"#, 500, "HANDLER_ERROR"),
    ] {
        let answer = connection.invoke("", &format!(r#"{{"input":{object}}}"#));
        assert_eq!(answer.failure(), (status, code.to_owned()));
        assert_eq!(answer.message(), "my own");
    }
}

#[test]
fn an_output_that_is_not_json_is_an_error_and_no_output_is_null() {
    let instance = Instance::of("stdio", "tr -d '\"'");
    let mut connection = instance.connect();
    for output in ["hello", "1 2", "{", "[1"] {
        let answer = connection.invoke("", &format!(r#"{{"input":"{output}"}}"#));
        assert_eq!(answer.failure(), (500, "BAD_OUTPUT".to_owned()), "{output}");
        let message = answer.message();
        assert!(message.contains("not one JSON value"), "{message}");
        assert!(message.contains(&format!("it begins with \"{output}\"")), "{message}");
        assert!(message.contains("Does it print to standard output"), "{message}");
    }
    assert_eq!(connection.invoke("", r#"{"input":""}"#).text(), "null");
}

#[test]
fn a_text_becomes_a_json_string() {
    let instance = Instance::with("stdio", "echo 'say \"hi\"'", &[("WATCHDOG_OUTPUT", "text")]);
    assert_eq!(instance.connect().invoke("", r#"{"input":1}"#).text(), r#""say \"hi\"\n""#);
}

#[test]
fn a_mebibyte_goes_in_and_out_and_not_a_byte_more() {
    let instance = Instance::of("stdio", "cat; echo");
    let mut connection = instance.connect();
    let fits = "x".repeat((1 << 20) - 2);
    assert_eq!(connection.invoke("", &format!(r#"{{"input":"{fits}"}}"#)).body.len(), 1 << 20);
    let answer = connection.invoke("", &format!(r#"{{"input":"{fits}y"}}"#));
    assert_eq!(answer.failure(), (500, "OUTPUT_TOO_LARGE".to_owned()));
}

#[test]
fn a_program_that_writes_without_end_is_stopped_and_named() {
    let mut instance = Instance::of("stdio", "echo pid $$ >&2; exec yes");
    let answer = instance.connect().invoke("", r#"{"input":1}"#);
    assert_eq!(answer.failure(), (500, "OUTPUT_TOO_LARGE".to_owned()));
    crate::instance::wait_for_end(instance.pid_after("pid"));
}

#[test]
fn a_program_that_does_not_read_its_input_is_fine() {
    let instance = Instance::of("stdio", "exec 0<&-; echo 1");
    let body = format!(r#"{{"input":"{}"}}"#, "x".repeat(1 << 20));
    assert_eq!(instance.connect().invoke("", &body).text(), "1");
}

#[test]
fn a_program_that_closes_its_output_is_waited_for() {
    let instance = Instance::of("stdio", "echo 1; exec 1>&-; exec 2>&-; cat >/dev/null; exit 7");
    assert!(instance.connect().invoke("", r#"{"input":1}"#).message().ends_with("exit status 7"));
}

#[test]
fn sixty_four_at_once_run_beside_each_other() {
    // Each waits for a byte that only comes when all of them run.
    let directory = tempfile::tempdir().unwrap();
    let fifo = directory.path().join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let script = format!("echo 1; head -c 1 <>{0} >/dev/null", fifo.display());
    let instance = Instance::of("stdio", &script);
    let mut connections: Vec<_> = (0..64).map(|_| instance.connect()).collect();
    for connection in &mut connections {
        connection.send(invocation("", r#"{"input":1}"#));
    }
    instance.wait_for("picofaas_watchdog_children_running 64");
    let mut gate = std::fs::File::options().read(true).write(true).open(&fifo).unwrap();
    std::io::Write::write_all(&mut gate, &[0; 64]).unwrap();
    for connection in &mut connections {
        assert_eq!(connection.receive().text(), "1");
    }
    instance.wait_for("picofaas_watchdog_children_running 0");
    instance.wait_for("picofaas_watchdog_children_started_total 64");
}
