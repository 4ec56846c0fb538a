//! A specification with its defaults filled in, to tell whether it is what a server has.
//!
//! A server makes another version of a function with every `PUT`, whose instances are started anew. So an
//! `apply` of what is there must not send one. Only what is surely the same counts: where a default of the
//! server is not known here, there is one `PUT` too many, and it changes nothing.

use serde_json::Number;

use crate::ordered_value::OrderedValue;

/// Defaults of numbers.
const NUMBERS: [(&str, u64); 8] = [
    ("timeoutMs", 30_000),
    ("maxQueueMs", 3_600_000),
    ("concurrency", 4),
    ("queueSize", 100),
    ("maxRetries", 3),
    ("retryBackoffMs", 100),
    ("retryMaxBackoffMs", 5_000),
    ("idleTimeoutMs", 300_000),
];

/// Whether a function, as a server answers it, is what a specification says.
pub(crate) fn is_same(function: &OrderedValue, spec: &OrderedValue) -> bool {
    let OrderedValue::Object(fields) = function else { return false };
    let fields = fields.iter().filter(|(key, _)| key != "name" && key != "status").cloned().collect();
    sorted(OrderedValue::Object(fields)) == sorted(with_defaults(spec))
}

fn with_defaults(spec: &OrderedValue) -> OrderedValue {
    let number = |number: u64| OrderedValue::Number(Number::from(number));
    let OrderedValue::Object(mut fields) = sorted(spec.clone()) else { return spec.clone() };
    default(&mut fields, "executionMode", OrderedValue::text("JOB"));
    for (key, value) in NUMBERS {
        default(&mut fields, key, number(value));
    }
    for (key, like) in [("attemptTimeoutMs", "timeoutMs"), ("instanceConcurrency", "concurrency")] {
        if let Some(value) = field(&fields, like).cloned() {
            default(&mut fields, key, value);
        }
    }
    let drops = field(&fields, "dropUnreachable") == Some(&OrderedValue::Bool(true));
    default(&mut fields, "queueOrder", OrderedValue::text(if drops { "DEADLINE" } else { "FIFO" }));
    let requests =
        OrderedValue::object([("cpu", OrderedValue::text("50m")), ("memory", OrderedValue::text("64Mi"))]);
    overlay(&mut fields, "resources", OrderedValue::object([("requests", requests)]));
    if field(&fields, "executionMode").and_then(OrderedValue::as_text) == Some("WARM") {
        overlay(&mut fields, "replicas", OrderedValue::object([("min", number(1)), ("max", number(4))]));
    }
    if let Some((_, OrderedValue::Object(standby))) = fields.iter_mut().find(|(key, _)| key == "standby") {
        default(standby, "min", number(1));
        let min = field(standby, "min").cloned();
        let least = min.filter(|min| *min != number(0)).unwrap_or_else(|| number(1));
        default(standby, "max", least);
    }
    OrderedValue::Object(fields)
}

type Fields = Vec<(String, OrderedValue)>;

fn field<'a>(fields: &'a Fields, key: &str) -> Option<&'a OrderedValue> {
    fields.iter().find(|(name, _)| name == key).map(|(_, value)| value)
}

fn default(fields: &mut Fields, key: &str, value: OrderedValue) {
    if field(fields, key).is_none() {
        fields.push((key.to_owned(), value));
    }
}

/// Fills in an object of defaults, and the objects in it.
fn overlay(fields: &mut Fields, key: &str, defaults: OrderedValue) {
    let given = fields.iter_mut().find(|(name, _)| name == key);
    match (given, defaults) {
        (None, defaults) => fields.push((key.to_owned(), defaults)),
        (Some((_, OrderedValue::Object(given))), OrderedValue::Object(defaults)) => {
            for (key, value) in defaults {
                overlay(given, &key, value);
            }
        }
        (Some(_), _) => {}
    }
}

/// The same with the fields of every object in the order of their names, and without those that are null: they
/// count as left out.
fn sorted(value: OrderedValue) -> OrderedValue {
    match value {
        OrderedValue::Object(fields) => {
            let kept = fields.into_iter().filter(|(_, value)| *value != OrderedValue::Null);
            let mut fields: Fields = kept.map(|(key, value)| (key, sorted(value))).collect();
            fields.sort_by(|(one, _), (other, _)| one.cmp(other));
            OrderedValue::Object(fields)
        }
        OrderedValue::List(items) => OrderedValue::List(items.into_iter().map(sorted).collect()),
        other @ (OrderedValue::Null
        | OrderedValue::Bool(_)
        | OrderedValue::Number(_)
        | OrderedValue::Text(_)) => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THERE: &str = r#"{"name":"a","attemptTimeoutMs":5000,"concurrency":8,"executionMode":"WARM","idleTimeoutMs":300000,
        "image":"i","instanceConcurrency":8,"maxQueueMs":3600000,"maxRetries":3,"queueOrder":"FIFO","queueSize":100,
        "replicas":{"max":4,"min":1},"resources":{"limits":{"cpu":"1"},"requests":{"cpu":"50m","memory":"64Mi"}},
        "retryBackoffMs":100,"retryMaxBackoffMs":5000,"timeoutMs":5000,"status":{"ready":1}}"#;
    const GIVEN: &str = r#"{"executionMode":"WARM","image":"i","timeoutMs":5000,"concurrency":8,"resources":{"limits":{"cpu":"1"}},"env":null}"#;

    fn same(there: &str, given: &str) -> bool {
        is_same(&serde_json::from_str(there).unwrap(), &serde_json::from_str(given).unwrap())
    }

    #[test]
    fn a_function_that_has_the_defaults_of_what_is_left_out_is_the_same() {
        assert!(same(THERE, GIVEN));
    }

    #[test]
    fn standby_follows_its_least_where_the_most_is_left_out() {
        let there = |standby: &str| {
            let job = THERE.replace("WARM", "JOB");
            job.replace(r#""replicas":{"max":4,"min":1}"#, &format!("\"standby\":{standby}"))
        };
        let given = |standby: &str| {
            let job = GIVEN.replace("WARM", "JOB");
            job.replace("\"env\":null", &format!("\"standby\":{standby}"))
        };
        for (full, short) in [
            (r#"{"max":1,"min":1}"#, "{}"),
            (r#"{"max":3,"min":3}"#, r#"{"min":3}"#),
            (r#"{"max":1,"min":0}"#, r#"{"min":0}"#),
            (r#"{"max":5,"min":1}"#, r#"{"max":5}"#),
        ] {
            assert!(same(&there(full), &given(short)), "{short}");
            assert!(!same(&there(full), &given(r#"{"min":2,"max":9}"#)), "{full}");
        }
    }

    #[test]
    fn any_field_that_is_another_or_left_out_now_is_a_change() {
        for (from, to) in [
            ("\"image\":\"i\"", "\"image\":\"j\""),
            ("\"timeoutMs\":5000,", ""),
            ("\"concurrency\":8,", ""),
            ("\"env\":null", "\"env\":[]"),
            ("\"executionMode\":\"WARM\",", ""),
            ("\"cpu\":\"1\"", "\"cpu\":\"2\""),
            ("\"env\":null", "\"replicas\":{\"max\":5}"),
            ("\"env\":null", "\"unknown\":1"),
        ] {
            assert!(!same(THERE, &GIVEN.replace(from, to)), "{to}");
        }
        assert!(!same(&THERE.replace("\"min\":1", "\"min\":2"), GIVEN), "it was scaled since");
    }
}
