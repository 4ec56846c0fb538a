//! Starting, and refusing to.

use crate::instance::Process;

#[track_caller]
fn refuses(variables: &[(&str, &str)], code: i32, said: &[&str]) {
    let (ended, text) = Process::start(variables).end();
    assert_eq!(ended, code, "{text}");
    for part in said {
        assert!(text.contains(part), "no `{part}` in: {text}");
    }
}

#[test]
fn an_environment_that_says_nothing_clear_is_refused_by_name() {
    let rest = [("PORT", "0"), ("WATCHDOG_CMD", "cat"), ("WATCHDOG_MODE", "stdio")];
    let without = |name| rest.into_iter().filter(|(known, _)| *known != name).collect::<Vec<_>>();
    let with = |name, value| [without(name), vec![(name, value)]].concat();
    refuses(&without("WATCHDOG_MODE"), 2, &["WATCHDOG_MODE is not set", "stdio"]);
    refuses(&without("WATCHDOG_CMD"), 2, &["WATCHDOG_CMD is not set"]);
    refuses(&without("PORT"), 2, &["PICOFAAS_SOCKET", "PORT"]);
    refuses(&with("WATCHDOG_MODE", "cgi"), 2, &["WATCHDOG_MODE is `cgi`", "stdio"]);
    refuses(&with("WATCHDOG_CMD", "a 'b"), 2, &["WATCHDOG_CMD is `a 'b`", "' has no end"]);
    refuses(&with("WATCHDOG_INPUT", "body"), 2, &["WATCHDOG_INPUT is `body`", "input or envelope"]);
    refuses(&with("WATCHDOG_OUTPUT", "xml"), 2, &["WATCHDOG_OUTPUT is `xml`", "json or text"]);
    let http = |name, value| [with("WATCHDOG_MODE", "http"), vec![(name, value)]].concat();
    refuses(&http("WATCHDOG_HTTP_PORT", "0"), 2, &["WATCHDOG_HTTP_PORT is `0`", "from 1 to 65535"]);
    refuses(&http("WATCHDOG_HTTP_PATH", "x"), 2, &["WATCHDOG_HTTP_PATH is `x`", "begins with a `/`"]);
    refuses(&http("WATCHDOG_HTTP_HEALTH", "/ "), 2, &["WATCHDOG_HTTP_HEALTH is `/ `", "visible ASCII"]);
}

#[test]
fn a_program_that_is_not_there_is_said_at_the_start() {
    for (command, said) in [
        ("no-such-program -x", "`no-such-program`, which is in no folder of PATH"),
        ("./no/such/program", "`./no/such/program` (WATCHDOG_CMD) cannot be started: No such file"),
        ("/etc/passwd", "`/etc/passwd` (WATCHDOG_CMD) cannot be started: Permission denied"),
    ] {
        for mode in ["stdio", "http"] {
            let variables = [("PORT", "0"), ("WATCHDOG_CMD", command), ("WATCHDOG_MODE", mode)];
            refuses(&variables, 1, &["error cannot start: ", said]);
        }
    }
}
