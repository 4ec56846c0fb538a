//! The beginning of bytes that are not what they should be, for a message.

/// Bytes of an excerpt.
const SHOWN_BYTES_MAX: usize = 200;

/// The first bytes of some that may be gone when they are to be shown.
pub(crate) struct Beginning {
    bytes: [u8; SHOWN_BYTES_MAX],
    length: usize,
}

impl Beginning {
    pub(crate) fn of(all: &[u8]) -> Self {
        let mut bytes = [0; SHOWN_BYTES_MAX];
        let shown = all.len().min(SHOWN_BYTES_MAX);
        bytes[..shown].copy_from_slice(&all[..shown]);
        Self { bytes, length: all.len() }
    }

    /// As a text in quotes, on one line.
    pub(crate) fn quoted(&self) -> String {
        let shown = String::from_utf8_lossy(&self.bytes[..self.length.min(SHOWN_BYTES_MAX)]);
        if self.length > SHOWN_BYTES_MAX {
            // A character that is cut is left out.
            format!("{:?} and more", shown.trim_end_matches(char::REPLACEMENT_CHARACTER))
        } else {
            format!("{shown:?}")
        }
    }
}

/// The beginning of some bytes as a text in quotes, on one line.
pub(crate) fn excerpt(bytes: &[u8]) -> String {
    Beginning::of(bytes).quoted()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_one_line_and_says_whether_there_is_more() {
        for (bytes, quoted) in [
            (&b""[..], r#""""#),
            (b"hello \"you\"\n", r#""hello \"you\"\n""#),
            (b"\x00\xff", "\"\\0\u{fffd}\""),
            ("ä".as_bytes(), "\"ä\""),
        ] {
            assert_eq!(excerpt(bytes), quoted);
        }
        let long = format!("x{}", "é".repeat(100));
        assert_eq!(excerpt(long.as_bytes()), format!("\"x{}\" and more", "é".repeat(99)));
    }
}
