//! A standby: one invocation, and the end.

use serde_json::json;

use crate::instance::Instance;

#[test]
fn a_program_that_is_started_for_the_one_invocation_of_a_standby_has_its_ids_and_not_the_variable() {
    let script = r#"printf '["%s","%s","%s"]' $EXECUTION_ID $TRACE_ID "$PICOFAAS_STANDBY""#;
    let instance = Instance::with("stdio", script, &[("PICOFAAS_STANDBY", "1")]);
    let mut connection = instance.connect();
    let answer = connection.invoke("x-trace-id: t-1\r\n", r#"{"input":1}"#);
    assert_eq!((answer.status, answer.json()), (200, json!(["e-1", "t-1", ""])));
    drop(connection);
    let (code, said) = instance.end();
    assert_eq!(code, 0, "{said}");
}
