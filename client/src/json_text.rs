//! JSON on several lines, with every number and every text as it came.

/// Sets a valid JSON text on several lines, two spaces for each level. Empty lists and objects stay on one.
pub(crate) fn indented(json: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let mut depth = 0_usize;
    let (mut in_text, mut is_escaped) = (false, false);
    let new_line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    };
    for c in json.chars() {
        if in_text {
            out.push(c);
            in_text = is_escaped || c != '"';
            is_escaped = !is_escaped && c == '\\';
            continue;
        }
        match c {
            ' ' | '\t' | '\n' | '\r' => continue,
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                if !out.ends_with(['{', '[']) {
                    new_line(&mut out, depth);
                }
            }
            _ if out.ends_with(['{', '[']) => new_line(&mut out, depth),
            _ => {}
        }
        out.push(c);
        match c {
            '"' => in_text = true,
            '{' | '[' => depth += 1,
            ',' => new_line(&mut out, depth),
            ':' => out.push(' '),
            _ => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::indented;

    #[test]
    fn a_text_is_set_on_lines_as_serde_does() {
        for text in [
            r#"{"a":[1,{"b":"x{,:]\"\\"},[],{}],"c":{},"d":"e f"}"#,
            "[]",
            "7",
            r#""[""#,
            r#"["",[[]],"\\",{"\"":null}]"#,
        ] {
            let value: serde_json::Value = serde_json::from_str(text).unwrap();
            assert_eq!(indented(text), serde_json::to_string_pretty(&value).unwrap());
            let wide = indented(text);
            assert_eq!(indented(&wide), wide);
        }
    }

    #[test]
    fn numbers_stay_as_they_came() {
        assert_eq!(
            indented("[1e999,12345678901234567890123,1.10]"),
            "[\n  1e999,\n  12345678901234567890123,\n  1.10\n]"
        );
    }
}
