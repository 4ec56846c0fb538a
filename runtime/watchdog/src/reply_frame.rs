//! The payloads that a worker writes: its first, and its replies in both forms.

use bytes::{Buf as _, Bytes, BytesMut};
use picofaas_runtime::{HandlerError, OutputBytes};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::error_object::ErrorDetail;
use crate::excerpt::excerpt;
use crate::frame::FrameForm;
use crate::limits::{CONCURRENCY_MAX, OUTPUT_BYTES_COPIED_MAX};

/// The first byte of a reply with a head: an output follows.
const OUTPUT: u8 = 1;
/// An error follows, as an object.
const ERROR: u8 = 2;
/// The same, for a body that the worker cannot take.
const REJECTION: u8 = 3;

/// The first frame of a worker.
#[derive(Deserialize)]
struct ReadyFrame {
    #[serde(default)]
    ready: bool,
    concurrency: Option<usize>,
    frames: Option<u64>,
    error: Option<ErrorDetail>,
}

/// The way in which a worker takes requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Readiness {
    /// Number of requests at a time.
    pub(crate) concurrency: usize,
    pub(crate) form: FrameForm,
}

/// The reply of a worker to a request, as an object.
#[derive(Deserialize)]
struct ReplyObject<'a> {
    /// `null` is an output, too.
    #[serde(borrow, default, deserialize_with = "present")]
    output: Option<&'a RawValue>,
    error: Option<ErrorDetail>,
}

/// A reply to a request.
pub(crate) enum Reply {
    Output(OutputBytes),
    Error(HandlerError),
    /// The body is not what the worker can take.
    Rejection(HandlerError),
}

/// The fault of a reply.
#[derive(Clone, Debug)]
pub(crate) struct ReplyFault {
    pub(crate) text: String,
    /// It is an object with something in it that is not JSON, such as `NaN`: an output, mostly.
    pub(crate) is_of_output: bool,
}

impl ReplyFault {
    fn of_shape(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_of_output: false }
    }
}

/// Reads the first frame: how the worker takes requests, or why it takes none.
///
/// # Errors
/// The fault of the frame.
pub(crate) fn read_ready(payload: &[u8]) -> Result<Result<Readiness, String>, String> {
    let ReadyFrame { ready, concurrency, frames, error } =
        read_object(payload).map_err(|fault| fault.text)?;
    if let Some(error) = error {
        return Ok(Err(error.message));
    }
    if !ready {
        return Err("it has neither `\"ready\":true` nor an `error`".to_owned());
    }
    let form = match frames {
        None | Some(1) => FrameForm::Objects,
        Some(2) => FrameForm::Heads,
        Some(frames) => return Err(format!("its `frames` is {frames}: it must be 1 or 2")),
    };
    match concurrency.unwrap_or(1) {
        concurrency @ 1..=CONCURRENCY_MAX => Ok(Ok(Readiness { concurrency, form })),
        concurrency => Err(format!("its `concurrency` is {concurrency}: it must be 1 to {CONCURRENCY_MAX}")),
    }
}

/// Reads a reply: the output as the worker wrote it, or the failure.
///
/// # Errors
/// The fault of the frame.
pub(crate) fn read_reply(form: FrameForm, payload: BytesMut) -> Result<Reply, ReplyFault> {
    match form {
        FrameForm::Objects => read_reply_object(&payload.freeze()),
        FrameForm::Heads => read_reply_with_head(payload.freeze()),
    }
}

/// Whether a reply of this form may begin so.
pub(crate) fn may_be_reply(form: FrameForm, payload: &[u8]) -> bool {
    match form {
        FrameForm::Objects => payload.trim_ascii_start().first().is_none_or(|first| *first == b'{'),
        FrameForm::Heads => payload.first().is_none_or(|kind| (OUTPUT..=REJECTION).contains(kind)),
    }
}

fn read_reply_object(payload: &Bytes) -> Result<Reply, ReplyFault> {
    match read_object(payload)? {
        ReplyObject { output: Some(output), error: None } => {
            Ok(Reply::Output(output_bytes(payload.slice_ref(output.get().as_bytes()))))
        }
        ReplyObject { output: None, error: Some(error) } => Ok(Reply::Error(error.into_error(500))),
        ReplyObject { output: Some(_), error: Some(_) } => {
            Err(ReplyFault::of_shape("it has both an `output` and an `error`"))
        }
        ReplyObject { output: None, error: None } => {
            Err(ReplyFault::of_shape("it has neither an `output` nor an `error`"))
        }
    }
}

fn read_reply_with_head(mut payload: Bytes) -> Result<Reply, ReplyFault> {
    let Some(kind) = payload.first().copied() else { return Err(ReplyFault::of_shape("it is empty")) };
    payload.advance(1);
    match kind {
        OUTPUT if payload.is_empty() => Err(ReplyFault::of_shape("its output is empty")),
        OUTPUT => Ok(Reply::Output(output_bytes(payload))),
        ERROR => Ok(Reply::Error(read_error(&payload)?.into_error(500))),
        REJECTION => Ok(Reply::Rejection(read_error(&payload)?.into_error(400))),
        kind => Err(ReplyFault::of_shape(format!(
            "its first byte is {kind} and not {OUTPUT}, {ERROR} or {REJECTION}"
        ))),
    }
}

fn read_error(payload: &[u8]) -> Result<ErrorDetail, ReplyFault> {
    read_object(payload).map_err(|fault| ReplyFault { is_of_output: false, ..fault })
}

/// An output out of what was read. A short one is copied: it would keep all of that from being written over.
fn output_bytes(output: Bytes) -> OutputBytes {
    OutputBytes(if output.len() <= OUTPUT_BYTES_COPIED_MAX {
        Bytes::copy_from_slice(&output)
    } else {
        output
    })
}

fn read_object<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Result<T, ReplyFault> {
    // serde would take an array for the fields in their order.
    if payload.trim_ascii_start().first() != Some(&b'{') {
        return Err(ReplyFault::of_shape(format!("it is not an object in JSON but {}", excerpt(payload))));
    }
    serde_json::from_slice(payload).map_err(|fault| ReplyFault {
        text: format!("{} is not what it should be: {fault}", excerpt(payload)),
        is_of_output: fault.is_syntax() || fault.is_eof(),
    })
}

fn present<'de, D: Deserializer<'de>>(value: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(value).map(Some)
}
