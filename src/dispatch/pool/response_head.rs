//! The head of an answer of an instance: its status, where its body ends (RFC 9112, 6.3), whether the connection
//! can take another request after it, and the headers that we look at.

use std::mem::MaybeUninit;

use httparse::{Header, ParserConfig, Status};

use super::connection::ExchangeError;

/// Headers of an answer.
const RESPONSE_HEADERS_MAX: usize = 64;

/// The way in which the length of a body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyLength {
    Known(usize),
    Chunked,
    UntilClose,
}

/// A head that may come before others.
#[derive(Debug)]
pub enum ParsedHead {
    /// More of it has to come.
    Partial,
    /// An interim answer of so many bytes with this status, which is followed by another one.
    Interim { length: usize, status: u16 },
    /// The head of the answer.
    Whole(ResponseHead),
}

/// The head of an answer.
#[derive(Debug)]
pub struct ResponseHead {
    /// Its bytes.
    pub(super) length: usize,
    pub(super) status: u16,
    pub(super) body: BodyLength,
    /// The connection can take another request after it.
    pub(super) keep_alive: bool,
    pub(super) cold_start: bool,
    pub(super) init_ms: Option<u64>,
}

/// Parses bytes that may be a whole head.
///
/// # Errors
/// [`ExchangeError::Garbage`].
pub fn parse_head(bytes: &[u8]) -> Result<ParsedHead, ExchangeError> {
    let mut headers = [const { MaybeUninit::uninit() }; RESPONSE_HEADERS_MAX];
    let mut response = httparse::Response::new(&mut []);
    let parsed = ParserConfig::default()
        // A line break in a value counts as a space (RFC 9112, 5.2), and is none of what we look at.
        .allow_obsolete_multiline_headers_in_responses(true)
        .parse_response_with_uninit_headers(&mut response, bytes, &mut headers)
        .map_err(|error| ExchangeError::Garbage(error.to_string()))?;
    let Status::Complete(length) = parsed else { return Ok(ParsedHead::Partial) };
    let status = match response.code.unwrap_or(0) {
        0..100 => return Err(ExchangeError::Garbage("its status is none".to_owned())),
        101 => return Err(ExchangeError::Garbage("it changes the protocol, unasked".to_owned())),
        status @ 100..200 => return Ok(ParsedHead::Interim { length, status }),
        status => status,
    };
    ResponseHead::read(&response, length, status).map(ParsedHead::Whole)
}

impl ResponseHead {
    /// Reads a head of so many bytes with a status that is final.
    pub(super) fn read(
        response: &httparse::Response<'_, '_>,
        length: usize,
        status: u16,
    ) -> Result<Self, ExchangeError> {
        let mut head = Self {
            length,
            status,
            body: if is_bodiless(status) { BodyLength::Known(0) } else { BodyLength::UntilClose },
            keep_alive: response.version == Some(1),
            cold_start: false,
            init_ms: None,
        };
        for header in response.headers.iter() {
            head.apply(header)?;
        }
        Ok(head)
    }

    fn apply(&mut self, header: &Header<'_>) -> Result<(), ExchangeError> {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        let value = header.value.trim_ascii();
        if is("content-length") {
            self.content_length(value)?;
        } else if is("transfer-encoding") {
            self.transfer_encoding(value)?;
        } else if is("connection") {
            let mut words = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
            self.keep_alive &= !words.any(|word| word.eq_ignore_ascii_case(b"close"));
        } else if is("x-cold-start") {
            self.cold_start = value.eq_ignore_ascii_case(b"true");
        } else if is("x-init-duration-ms") {
            self.init_ms = digits(value);
        }
        Ok(())
    }

    fn content_length(&mut self, value: &[u8]) -> Result<(), ExchangeError> {
        let length = digits(value);
        if is_bodiless(self.status) {
            // A body may follow all the same, and must not be taken for the next answer.
            self.keep_alive &= length == Some(0);
            return Ok(());
        }
        let length = length.and_then(|length| usize::try_from(length).ok()).ok_or_else(|| {
            ExchangeError::Garbage(format!("its Content-Length is {:?}", String::from_utf8_lossy(value)))
        })?;
        match self.body {
            BodyLength::UntilClose => self.body = BodyLength::Known(length),
            BodyLength::Known(other) if other != length => {
                return Err(ExchangeError::Garbage("it has two lengths".to_owned()));
            }
            BodyLength::Known(_) => {}
            // Chunks win over a length, but whoever sent both may mean the other.
            BodyLength::Chunked => self.keep_alive = false,
        }
        Ok(())
    }

    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), ExchangeError> {
        if is_bodiless(self.status) {
            self.keep_alive = false;
            return Ok(());
        }
        if !value.eq_ignore_ascii_case(b"chunked") || self.body == BodyLength::Chunked {
            let value = String::from_utf8_lossy(value);
            return Err(ExchangeError::Garbage(format!("its Transfer-Encoding is {value:?}")));
        }
        self.keep_alive &= self.body == BodyLength::UntilClose;
        self.body = BodyLength::Chunked;
        Ok(())
    }
}

/// Whether an answer ends with its head, whatever that says of a body.
pub(super) fn is_bodiless(status: u16) -> bool {
    matches!(status, 204 | 304)
}

/// A number in digits and nothing else: a sign is none.
pub(super) fn digits(text: &[u8]) -> Option<u64> {
    if !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}
