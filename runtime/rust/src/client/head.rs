//! The head of an answer.

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
    let parsed = ParserConfig::default().parse_response_with_uninit_headers(&mut answer, bytes, &mut headers);
    let size = match parsed {
        Ok(Status::Complete(size)) => size,
        Ok(Status::Partial) => return Ok(Parsed::Partial),
        Err(_) => return Err(malformed("a head that is not HTTP")),
    };
    let status = answer.code.filter(|code| *code >= 100).ok_or_else(|| malformed("an unknown status"))?;
    if status < 200 {
        return Ok(Parsed::Interim(size));
    }
    let mut head = Head { status, length: Length::UntilClose, persistent: answer.version == Some(1) };
    for header in answer.headers.iter() {
        head.apply(header)?;
        each(header.name, header.value);
    }
    if [204, 304].contains(&status) {
        head.length = Length::Known(0);
    }
    Ok(Parsed::Whole(head, size))
}

impl Head {
    fn apply(&mut self, header: &Header<'_>) -> io::Result<()> {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        let words = || header.value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        if is("content-length") {
            let text = str::from_utf8(header.value).ok();
            // A sign is no digit, although a number may have one elsewhere.
            let text = text.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
            let length = text.and_then(|text| text.parse().ok()).map(Length::Known);
            let length = length.ok_or_else(|| malformed("an unclear Content-Length"))?;
            match self.length {
                Length::UntilClose => self.length = length,
                Length::Known(_) if self.length != length => {
                    return Err(malformed("an unclear Content-Length"));
                }
                Length::Known(_) | Length::Chunked => {}
            }
        } else if is("transfer-encoding") {
            if !header.value.eq_ignore_ascii_case(b"chunked") {
                return Err(malformed("an unknown Transfer-Encoding"));
            }
            self.length = Length::Chunked;
        } else if is("connection") && words().any(|word| word.eq_ignore_ascii_case(b"close")) {
            self.persistent = false;
        }
        Ok(())
    }
}

pub(super) fn malformed(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the answer has {what}"))
}
