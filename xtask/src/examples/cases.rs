//! Inputs of every `word-stats`, and the bytes that it must answer.

/// The answer that an invocation must bring.
pub(super) enum Expected {
    /// This output.
    Output(String),
    /// 400 `BAD_INPUT`. The message may differ: it is the language's own where JSON is read into types.
    BadInput,
}

/// One invocation.
pub(super) struct Case {
    /// As in "for …, this came".
    pub about: &'static str,
    /// JSON.
    pub input: String,
    pub expected: Expected,
}

/// Inputs that are counted.
const COUNTED: &[(&str, &str, &str)] = &[
    ("an empty text", r#"{"text":""}"#, r#"{"words":0,"uniqueWords":0,"characters":0,"topWords":[]}"#),
    (
        "a text without words",
        r#"{"text":" .!\n\u0000\u007f"}"#,
        r#"{"words":0,"uniqueWords":0,"characters":0,"topWords":[]}"#,
    ),
    (
        "the example of the manifests",
        r#"{"text":"to be or not to be","topN":2}"#,
        r#"{"words":6,"uniqueWords":4,"characters":13,"topWords":[{"word":"be","count":2},{"word":"to","count":2}]}"#,
    ),
    (
        "characters beyond ASCII",
        r#"{"text":"Été, ÉTÉ – don't 4x4! 東京 𝄞𐐀"}"#,
        r#"{"words":8,"uniqueWords":8,"characters":18,"topWords":[{"word":"4x4","count":1},{"word":"don","count":1},{"word":"t","count":1},{"word":"ÉtÉ","count":1},{"word":"Été","count":1},{"word":"–","count":1},{"word":"東京","count":1},{"word":"𝄞𐐀","count":1}]}"#,
    ),
    (
        "what JSON escapes",
        r#"{"text":"a\"b\\c\/d\ne\tf\rg\bh\fi\u0000j\u001fk\u007fl\u0041","topN":1000}"#,
        r#"{"words":12,"uniqueWords":12,"characters":13,"topWords":[{"word":"a","count":1},{"word":"b","count":1},{"word":"c","count":1},{"word":"d","count":1},{"word":"e","count":1},{"word":"f","count":1},{"word":"g","count":1},{"word":"h","count":1},{"word":"i","count":1},{"word":"j","count":1},{"word":"k","count":1},{"word":"la","count":1}]}"#,
    ),
    (
        "a character written in two ways",
        r#"{"text":"é \u00e9 \ud834\udd1e 𝄞 e\u0301"}"#,
        "{\"words\":5,\"uniqueWords\":3,\"characters\":6,\"topWords\":[{\"word\":\"é\",\"count\":2},{\"word\":\"𝄞\",\"count\":2},{\"word\":\"e\u{301}\",\"count\":1}]}",
    ),
    (
        "characters that some take for the end of a line, for white space or for none",
        r#"{"text":"\ufeffa a\u0085b a\u00a0b a\u2028b \uffff"}"#,
        "{\"words\":5,\"uniqueWords\":5,\"characters\":12,\"topWords\":[{\"word\":\"a\u{85}b\",\"count\":1},{\"word\":\"a\u{a0}b\",\"count\":1},{\"word\":\"a\u{2028}b\",\"count\":1},{\"word\":\"\u{feff}a\",\"count\":1},{\"word\":\"\u{ffff}\",\"count\":1}]}",
    ),
    (
        "ties, which come in the order of UTF-8 and not in that of UTF-16",
        r#"{"text":"\ud801\udc00 \uffda b B A a C"}"#,
        r#"{"words":7,"uniqueWords":5,"characters":7,"topWords":[{"word":"a","count":2},{"word":"b","count":2},{"word":"c","count":1},{"word":"ￚ","count":1},{"word":"𐐀","count":1}]}"#,
    ),
    ("topN 0", r#"{"text":"a","topN":0}"#, r#"{"words":1,"uniqueWords":1,"characters":1,"topWords":[]}"#),
    (
        "topN 1, with its field first and white space around",
        " { \"topN\" : 1 ,\n\"text\" : \"b a b\" } ",
        r#"{"words":3,"uniqueWords":2,"characters":3,"topWords":[{"word":"b","count":2}]}"#,
    ),
    (
        "topN 1000, which is its limit, written with an exponent",
        r#"{"text":"a","topN":1e3}"#,
        r#"{"words":1,"uniqueWords":1,"characters":1,"topWords":[{"word":"a","count":1}]}"#,
    ),
    (
        "topN 2, written with a fraction",
        r#"{"text":"a b c","topN":2.0}"#,
        r#"{"words":3,"uniqueWords":3,"characters":3,"topWords":[{"word":"a","count":1},{"word":"b","count":1}]}"#,
    ),
];

/// Inputs that are refused.
const REFUSED: &[(&str, &str)] = &[
    ("a list", "[]"),
    ("null", "null"),
    ("a text alone", r#""to be""#),
    ("no text", "{}"),
    ("a text that is null", r#"{"text":null}"#),
    ("a text that is a number", r#"{"text":7}"#),
    ("a text that is a list", r#"{"text":["a"]}"#),
    ("another field", r#"{"text":"a","more":1}"#),
    ("a misspelt field", r#"{"text":"a","topn":1}"#),
    ("topN below 0", r#"{"text":"a","topN":-1}"#),
    ("topN over 1000", r#"{"text":"a","topN":1001}"#),
    ("topN with a fraction", r#"{"text":"a","topN":1.5}"#),
    ("topN that no number of 64 bits holds", r#"{"text":"a","topN":1e400}"#),
    ("topN that is null", r#"{"text":"a","topN":null}"#),
    ("topN that is a text", r#"{"text":"a","topN":"2"}"#),
    ("topN that is true", r#"{"text":"a","topN":true}"#),
];

/// All of them.
pub(super) fn all() -> Vec<Case> {
    let counted = COUNTED.iter().map(|&(about, input, output)| Case {
        about,
        input: input.to_owned(),
        expected: Expected::Output(output.to_owned()),
    });
    let refused = REFUSED.iter().map(|&(about, input)| Case {
        about,
        input: input.to_owned(),
        expected: Expected::BadInput,
    });
    counted.chain(refused).chain([large()]).collect()
}

/// 100 kB with 10,002 different words.
fn large() -> Case {
    let mut text = "The é ".repeat(5000);
    for number in 10_000..20_000 {
        text.push_str(&format!("w{number}\\n"));
    }
    let output = concat!(
        r#"{"words":20000,"uniqueWords":10002,"characters":80000,"topWords":[{"word":"the","count":5000},"#,
        r#"{"word":"é","count":5000},{"word":"w10000","count":1},{"word":"w10001","count":1}]}"#
    );
    Case {
        about: "a text of 100 kB",
        input: format!(r#"{{"topN":4,"text":"{text}"}}"#),
        expected: Expected::Output(output.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_input_and_every_expected_output_is_json() {
        for case in all() {
            serde_json::from_str::<&serde_json::value::RawValue>(&case.input).unwrap();
            if let Expected::Output(output) = case.expected {
                serde_json::from_str::<serde_json::Value>(&output).unwrap();
            }
        }
        assert!(large().input.len() >= 100_000);
    }
}
