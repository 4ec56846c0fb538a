//! `"frames":2`: bodies and outputs as they are. Workers that know of no such frames are in all other files.

use picofaas_contract::patience::until;
use serde_json::json;

use crate::instance::Instance;
use crate::wire::invocation;
use crate::worker_program::{each, instance, instance_with, script};

/// Takes the frames that are offered, and does this with each `sequence`, `fields` and `body`; `say(…)` writes
/// a reply of a kind.
const EACH: &str = r#"
assert os.environ["PICOFAAS_WORKER_FRAMES"] == "2"
say(0, {"ready": True, "frames": 2})
def say(kind, data): put(struct.pack(">IIB", len(data) + 1, sequence, kind) + data)
while True:
    length, sequence = struct.unpack(">II", take(8))
    payload = take(length)
    head, attempt, left, at = struct.unpack(">IIIQ", payload[:20])
    fields, place, body = {}, 20, payload[head:]
    while place < head:
        number, size = struct.unpack(">BI", payload[place:place + 5])
        fields[number] = payload[place + 5:place + 5 + size].decode()
        place += 5 + size
"#;

/// The command of a worker that does this with each request.
fn each_head(lines: &str) -> String {
    let lines: String = lines.trim().lines().map(|line| format!("    {line}\n")).collect();
    script(&format!("{EACH}{lines}"))
}

fn serving(lines: &str) -> Instance {
    instance(&each_head(lines))
}

/// The bytes of a block on the page about the watchdog: pairs of hexadecimal digits before any text.
fn documented(name: &str) -> String {
    let page =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/watchdog.md")).unwrap();
    let (_, block) = page.split_once(&format!("```{name}\n")).expect("the page has the block");
    let lines = block.split_once("```").unwrap().0.lines();
    lines.flat_map(|line| line.split("   ").next().unwrap_or_default().split_whitespace()).collect()
}

#[test]
fn the_frames_on_the_page_are_those_on_the_pipes() {
    let reply = documented("reply");
    let instance = serving(&format!(
        r#"
if body == b'{{"input":1}}': put(bytes.fromhex("{reply}"))
else: say(1, json.dumps(seen).encode())
seen = (struct.pack(">II", length, sequence) + payload).hex()"#
    ));
    let mut connection = instance.connect();
    let headers = "x-attempt: 2\r\nidempotency-key: k1\r\n";
    assert_eq!(connection.invoke(headers, r#"{"input":1}"#).text(), "42");
    assert_eq!(connection.invoke("", r#"{"input":2}"#).json(), json!(documented("request")));
}

#[test]
fn a_request_has_all_that_is_known_in_numbers_and_fields() {
    let instance =
        serving(r#"say(1, json.dumps([attempt, left, at - int(time.monotonic() * 1000), fields]).encode())"#);
    let mut connection = instance.connect();
    assert_eq!(connection.invoke("", r#"{"input":1}"#).json()[3], json!({"1": "e-1"}));
    let headers = "x-trace-id: t-1\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\
                   tracestate: a=1\r\ntracestate: b=2\r\nx-attempt: 70000\r\nidempotency-key: k \"1\"\r\n\
                   x-deadline-ms: 60000\r\n";
    let told = connection.invoke(headers, r#"{"input":1}"#).json();
    assert_eq!(told[0], 70_000);
    for left in [&told[1], &told[2]] {
        assert!((1..=60_000).contains(&left.as_i64().unwrap()), "{told}");
    }
    assert_eq!(
        told[3],
        json!({
            "1": "e-1", "2": "t-1", "3": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "4": "a=1,b=2", "5": "k \"1\""
        })
    );
}

#[test]
fn bodies_and_outputs_are_passed_on_byte_for_byte() {
    let instance = serving(r#"say(1, body if len(body) < 1000 else body[10:-1])"#);
    let mut connection = instance.connect();
    for body in [" {\"input\" : 1e400, \"b\":[\"\\u00e9\",\"é\"] }\r\n", r#"[null,"not an envelope"]"#, "3"]
    {
        assert_eq!(connection.invoke("", body).text(), body);
    }
    let fits = format!("\"{}\"", "x".repeat((1 << 20) - 2));
    for _ in 0..3 {
        assert_eq!(connection.invoke("", &format!(r#"{{ "input":{fits}}}"#)).text().len(), 1 << 20);
    }
    let longer = format!(r#"{{ "input":{fits} }}"#);
    assert_eq!(connection.invoke("", &longer).failure(), (500, "OUTPUT_TOO_LARGE".to_owned()));
    assert_eq!(connection.invoke("", "4").text(), "4");
    instance.wait_for("picofaas_watchdog_children_started_total 1");
}

#[test]
fn a_failure_has_status_code_message_and_whether_it_is_final() {
    let instance = serving(r#"say(2, body)"#);
    let mut connection = instance.connect();
    for (error, status, code, is_final) in [
        (r#"{"message":"m"}"#, 500, "HANDLER_ERROR", false),
        (r#"{"message":"m","status":504}"#, 504, "HANDLER_TIMEOUT", false),
        (r#"{"message":"m","status":422,"code":"NAME_EMPTY"}"#, 422, "NAME_EMPTY", false),
        (r#"{"message":"m","status":503,"retryable":false}"#, 503, "HANDLER_ERROR", true),
    ] {
        let answer = connection.invoke("", error);
        assert_eq!((answer.failure(), answer.message()), ((status, code.to_owned()), "m".to_owned()));
        assert_eq!(answer.is_final(), is_final, "{error}");
    }
}

#[test]
fn a_body_that_is_rejected_is_answered_with_the_place_of_its_fault_as_ever() {
    let of_objects = instance(&each(r#"say(sequence, {"output": 1})"#));
    let of_heads = serving(r#"say(3, b'{"message":"not for me"}')"#);
    let (mut of_objects, mut connection) = (of_objects.connect(), of_heads.connect());
    for body in
        ["", "[1]", "{}", r#"{"input":tru}"#, r#"{"input":1,"metadata":{"a":[]}}"#, r#"{"input":1} x"#]
    {
        let (before, now) = (of_objects.invoke("", body), connection.invoke("", body));
        assert_eq!(before.failure(), (400, "BAD_INPUT".to_owned()));
        assert_eq!(now.text(), before.text(), "{body}");
    }
    let answer = connection.invoke("", r#"{"input":1}"#);
    assert_eq!(answer.failure(), (400, "BAD_INPUT".to_owned()));
    assert_eq!(answer.message(), "not for me");
    of_heads.wait_for("picofaas_runtime_invocations_total{outcome=\"rejected\"} 6");
}

#[test]
fn a_worker_that_does_not_take_the_offer_is_spoken_to_as_ever() {
    for ready in [r#"{"ready": True}"#, r#"{"ready": True, "frames": 1}"#] {
        let instance = instance(&script(&format!(
            r#"
say(0, {ready})
while True:
    sequence, request = read()
    say(sequence, {{"output": [os.environ["PICOFAAS_WORKER_FRAMES"], request]}})"#
        )));
        assert_eq!(
            instance.connect().invoke("", r#"{"input":[1]}"#).json(),
            json!(["2", {"executionId": "e-1", "attempt": 1, "metadata": {}, "input": [1]}])
        );
    }
}

#[test]
fn what_a_watchdog_around_it_offers_is_not_handed_on() {
    let offered = &[("PICOFAAS_WORKER_FRAMES", "9")];
    let worker = instance_with(&each(r#"say(sequence, {"output": dict(os.environ)})"#), offered);
    let environment = worker.connect().invoke("", r#"{"input":1}"#).json();
    assert_eq!(environment["PICOFAAS_WORKER_FRAMES"], "2");
    let program = Instance::with("stdio", "echo \"[\\\"$PICOFAAS_WORKER_FRAMES\\\"]\"", offered);
    assert_eq!(program.connect().invoke("", r#"{"input":1}"#).json(), json!([""]));
}

#[test]
fn a_program_that_is_replaced_by_one_with_the_old_frames_is_spoken_to_in_those() {
    let directory = tempfile::tempdir().unwrap();
    let changed = directory.path().join("changed");
    let instance = instance(&script(&format!(
        r#"
if os.path.exists({changed:?}):
    say(0, {{"ready": True}})
    while True:
        sequence, request = read()
        say(sequence, {{"output": request["input"]}})
open({changed:?}, "w").close()
say(0, {{"ready": True, "frames": 2}})
take(8)
sys.exit(3)"#
    )));
    let mut connection = instance.connect();
    assert_eq!(connection.invoke("", r#"{"input":1}"#).failure(), (500, "HANDLER_ERROR".to_owned()));
    assert_eq!(connection.invoke("", r#"{"input":2}"#).text(), "2");
    assert_eq!(connection.invoke("", "[]").failure(), (400, "BAD_INPUT".to_owned()));
}

#[test]
fn what_is_no_reply_costs_the_worker_its_place_and_says_why() {
    let command = each_head(
        r#"
kind = json.loads(body)["input"]
if kind == -1: put(struct.pack(">II", 0, sequence))
elif kind == -2: put(b"order 17\n" + bytes(10))
elif kind == 1: say(1, b"")
elif kind: say(kind, b'{"output": 1}')
else: say(1, b"null")"#,
    );
    for (kind, said) in [
        (-1, "it is empty"),
        (-2, "Does it print to standard output"),
        (1, "its output is empty"),
        (2, "missing field `message`"),
        (3, "missing field `message`"),
        (4, "its first byte is 4 and not 1, 2 or 3"),
        (i32::from(b'{'), "its first byte is 123"),
    ] {
        let instance = instance(&command);
        let mut connection = instance.connect();
        let answer = connection.invoke("", &format!(r#"{{"input":{kind}}}"#));
        assert_eq!(answer.failure(), (500, "HANDLER_ERROR".to_owned()), "{kind}");
        assert!(answer.message().contains(said), "{kind}: {}", answer.message());
        assert_eq!(connection.invoke("", r#"{"input":0}"#).text(), "null");
        instance.wait_for("picofaas_watchdog_worker_restarts_total{reason=\"garbage\"} 1");
    }
}

#[test]
fn a_quick_worker_has_several_in_its_pipe_and_never_more_than_17() {
    let instance = serving(r#"say(1, str(1 + buffer.count(b'"input"')).encode())"#);
    let mut connections: Vec<_> = (0..40).map(|_| instance.connect()).collect();
    // How quick it is on a busy machine is told by no event.
    until(
        || "it never had several".to_owned(),
        || {
            for connection in &mut connections {
                connection.send(invocation("", r#"{"input":1}"#));
            }
            let answers = connections.iter_mut().map(|connection| connection.receive().json());
            let most = answers.map(|answer| answer.as_i64().unwrap()).max().unwrap();
            assert!(most <= 17, "{most} at once");
            (most > 4).then_some(())
        },
    );
}

#[test]
fn those_ahead_of_a_worker_that_ends_go_to_the_next() {
    let instance = serving(
        r#"
if b'"end"' in body and buffer.count(b'"input"') > 2: sys.exit(3)
say(1, b"1")"#,
    );
    let mut connections: Vec<_> = (0..20).map(|_| instance.connect()).collect();
    let (last, others) = connections.split_first_mut().unwrap();
    until(
        || "it never had several".to_owned(),
        || {
            for connection in &mut others[..3] {
                connection.send(invocation("", r#"{"input":1}"#));
            }
            last.send(invocation("", r#"{"input":"end"}"#));
            for connection in &mut others[3..] {
                connection.send(invocation("", r#"{"input":1}"#));
            }
            let has_ended = last.receive().status == 500;
            for connection in &mut *others {
                assert_eq!(connection.receive().text(), "1");
            }
            has_ended.then_some(())
        },
    );
    instance.wait_for("picofaas_watchdog_children_started_total 2");
}
