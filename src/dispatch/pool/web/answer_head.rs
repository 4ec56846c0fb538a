//! The head of an answer to a web request, with its headers.

use httparse::Status;
use hyper::Method;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};

use super::super::connection::ExchangeError;
use super::super::response_head::{BodyLength, ResponseHead};
use crate::api::web::fields;
use crate::web_exchange::WebRequest;

/// Headers of an answer.
const HEADERS_MAX: usize = 128;

/// A head that may come before others.
#[derive(Debug)]
pub(super) enum ParsedAnswer {
    /// More of it has to come.
    Partial,
    /// An interim answer of so many bytes, which is followed by another one.
    Interim(usize),
    /// The protocol changes behind a head of so many bytes with these headers.
    Upgraded(usize, HeaderMap),
    /// The head of the answer, and its headers for the client.
    Whole(ResponseHead, HeaderMap),
}

/// Parses bytes that may be the whole head of the answer to a request.
///
/// # Errors
/// [`ExchangeError::Garbage`].
pub(super) fn parse_answer(bytes: &[u8], request: &WebRequest) -> Result<ParsedAnswer, ExchangeError> {
    let garbage = |text: &str| ExchangeError::Garbage(text.to_owned());
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response.parse(bytes).map_err(|error| ExchangeError::Garbage(error.to_string()))?;
    let Status::Complete(length) = parsed else { return Ok(ParsedAnswer::Partial) };
    let status = match response.code.unwrap_or(0) {
        0..100 | 600.. => return Err(garbage("its status is none")),
        101 if request.upgrade.is_none() => return Err(garbage("it changes the protocol, unasked")),
        101 => {
            let mut headers = read_headers(&response)?;
            fields::remove_ours(&mut headers);
            return Ok(ParsedAnswer::Upgraded(length, headers));
        }
        100..200 => return Ok(ParsedAnswer::Interim(length)),
        status => status,
    };
    let mut head = ResponseHead::read(&response, length, status)?;
    let mut headers = read_headers(&response)?;
    let has_length = head.body != BodyLength::Chunked;
    if request.method == Method::HEAD {
        head.body = BodyLength::Known(0);
    }
    fields::keep_of_answer(&mut headers, has_length);
    Ok(ParsedAnswer::Whole(head, headers))
}

fn read_headers(response: &httparse::Response<'_, '_>) -> Result<HeaderMap, ExchangeError> {
    let mut headers = HeaderMap::with_capacity(response.headers.len() + 2);
    for header in response.headers.iter() {
        let name = HeaderName::from_bytes(header.name.as_bytes());
        let value = HeaderValue::from_bytes(header.value);
        match (name, value) {
            (Ok(name), Ok(value)) => drop(headers.append(name, value)),
            (_, _) => return Err(ExchangeError::Garbage(format!("its header {} is malformed", header.name))),
        }
    }
    Ok(headers)
}
