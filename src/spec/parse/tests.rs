use super::*;
use crate::queue_order::QueueOrder;
use crate::spec::fields::{FIELDS, FieldKind};
use crate::spec::{Bounds, EnvValue, EnvVar, FIELD_ERRORS_MAX, Local, RESERVED_ENV, Replicas};

/// The specification that a valid text makes.
fn read(text: &str) -> FunctionSpec {
    parse_function(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The errors of a text, each as `field: message`.
fn errors(text: &str) -> Vec<String> {
    match parse_function(text.as_bytes()) {
        Err(SpecError::Fields(errors)) => errors.0.iter().map(ToString::to_string).collect(),
        other => panic!("{text}: {other:?}"),
    }
}

/// A WARM specification with more fields.
fn warm(fields: &str) -> String {
    format!(r#"{{"name":"f","executionMode":"WARM","image":"i",{fields}}}"#)
}

/// A POOL specification with more fields.
fn pool(fields: &str) -> String {
    format!(r#"{{"name":"f","executionMode":"POOL",{fields}}}"#)
}

/// Asserts that each of the fields is the one error of an otherwise valid WARM specification.
fn assert_errors(cases: &[(&str, &str)]) {
    for (fields, error) in cases {
        assert_eq!(errors(&warm(fields)), [*error], "{fields}");
    }
}

#[test]
fn what_is_left_out_has_the_defaults_of_the_contract() {
    let spec = read(r#"{"name":"f","image":"i"}"#);
    let expected = r#"{"name":"f","executionMode":"JOB","image":"i","resources":{"requests":{"cpu":"50m","memory":"64Mi"}},"timeoutMs":30000,"maxQueueMs":3600000,"attemptTimeoutMs":30000,"concurrency":4,"instanceConcurrency":4,"queueSize":100,"queueOrder":"FIFO","maxRetries":3,"retryBackoffMs":100,"retryMaxBackoffMs":5000,"idleTimeoutMs":300000}"#;
    assert_eq!(serde_json::to_string(&spec).unwrap(), expected);
    assert_eq!(read(&warm(r#""args":[]"#)).replicas, Some(Replicas { min: 1, max: 4 }));
}

#[test]
fn every_field_arrives_and_reading_the_answer_gives_an_equal_specification() {
    let full = warm(
        r#""command":["/run"],"args":["-v",""],"env":[{"name":"A","value":"1"},{"name":"b.c-D_2"}],
        "imagePullSecrets":[{"name":"my.secret-1"}],
        "resources":{"requests":{"cpu":0.5,"vendor.example/gpu":1},"limits":{"cpu":"2","memory":"32Mi"}},
        "local":{"build":[["make"],["make","x"]],"command":["./f","--serve"],"directory":"/srv/f"},
        "timeoutMs":86400000,"maxQueueMs":1,"attemptTimeoutMs":7,"concurrency":10000,
        "instanceConcurrency":1,"queueSize":65536,"maxRetries":0,"retryBackoffMs":0,"retryMaxBackoffMs":0,
        "replicas":{"min":0,"max":1000},"idleTimeoutMs":86400000"#,
    );
    let spec = read(&full);
    assert_eq!(spec.command, ["/run"]);
    assert_eq!(spec.args, ["-v", ""]);
    let variable =
        |name: &str, value: &str| EnvVar { name: name.into(), value: EnvValue::Text(value.into()) };
    assert_eq!(spec.env, [variable("A", "1"), variable("b.c-D_2", "")]);
    assert_eq!(spec.image_pull_secrets, ["my.secret-1"]);
    assert_eq!(spec.resources.requests.cpu_millicores(), Some(500));
    assert_eq!(spec.resources.requests.get("vendor.example/gpu").map(|gpu| gpu.units()), Some(1));
    assert_eq!(spec.resources.limits.cpu_millicores(), Some(2_000));
    assert_eq!(spec.resources.limits.memory_bytes(), Some(32 << 20));
    let commands = |lines: &[&[&str]]| -> Vec<Vec<String>> {
        lines.iter().map(|words| words.iter().map(ToString::to_string).collect()).collect()
    };
    let command = commands(&[&["./f", "--serve"]]).remove(0);
    let build = commands(&[&["make"], &["make", "x"]]);
    assert_eq!(spec.local, Some(Local { build, command, directory: Some("/srv/f".to_owned()) }));
    assert_eq!(spec.directory.as_deref(), Some("/srv/f".as_ref()));
    assert_eq!((spec.timeout_ms, spec.max_queue_ms, spec.attempt_timeout_ms), (86_400_000, 1, 7));
    assert_eq!((spec.concurrency, spec.instance_concurrency, spec.queue_size), (10_000, 1, 65_536));
    assert_eq!((spec.max_retries, spec.retry_backoff_ms, spec.retry_max_backoff_ms), (0, 0, 0));
    assert_eq!((spec.replicas, spec.idle_timeout_ms), (Some(Replicas { min: 0, max: 1_000 }), 86_400_000));

    let one_url = pool(r#""endpointUrl":"http://h""#);
    let urls =
        pool(r#""endpointUrl":["http://[::1]:9/x","unix:/s"],"frames":true,"timeoutMs":5,"concurrency":2"#);
    for text in [full.as_str(), r#"{"name":"f","image":"i"}"#, &one_url, &urls] {
        let spec = read(text);
        let answer = serde_json::to_string(&spec).unwrap();
        assert_eq!(read(&answer), spec, "{answer}");
        assert_eq!(serde_json::to_string(&read(&answer)).unwrap(), answer);
    }
}

#[test]
fn one_url_is_answered_as_a_string_and_several_as_a_list() {
    let answer = |text: &str| serde_json::to_value(read(text)).unwrap()["endpointUrl"].clone();
    assert_eq!(answer(&pool(r#""endpointUrl":["http://h"]"#)), "http://h:80/invoke");
    let several = answer(&pool(r#""endpointUrl":["http://h","unix:/s"]"#));
    assert_eq!(several, serde_json::json!(["http://h:80/invoke", "unix:/s"]));
}

#[test]
fn limits_and_time_of_one_attempt_follow_the_whole_until_they_are_given() {
    let spec = read(&warm(r#""timeoutMs":9,"concurrency":7"#));
    assert_eq!((spec.attempt_timeout_ms, spec.instance_concurrency), (9, 7));
    let said = read(&warm(r#""timeoutMs":9,"attemptTimeoutMs":9,"concurrency":7,"instanceConcurrency":7"#));
    assert_eq!(said, spec);
    let spec = read(&warm(r#""timeoutMs":9,"attemptTimeoutMs":8,"concurrency":7,"instanceConcurrency":9"#));
    assert_eq!((spec.attempt_timeout_ms, spec.instance_concurrency), (8, 9));
}

#[test]
fn numbers_are_taken_at_both_ends_of_their_range_and_not_beyond() {
    for row in FIELDS.iter().filter(|row| !row.path.contains('.')) {
        let (FieldKind::Number(bounds) | FieldKind::FollowingNumber(bounds)) = row.kind else { continue };
        let Bounds { min, max, default, unit } = bounds;
        let field = row.path;
        // A rule between two numbers is not to be broken by the ends of one.
        let beside = match field {
            "attemptTimeoutMs" => r#""timeoutMs":86400000"#,
            "retryBackoffMs" => r#""retryMaxBackoffMs":3600000"#,
            "headroom" => r#""replicas":{"max":1000}"#,
            _ => r#""retryBackoffMs":0"#,
        };
        assert!((min..=max).contains(&default), "{field}");
        for good in [min, max] {
            read(&warm(&format!(r#"{beside},"{field}":{good}"#)));
        }
        for bad in [i64::from(min) - 1, i64::from(max) + 1, i64::MIN] {
            assert_eq!(
                errors(&warm(&format!(r#"{beside},"{field}":{bad}"#))),
                [format!("{field}: must be between {min} and {max} {unit}, is {bad}")]
            );
        }
    }
    read(&warm(r#""replicas":{"min":1000,"max":1000}"#));
    assert_errors(&[
        (r#""replicas":{"max":1001}"#, "replicas.max: must be between 1 and 1000 replicas, is 1001"),
        (r#""replicas":{"min":0,"max":0}"#, "replicas.max: must be between 1 and 1000 replicas, is 0"),
        (r#""replicas":{"min":-1}"#, "replicas.min: must be between 0 and 1000 replicas, is -1"),
    ]);
}

#[test]
fn a_value_of_the_wrong_kind_says_what_was_expected_and_what_came() {
    assert_errors(&[
        (r#""timeoutMs":"5s""#, "timeoutMs: must be a whole number between 1 and 86400000 (ms), is a string"),
        (r#""timeoutMs":1.5"#, "timeoutMs: must be a whole number between 1 and 86400000 ms, is 1.5"),
        (
            r#""timeoutMs":1e30"#,
            "timeoutMs: must be a whole number between 1 and 86400000 ms, is 1000000000000000000000000000000",
        ),
        (
            r#""queueSize":true"#,
            "queueSize: must be a whole number between 1 and 65536 (executions), is a boolean",
        ),
        (r#""args":"x""#, "args: must be a list of strings, is a string"),
        (r#""args":["x",7]"#, "args[1]: must be a string (put it in quotes), is a whole number"),
        (r#""args":[null]"#, "args[0]: must be a string, is null"),
        (r#""command":["\u0000"]"#, "command[0]: must not contain a zero byte"),
        (
            r#""env":{"A":"1"}"#,
            "env: must be a list of objects {name, value} or {name, valueFrom}, is an object",
        ),
        (r#""env":["A=1"]"#, "env[0]: must be an object, is a string"),
        (
            r#""env":[{"name":"A","value":1}]"#,
            "env[0].value: must be a string (put it in quotes), is a whole number",
        ),
        (r#""imagePullSecrets":["s"]"#, "imagePullSecrets[0]: must be an object, is a string"),
        (r#""replicas":2"#, "replicas: must be an object, is a whole number"),
        (r#""resources":[]"#, "resources: must be an object, is a list"),
        (r#""local":"./f""#, "local: must be an object, is a string"),
        (
            r#""local":{"command":"./f"}"#,
            "local.command: must be a list of strings: the program and its arguments, is a string",
        ),
    ]);
    let mode = r#"{"name":"f","executionMode":7,"image":["i"]}"#;
    assert_eq!(
        errors(mode),
        [
            "executionMode: must be a string (put it in quotes), is a whole number",
            "image: must be a string, is a list"
        ]
    );
}

#[test]
fn null_counts_as_left_out() {
    let spec = read(&warm(r#""timeoutMs":null,"env":null,"replicas":{"min":null},"local":null"#));
    assert_eq!(spec, read(&warm(r#""args":[]"#)));
    assert_eq!(errors(r#"{"name":null,"image":"i"}"#), ["name: is required"]);
}

#[test]
fn an_unknown_field_is_refused_with_the_field_that_was_probably_meant() {
    assert_errors(&[
        (r#""timeoutMS":1"#, "timeoutMS: is not a known field; did you mean timeoutMs?"),
        (r#""maxRetry":1"#, "maxRetry: is not a known field; did you mean maxRetries?"),
        (r#""colour":1"#, "colour: is not a known field"),
        (r#""replicas":{"mni":1}"#, "replicas.mni: is not a known field"),
        (r#""replicas":{"maximum":1}"#, "replicas.maximum: is not a known field"),
        (r#""env":[{"name":"A","valeu":""}]"#, "env[0].valeu: is not a known field; did you mean value?"),
        (r#""resources":{"limit":{}}"#, "resources.limit: is not a known field; did you mean limits?"),
        (r#""local":{"command":["x"],"dir":"/"}"#, "local.dir: is not a known field"),
        (r#""a\nb":1"#, "a\\nb: is not a known field"),
    ]);
}

#[test]
fn a_key_given_twice_is_refused_wherever_it_is() {
    assert_errors(&[
        (r#""timeoutMs":1,"timeoutMs":2"#, "timeoutMs: is given more than once"),
        (r#""replicas":{"min":1,"min":1}"#, "replicas.min: is given more than once"),
        (r#""env":[{"name":"A","name":"B"}]"#, "env[0].name: is given more than once"),
        (r#""resources":{"limits":{"cpu":1,"cpu":2}}"#, "resources.limits.cpu: is given more than once"),
    ]);
}

#[test]
fn every_fault_is_listed_and_not_only_the_first() {
    let text = r#"{"executionMode":"HOT","timeoutMs":0,"colour":1,"env":[{"name":"PORT"},{"value":"x"}],
        "retryBackoffMs":"x","retryMaxBackoffMs":1,"resources":{"limits":{"cpu":"many"}}}"#;
    let fields: Vec<_> = match parse_function(text.as_bytes()) {
        Err(SpecError::Fields(errors)) => errors.0.into_iter().map(|error| error.field).collect(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        fields,
        [
            "colour",
            "name",
            "executionMode",
            "timeoutMs",
            "retryBackoffMs",
            "env[0].name",
            "env[1].name",
            "resources.limits.cpu"
        ]
    );
}

#[test]
fn a_hostile_text_gets_a_bounded_answer() {
    let unknown: Vec<_> = (0..5_000).map(|index| format!(r#""{}{index}":0"#, "x".repeat(200))).collect();
    let listed = errors(&warm(&unknown.join(",")));
    assert_eq!(listed.len(), FIELD_ERRORS_MAX + 1);
    assert!(listed.iter().all(|error| error.len() < 200), "{}", listed[0]);
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(matches!(parse_function(deep.as_bytes()), Err(SpecError::Json { .. })));
}

#[test]
fn what_the_mode_needs_must_be_there_and_what_it_cannot_use_must_not() {
    let image = |mode| {
        format!(
            "image: is required with executionMode {mode}, unless local.command says what the local backend runs"
        )
    };
    assert_eq!(errors(r#"{"name":"f"}"#), [image("JOB")]);
    assert_eq!(errors(r#"{"name":"f","executionMode":"WARM"}"#), [image("WARM")]);
    assert_eq!(
        errors(r#"{"name":"f","executionMode":"POOL"}"#),
        ["endpointUrl: is required with executionMode POOL"]
    );
    assert_eq!(
        errors(&warm(r#""endpointUrl":"http://h""#)),
        ["endpointUrl: is only for executionMode POOL, which is WARM here"]
    );
    assert_eq!(
        errors(&warm(r#""frames":true"#)),
        ["frames: is only for executionMode POOL, which is WARM here; leave it out"]
    );
    let dropping = "dropUnreachable: is only for executionMode WARM or POOL without web; leave it out";
    assert_eq!(errors(r#"{"name":"f","image":"i","dropUnreachable":true}"#), [dropping]);
    assert_eq!(errors(&warm(r#""web":{},"dropUnreachable":true"#)), [dropping]);
    assert_eq!(
        errors(r#"{"name":"f","image":"i","replicas":{"min":1}}"#),
        ["replicas: is only for executionMode WARM, which is JOB here"]
    );
    assert_eq!(
        errors(&pool(r#""endpointUrl":"unix:/s","replicas":{"min":1}"#)),
        ["replicas: is only for executionMode WARM, which is POOL here"]
    );
    assert_eq!(
        errors(r#"{"name":"f","executionMode":"warm","image":"i"}"#),
        ["executionMode: must be JOB, WARM or POOL, is \"warm\""]
    );
    read(r#"{"name":"f","local":{"command":["x"]}}"#);
}

#[test]
fn rules_between_two_fields_hold_with_defaults_and_stay_silent_when_one_is_faulty() {
    read(&warm(r#""timeoutMs":5,"attemptTimeoutMs":5,"retryBackoffMs":7,"retryMaxBackoffMs":7"#));
    assert_errors(&[
        (
            r#""timeoutMs":5,"attemptTimeoutMs":6"#,
            "attemptTimeoutMs: must not exceed timeoutMs, which is 5 ms, is 6",
        ),
        (
            r#""attemptTimeoutMs":30001"#,
            "attemptTimeoutMs: must not exceed timeoutMs, which is 30000 ms, is 30001",
        ),
        (r#""timeoutMs":0,"attemptTimeoutMs":40000"#, "timeoutMs: must be between 1 and 86400000 ms, is 0"),
        (
            r#""retryBackoffMs":5001"#,
            "retryMaxBackoffMs: must be at least retryBackoffMs, which is 5001 ms, is 5000",
        ),
        (
            r#""retryMaxBackoffMs":99"#,
            "retryMaxBackoffMs: must be at least retryBackoffMs, which is 100 ms, is 99",
        ),
        (
            r#""retryBackoffMs":-1,"retryMaxBackoffMs":0"#,
            "retryBackoffMs: must be between 0 and 3600000 ms, is -1",
        ),
        (r#""replicas":{"min":5}"#, "replicas.min: must not exceed replicas.max, which is 4, is 5"),
        (
            r#""replicas":{"min":5,"max":"x"}"#,
            "replicas.max: must be a whole number between 1 and 1000 (replicas), is a string",
        ),
    ]);
}

#[test]
fn reserved_and_unusable_variables_are_refused() {
    for name in RESERVED_ENV {
        assert_eq!(
            errors(&warm(&format!(r#""env":[{{"name":"A"}},{{"name":"{name}"}}]"#))),
            [format!("env[1].name: must not be {name}, which is reserved for picofaas and its runtimes")]
        );
    }
    assert_errors(&[
        (r#""env":[{"name":"A"},{"name":"A"}]"#, "env[1].name: names A a second time"),
        (r#""env":[{"value":"x"}]"#, "env[0].name: is required"),
        (r#""env":[{"name":"A","value":"\u0000"}]"#, "env[0].value: must not contain a zero byte"),
    ]);
    for name in ["", "1A", "A=B", "A B", "Ä"] {
        let error = errors(&warm(&format!(r#""env":[{{"name":"{name}"}}]"#))).remove(0);
        assert!(error.starts_with("env[0].name: must be letters, digits"), "{error}");
    }
}

#[test]
fn commands_images_and_secrets_that_cannot_work_are_refused() {
    assert_errors(&[
        (r#""local":{}"#, "local.command: is required: the program and its arguments"),
        (r#""local":{"command":[]}"#, "local.command: must name a program"),
        (r#""local":{"command":["x",""]}"#, "local.command[1]: must not be empty"),
        (
            r#""local":{"command":["x"],"directory":"srv"}"#,
            "local.directory: must be an absolute path, or left out: in a manifest it is then the manifest's folder; is \"srv\"",
        ),
        (r#""local":{"command":["x"],"build":[["a"],[]]}"#, "local.build[1]: must name a program"),
        (r#""local":{"command":["x"],"build":[["a",""]]}"#, "local.build[0][1]: must not be empty"),
        (r#""imagePullSecrets":[{}]"#, "imagePullSecrets[0].name: is required"),
        (
            r#""imagePullSecrets":[{"name":"A"}]"#,
            "imagePullSecrets[0].name: must be the name of a secret: lower-case letters, digits, - and ., is \"A\"",
        ),
    ]);
    assert_eq!(errors(r#"{"name":"f","image":""}"#), ["image: must not be empty"]);
    let spaced = errors(r#"{"name":"f","image":"a b"}"#).remove(0);
    assert!(spaced.starts_with("image: must be an image reference"), "{spaced}");
}

#[test]
fn resources_are_quantities_within_reason_and_requests_stay_below_limits() {
    let quantity = "must be a Kubernetes quantity: a number that is not negative, then nothing or one of m k M G T P E Ki Mi Gi Ti Pi Ei, as in 250m or 64Mi";
    assert_errors(&[
        (
            r#""resources":{"limits":{"memory":"64mi"}}"#,
            &format!("resources.limits.memory: {quantity}; is \"64mi\""),
        ),
        (r#""resources":{"limits":{"cpu":-1}}"#, &format!("resources.limits.cpu: {quantity}; is \"-1\"")),
        (
            r#""resources":{"requests":{"memory":"64m"}}"#,
            "resources.requests.memory: must be between 1Mi and 64Ti bytes, is 64m",
        ),
        (
            r#""resources":{"requests":{"cpu":"0"}}"#,
            "resources.requests.cpu: must be between 1m and 1024 cores, is 0",
        ),
        (
            r#""resources":{"requests":{"memroy":"1Gi"}}"#,
            "resources.requests.memroy: is not a known resource: cpu, memory, ephemeral-storage, hugepages-<size> or <domain>/<resource>",
        ),
        (
            r#""resources":{"requests":{"cpu":"2"},"limits":{"cpu":"1500m"}}"#,
            "resources.requests.cpu: must not exceed the limit 1500m, is 2",
        ),
    ]);
    let small = read(&warm(r#""resources":{"limits":{"cpu":"10m","memory":"16Mi"}}"#)).resources;
    assert_eq!(small.requests, small.limits, "a default request gives way to a smaller limit");
}

#[test]
fn an_endpoint_that_cannot_be_called_is_refused() {
    let one = |url: &str| errors(&pool(&format!(r#""endpointUrl":{url}"#)));
    assert_eq!(
        one(r#""https://h""#),
        [
            "endpointUrl: https is not supported: only http:// and unix: are; end TLS in a proxy next to the function; is \"https://h\""
        ]
    );
    assert_eq!(one("[]"), ["endpointUrl: must hold 1 to 1000 URLs, holds 0"]);
    assert_eq!(one("7"), ["endpointUrl: must be a string (put it in quotes), is a whole number"]);
    assert_eq!(
        one(r#"["http://h","http://h:80/","ftp://h"]"#),
        [
            "endpointUrl[1]: names http://h:80/invoke a second time",
            "endpointUrl[2]: must start with http:// or unix:/; is \"ftp://h\""
        ]
    );
}

#[test]
fn what_is_not_a_json_object_says_where() {
    for (text, line, column, says) in [
        ("{\"name\":\n  x}", 2, 3, "is not JSON: expected value"),
        ("", 1, 0, "is not JSON: EOF while parsing a value"),
        ("{} {}", 1, 4, "is not JSON: trailing characters"),
        ("\n  []", 2, 3, "must be a JSON object, is a list"),
        ("null", 1, 1, "must be a JSON object, is null"),
    ] {
        let error = parse_function(text.as_bytes()).unwrap_err();
        assert_eq!(error, SpecError::Json { line, column, message: says.to_owned() }, "{text:?}");
    }
    assert!(matches!(parse_function(b"{\"name\":\"\xff\"}"), Err(SpecError::Json { .. })));
}

#[test]
fn a_manifest_sent_as_it_is_gets_one_remedy() {
    let text = r#"{"apiVersion":"picofaas.dev/v1","kind":"Function","metadata":{"name":"f"},"spec":{}}"#;
    assert_eq!(errors(text), ["is a manifest; send the fields under its spec, and the name beside them"]);
}

#[test]
fn the_name_in_the_path_counts_and_the_body_may_only_repeat_it() {
    let named = |name: &str, text: &str| match parse_function_named(name, text.as_bytes()) {
        Ok(spec) => spec.name.to_string(),
        Err(error) => error.to_string(),
    };
    assert_eq!(named("f", r#"{"image":"i"}"#), "f");
    assert_eq!(named("f", r#"{"name":"f","image":"i"}"#), "f");
    assert_eq!(named("f", r#"{"name":"g","image":"i"}"#), "name: must be f or absent, is g");
    let in_path = named("F", r#"{"image":"i"}"#);
    assert!(in_path.starts_with("name: must be 1 to 40") && in_path.ends_with("is \"F\" in the path"));
    let bad_name = errors(r#"{"name":"Nope","image":"i"}"#).remove(0);
    assert!(bad_name.starts_with("name: must be 1 to 40") && bad_name.ends_with("is \"Nope\""), "{bad_name}");
}

#[test]
fn what_get_answers_can_be_put_back() {
    let spec = read(&warm(r#""timeoutMs":9"#));
    let mut answer = serde_json::to_value(&spec).unwrap();
    answer["status"] = serde_json::json!({"replicas": 1, "ready": 1, "conditions": []});
    assert_eq!(parse_function_named("f", answer.to_string().as_bytes()), Ok(spec));
}

#[test]
fn what_cannot_end_in_time_is_dropped_where_the_function_says_so() {
    let drops = |fields: &str| read(&warm(fields)).drop_unreachable;
    assert!(drops(r#""dropUnreachable":true"#));
    assert!(!drops(r#""dropUnreachable":false"#) && !drops(r#""timeoutMs":9"#));
    let answer = serde_json::to_value(read(&warm(r#""dropUnreachable":true"#))).unwrap();
    assert_eq!(answer["dropUnreachable"], true);
}

#[test]
fn the_order_of_those_that_wait_follows_what_is_dropped_until_it_is_given() {
    let order = |fields: &str| read(&warm(fields)).queue_order;
    assert_eq!(order(r#""timeoutMs":9"#), QueueOrder::Fifo);
    assert_eq!(order(r#""dropUnreachable":true"#), QueueOrder::Deadline);
    assert_eq!(order(r#""dropUnreachable":true,"queueOrder":"LIFO""#), QueueOrder::Lifo);
    assert_eq!(order(r#""queueOrder":"DEADLINE""#), QueueOrder::Deadline);
    let unknown = "queueOrder: must be FIFO, LIFO or DEADLINE, is \"RANDOM\"";
    assert_eq!(errors(&warm(r#""queueOrder":"RANDOM""#)), [unknown]);
}

#[test]
fn an_etag_changes_with_the_specification_and_with_nothing_else() {
    let spec = read(&warm(r#""timeoutMs":9"#));
    let annotated = FunctionSpec { annotations: [("a".to_owned(), "b".to_owned())].into(), ..spec.clone() };
    let spoken = read(&warm(r#""attemptTimeoutMs":9,"timeoutMs":9,"replicas":{"max":4,"min":1}"#));
    assert_eq!(spec.etag(), annotated.etag());
    assert_eq!(spec.etag(), spoken.etag());
    assert_ne!(spec.etag(), read(&warm(r#""timeoutMs":8"#)).etag());
    let etag = spec.etag();
    let digits = etag.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap();
    assert!(digits.len() == 16 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()), "{etag}");
}

#[test]
fn an_etag_is_the_same_in_every_process() {
    // Computed apart from this program, by FNV-1a over the text in the test of the defaults.
    assert_eq!(read(r#"{"name":"f","image":"i"}"#).etag(), "\"128f459f0975dc43\"");
}
