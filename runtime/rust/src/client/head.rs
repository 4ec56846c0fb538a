//! The head of an answer.

use std::borrow::Cow;
use std::io;
use std::mem::MaybeUninit;

use httparse::{Header, ParserConfig, Status};

use crate::limits::ANSWER_HEADERS_MAX;

/// The parts of an answer's head about the answer itself.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    /// The HTTP status, 200 … 999.
    pub status: u16,
    pub(super) length: Length,
    /// The peer keeps the connection open.
    pub(super) persistent: bool,
}

/// The way in which the end of a body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    /// Bytes.
    Known(usize),
    Chunked,
    UntilClose,
}

/// A head that may come before others.
pub(super) enum Parsed {
    /// More of it has to come.
    Partial,
    /// An interim answer of so many bytes, which is followed by another one.
    Interim(usize),
    /// The head of the answer and its bytes.
    Whole(Head, usize),
}

/// Parses bytes that may be a whole head, and shows its headers to `each` where it is the last one.
pub(super) fn parse(bytes: &[u8], each: &mut impl FnMut(&str, &[u8])) -> io::Result<Parsed> {
    let mut headers = [const { MaybeUninit::uninit() }; ANSWER_HEADERS_MAX];
    let mut answer = httparse::Response::new(&mut []);
    let parsed = ParserConfig::default()
        // A line break in a value counts as a space (RFC 9112, 5.2).
        .allow_obsolete_multiline_headers_in_responses(true)
        .parse_response_with_uninit_headers(&mut answer, bytes, &mut headers);
    let size = match parsed {
        Ok(Status::Complete(size)) => size,
        Ok(Status::Partial) => return Ok(Parsed::Partial),
        Err(_) => return Err(malformed("a head that is not HTTP")),
    };
    let status = answer.code.filter(|code| *code >= 100).ok_or_else(|| malformed("an unknown status"))?;
    if status == 101 {
        return Err(malformed("a change of the protocol that was not asked for"));
    }
    if status < 200 {
        return Ok(Parsed::Interim(size));
    }
    let length = if is_bodiless(status) { Length::Known(0) } else { Length::UntilClose };
    let mut head = Head { status, length, persistent: answer.version == Some(1) };
    for header in answer.headers.iter() {
        head.apply(header)?;
        each(header.name, &unfolded(header.value));
    }
    Ok(Parsed::Whole(head, size))
}

/// Whether an answer ends with its head, whatever that says of a body (RFC 9112, 6.3).
fn is_bodiless(status: u16) -> bool {
    [204, 304].contains(&status)
}

/// A value in one line.
fn unfolded(value: &[u8]) -> Cow<'_, [u8]> {
    let is_break = |byte: &u8| matches!(byte, b'\r' | b'\n');
    if !value.iter().any(is_break) {
        return Cow::Borrowed(value);
    }
    value.iter().map(|byte| if is_break(byte) { b' ' } else { *byte }).collect()
}

impl Head {
    fn apply(&mut self, header: &Header<'_>) -> io::Result<()> {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        let value = header.value.trim_ascii();
        let mut words = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        if is("content-length") {
            self.content_length(value)?;
        } else if is("transfer-encoding") {
            self.transfer_encoding(value)?;
        } else if is("connection") && words.any(|word| word.eq_ignore_ascii_case(b"close")) {
            self.persistent = false;
        }
        Ok(())
    }

    fn content_length(&mut self, value: &[u8]) -> io::Result<()> {
        // A sign is no digit, although a number may have one elsewhere.
        let text = str::from_utf8(value).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        let length: Option<usize> = text.and_then(|text| text.parse().ok());
        if is_bodiless(self.status) {
            // A body may follow all the same, and must not be taken for the next answer.
            self.persistent &= length == Some(0);
            return Ok(());
        }
        let length = length.ok_or_else(|| malformed("an unclear Content-Length"))?;
        match self.length {
            Length::UntilClose => self.length = Length::Known(length),
            Length::Known(other) if other != length => return Err(malformed("an unclear Content-Length")),
            Length::Known(_) => {}
            // Chunks win over a length, but whoever sent both may mean the other.
            Length::Chunked => self.persistent = false,
        }
        Ok(())
    }

    fn transfer_encoding(&mut self, value: &[u8]) -> io::Result<()> {
        if is_bodiless(self.status) {
            self.persistent = false;
            return Ok(());
        }
        if !value.eq_ignore_ascii_case(b"chunked") || self.length == Length::Chunked {
            return Err(malformed("an unknown Transfer-Encoding"));
        }
        self.persistent &= self.length == Length::UntilClose;
        self.length = Length::Chunked;
        Ok(())
    }
}

pub(super) fn malformed(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the answer has {what}"))
}
