//! JSON or YAML text as a tree that keeps two things that a plain map of values forgets: the line of each
//! value, and keys that occur twice.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::{DuplicateKeyPolicy, Location, Spanned, options};

/// A value and the line it starts on.
#[derive(Debug)]
pub(super) struct TreeNode {
    /// Line in the text, counted from 1; 0 where it is not known, which is so for all of JSON.
    pub(super) line: u32,
    /// The value.
    pub(super) value: Value,
}

/// A value as it was written.
#[derive(Debug)]
pub(super) enum Value {
    Null,
    Boolean(bool),
    Whole(i128),
    Float(f64),
    Text(String),
    List(Vec<TreeNode>),
    Object(Vec<ObjectEntry>),
}

/// An entry of an object: a key and its value. Entries keep the order of the text, repeated keys included.
#[derive(Debug)]
pub(super) struct ObjectEntry {
    /// The key.
    pub(super) key: String,
    /// Line of the key, as in [`TreeNode::line`].
    pub(super) line: u32,
    /// Its value.
    pub(super) node: TreeNode,
}

impl Value {
    /// The kind of the value, with its article, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean(_) => "a boolean",
            Self::Whole(_) => "a whole number",
            Self::Float(_) => "a number with a fraction",
            Self::Text(_) => "a string",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        }
    }
}

/// Reads one JSON text.
///
/// # Errors
/// Where and why the text is not JSON.
pub(super) fn from_json(bytes: &[u8]) -> Result<TreeNode, serde_json::Error> {
    serde_json::from_slice::<JsonNode>(bytes).map(Notation::into_node)
}

/// Reads every document of a YAML text; empty documents are left out.
///
/// # Errors
/// Where and why the text is not YAML.
pub(super) fn from_yaml(text: &str) -> Result<Vec<TreeNode>, serde_saphyr::Error> {
    let options = options! {
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        with_snippet: false,
    };
    let documents = serde_saphyr::from_multiple_with_options::<YamlNode>(text, options)?;
    Ok(documents.into_iter().map(Notation::into_node).collect())
}

/// A notation: how its keys and values say on which line they stand.
trait Notation<'de>: Deserialize<'de> {
    type Key: Deserialize<'de>;
    fn into_node(self) -> TreeNode;
    fn key(key: Self::Key) -> (String, u32);
}

struct JsonNode(Value);

impl<'de> Deserialize<'de> for JsonNode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor::<Self>(PhantomData)).map(Self)
    }
}

impl Notation<'_> for JsonNode {
    type Key = String;

    fn into_node(self) -> TreeNode {
        TreeNode { line: 0, value: self.0 }
    }

    fn key(key: String) -> (String, u32) {
        (key, 0)
    }
}

struct YamlNode(Spanned<YamlValue>);
struct YamlValue(Value);

impl<'de> Deserialize<'de> for YamlNode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Spanned::deserialize(deserializer).map(Self)
    }
}

impl<'de> Deserialize<'de> for YamlValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor::<YamlNode>(PhantomData)).map(Self)
    }
}

impl Notation<'_> for YamlNode {
    type Key = Spanned<String>;

    fn into_node(self) -> TreeNode {
        TreeNode { line: line_of(self.0.referenced), value: self.0.value.0 }
    }

    fn key(key: Spanned<String>) -> (String, u32) {
        (key.value, line_of(key.referenced))
    }
}

/// The line of a place in a YAML text. The library counts in 32 bits and shows 64.
fn line_of(location: Location) -> u32 {
    u32::try_from(location.line()).unwrap_or(u32::MAX)
}

struct ValueVisitor<N>(PhantomData<N>);

impl<'de, N: Notation<'de>> Visitor<'de> for ValueVisitor<N> {
    type Value = Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Boolean(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Whole(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Whole(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element::<N>()? {
            list.push(item.into_node());
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = fields.next_key::<N::Key>()? {
            let (key, line) = N::key(key);
            entries.push(ObjectEntry { key, line, node: fields.next_value::<N>()?.into_node() });
        }
        Ok(Value::Object(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(node: &TreeNode) -> Vec<(&str, u32)> {
        let Value::Object(entries) = &node.value else { panic!("not an object: {:?}", node.value) };
        entries.iter().map(|entry| (entry.key.as_str(), entry.line)).collect()
    }

    #[test]
    fn json_keeps_repeated_keys_in_the_order_of_the_text() {
        let node = from_json(br#"{"b":1,"a":{"value":[null,true,-2,0.5,"x"]},"b":2}"#).unwrap();
        assert_eq!(keys(&node), [("b", 0), ("a", 0), ("b", 0)]);
    }

    #[test]
    fn yaml_knows_the_line_of_every_key_and_item_in_every_document() {
        let documents = from_yaml("a: 1\n\nb:\n  - x\n  - y: 2\na: 3\n---\n---\nvalue: {c: d}\n").unwrap();
        assert_eq!(documents.len(), 2);
        assert_eq!(keys(&documents[0]), [("a", 1), ("b", 3), ("a", 6)]);
        assert_eq!(keys(&documents[1]), [("value", 9)]);
        let Value::Object(entries) = &documents[0].value else { panic!("checked above") };
        let Value::List(items) = &entries[1].node.value else { panic!("b is a list") };
        assert_eq!((items[0].line, items[1].line), (4, 5));
        assert_eq!(keys(&items[1]), [("y", 5)]);
    }
}
