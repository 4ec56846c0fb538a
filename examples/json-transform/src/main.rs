//! Picks, renames and sets the fields of a JSON object, in this order.
//!
//! Values are passed on as they came, so a number keeps every digit.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use picofaas_runtime::HandlerError;
use serde::Deserialize;
use serde_json::value::RawValue;

type Object = BTreeMap<String, Box<RawValue>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    data: Object,
    #[serde(default)]
    transform: Transform,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Transform {
    /// The fields to keep; all if it is left out. Names that `data` lacks are ignored.
    pick: Option<BTreeSet<String>>,
    /// Old name to new name, all at once, so that two fields may swap their names.
    rename: BTreeMap<String, String>,
    /// Fields to add or replace.
    set: Object,
}

async fn json_transform(input: Input) -> Result<Object, HandlerError> {
    transform(input.data, input.transform)
}

fn transform(mut object: Object, transform: Transform) -> Result<Object, HandlerError> {
    if let Some(pick) = transform.pick {
        object.retain(|name, _| pick.contains(name));
    }
    let mut renamed = Vec::new();
    for (old, new) in transform.rename {
        if let Some(value) = object.remove(&old) {
            renamed.push((old, new, value));
        }
    }
    for (old, new, value) in renamed {
        if object.contains_key(&new) {
            let message = format!("transform.rename: `{old}` cannot become `{new}`, which is taken");
            return Err(HandlerError::new(422, "NAME_TAKEN", message));
        }
        object.insert(new, value);
    }
    object.extend(transform.set);
    Ok(object)
}

fn main() -> ExitCode {
    picofaas_runtime::serve(json_transform)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(input: &str) -> Result<String, HandlerError> {
        let input: Input = serde_json::from_str(input).unwrap();
        Ok(serde_json::to_string(&transform(input.data, input.transform)?).unwrap())
    }

    #[test]
    fn picking_comes_before_renaming_and_renaming_before_setting() {
        let output = run(r#"{"data":{"a":1,"b":2,"c":3},
                "transform":{"pick":["a","b","x"],"rename":{"a":"c","c":"d"},"set":{"c":[4],"e":null}}}"#);
        assert_eq!(output.unwrap(), r#"{"b":2,"c":[4],"e":null}"#);
    }

    #[test]
    fn two_fields_can_swap_their_names() {
        let output = run(r#"{"data":{"a":1,"b":2},"transform":{"rename":{"a":"b","b":"a"}}}"#);
        assert_eq!(output.unwrap(), r#"{"a":2,"b":1}"#);
    }

    #[test]
    fn a_name_that_is_taken_is_refused_instead_of_losing_a_field() {
        for rename in [r#"{"a":"b"}"#, r#"{"a":"c","b":"c"}"#] {
            let refused = run(&format!(r#"{{"data":{{"a":1,"b":2}},"transform":{{"rename":{rename}}}}}"#));
            assert!(refused.unwrap_err().to_string().starts_with("422 NAME_TAKEN: "));
        }
    }

    #[test]
    fn without_a_transform_every_value_comes_back_as_it_was() {
        let output = run(r#"{"data":{"n":12345678901234567890.10,"s":"\u00e9","deep":{"z":1, "a":2}}}"#);
        assert_eq!(output.unwrap(), r#"{"deep":{"z":1, "a":2},"n":12345678901234567890.10,"s":"\u00e9"}"#);
    }
}
