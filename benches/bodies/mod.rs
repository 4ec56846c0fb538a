//! JSON of a size: of records as APIs exchange them, or a small object.

#![allow(dead_code, reason = "each bench uses a part")]

/// Bytes of the smallest of either kind.
pub(crate) const SMALL: usize = 40;

/// An invocation of about `size` bytes.
pub(crate) fn invocation(size: usize) -> Vec<u8> {
    if size <= SMALL {
        return br#"{"input":{"text":"hello","number":1234}}"#.to_vec();
    }
    let mut body = b"{\"input\":".to_vec();
    body.extend_from_slice(&records(size.saturating_sub(body.len() + 1)));
    body.push(b'}');
    body
}

/// An output of about `size` bytes.
pub(crate) fn output(size: usize) -> Vec<u8> {
    if size <= SMALL { br#"{"text":"hello","number":1234,"ok":true}"#.to_vec() } else { records(size) }
}

/// A list of at least one record.
fn records(size: usize) -> Vec<u8> {
    let mut items = Vec::new();
    let mut length = 2;
    let mut number = 0_u64;
    while length < size {
        number += 1;
        let item = format!(
            r#"{{"id":{number},"name":"item {number}","price":{number}.25,"tags":["a","b"],"ok":true}}"#
        );
        length += item.len() + 1;
        items.push(item);
    }
    format!("[{}]", items.join(",")).into_bytes()
}
