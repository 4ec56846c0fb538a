//! Parameters of a query string.

/// The parameters of a query string in their order, as they were sent: a name, and the value after the first
/// `=`, which may be empty. Values are not decoded.
pub(crate) fn parameters(query: Option<&str>) -> impl Iterator<Item = (&str, &str)> {
    let pairs = query.unwrap_or("").split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_come_in_order_and_a_name_alone_has_an_empty_value() {
        let read = |query| parameters(query).collect::<Vec<_>>();
        assert_eq!(read(None), []);
        assert_eq!(read(Some("&&")), []);
        assert_eq!(
            read(Some("a=1&b&a=2=3&=4&c=%26+")),
            [("a", "1"), ("b", ""), ("a", "2=3"), ("", "4"), ("c", "%26+")]
        );
    }
}
