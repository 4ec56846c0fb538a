//! Text where a frame should begin: a worker prints to the standard output that is for its frames.

use crate::excerpt::excerpt;
use crate::frame::{self, HEADER_BYTES};

/// The text that is at the beginning of `buffer`, where no frame is: its first byte is a letter, and what would be a
/// header is not that of a reply, by its number and the beginning of its payload, or says more than `length_max` bytes
/// as far as it is there. A length that begins with the byte of a letter is over 150 MB.
pub(crate) fn printed_text(
    buffer: &[u8],
    length_max: usize,
    is_reply: impl FnOnce(u32, &[u8]) -> bool,
) -> Option<String> {
    let start = &buffer[..buffer.len().min(HEADER_BYTES)];
    if text_at(start).is_empty() {
        return None;
    }
    let mut length = [0; 4];
    let known = start.len().min(length.len());
    length[..known].copy_from_slice(&start[..known]);
    // Bytes that are still to come can only make it longer.
    let is_too_long = u32::from_be_bytes(length) as usize > length_max;
    match frame::read_header(start) {
        None if !is_too_long => return None,
        Some((_, sequence)) if is_reply(sequence, &buffer[HEADER_BYTES..]) => return None,
        None | Some(_) => {}
    }
    Some(excerpt(text_at(buffer).as_bytes()))
}

/// The part before the first byte that no text has.
fn text_at(bytes: &[u8]) -> &str {
    let text = match str::from_utf8(bytes) {
        Ok(text) => text,
        Err(fault) => str::from_utf8(&bytes[..fault.valid_up_to()]).unwrap_or_default(),
    };
    let end = text.find(|letter: char| letter.is_control() && !"\t\n\r\u{1b}".contains(letter));
    &text[..end.unwrap_or(text.len())]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::FrameForm;
    use crate::reply_frame::may_be_reply;

    /// The largest frame of a worker unless `MAX_OUTPUT` says otherwise.
    const USUAL: usize = (1 << 20) + (1 << 16);

    fn shown(buffer: &[u8], length_max: usize) -> Option<String> {
        shown_by(FrameForm::Objects, buffer, length_max)
    }

    fn shown_by(form: FrameForm, buffer: &[u8], length_max: usize) -> Option<String> {
        let is_reply = |sequence, payload: &[u8]| sequence == 7 && may_be_reply(form, payload);
        printed_text(buffer, length_max, is_reply)
    }

    #[test]
    fn text_is_told_from_frames_by_its_first_bytes_whatever_comes_behind_it() {
        for (buffer, text) in [
            (&b"hello order 17\n"[..], "\"hello order 17\\n\""),
            (b"hi\n", "\"hi\\n\""),
            (b"\n", "\"\\n\""),
            (b"hi\n\x00\x00\x00\x12\x00\x00\x00\x01{\"output\":1}", "\"hi\\n\""),
            ("größer als\n".as_bytes(), "\"größer als\\n\""),
            ("ü".repeat(3).as_bytes(), "\"üüü\""),
            (b"\x1b[32mready\x1b[0m\n", "\"\\u{1b}[32mready\\u{1b}[0m\\n\""),
        ] {
            assert_eq!(shown(buffer, USUAL).as_deref(), Some(text), "{buffer:?}");
        }
    }

    #[test]
    fn with_room_for_frames_of_a_gibibyte_a_header_of_letters_is_text_all_the_same() {
        let most = 1 << 30;
        assert_eq!(shown(b"2026-11-29 started\n", most).as_deref(), Some("\"2026-11-29 started\\n\""));
        assert_eq!(shown(b"2026", most), None, "it may be a frame of 842,019,382 bytes");
    }

    #[test]
    fn with_room_for_frames_of_a_gibibyte_a_short_text_before_a_frame_is_text_all_the_same() {
        let most = 1 << 30;
        for text in ["\n", "7\n", "hi\n", "202\n", "2026\n", "order\n", "2026-1\n"] {
            for frame in
                [&b"\x00\x00\x00\x12\x00\x00\x00\x07{\"output\":\"1234\"}"[..], b"\0\0\0\x07\0\0\0\x07{}"]
            {
                let buffer = [text.as_bytes(), frame].concat();
                assert_eq!(shown(&buffer, most), Some(format!("{text:?}")), "{buffer:?}");
            }
        }
        // Frames of 151 to 689 MB, whole or not.
        for frame in
            [&b"\t\0\0\0\0\0\0\x07"[..], b")   \0\0\0\x07{", b"2026\0\0\0\x07 {\"output\":", b"2026\0\0"]
        {
            assert_eq!(shown(frame, most), None, "{frame:?}");
        }
    }

    #[test]
    fn a_reply_with_a_head_is_told_from_text_by_its_first_byte() {
        let most = 1 << 30;
        for (frame, text) in [
            (&b"\t\0\0\0\0\0\0\x07\x01{"[..], None),
            (b")   \0\0\0\x07\x02{", None),
            (b"2026\0\0\0\x07{", Some("\"2026\"")),
        ] {
            assert_eq!(shown_by(FrameForm::Heads, frame, most).as_deref(), text, "{frame:?}");
        }
    }

    #[test]
    fn frames_are_none_of_it_however_long() {
        for header in [
            [0, 0, 0, 12, 0, 0, 0, 7],
            [0, 1, 0, 0, 0, 0, 0, 8],
            [0, 0x11, 0, 0, b'a', b'b', b'c', b'd'],
            // Too long, and the reply to a request.
            [b' ', 0, 0, 0, 0, 0, 0, 7],
            [0xff, 0xff, 0xff, 0xff, 0, 0, 0x12, 0x67],
        ] {
            assert_eq!(shown(&header, USUAL), None, "{header:?}");
        }
        for start in [&b""[..], b"\x00", b"\x00\x11abc"] {
            assert_eq!(shown(start, USUAL), None, "{start:?}");
        }
    }
}
