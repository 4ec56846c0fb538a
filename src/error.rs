//! Errors that clients are told.

use std::borrow::Cow;

use crate::spec::FieldError;

/// A stable error code: what went wrong, in one word of the contract.
///
/// [`ErrorCode::status`], [`ErrorCode::as_str`] and [`ErrorCode::source`] are total: a new code does not
/// compile until it has all three.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    // What the request was.
    BadRequest,
    InvalidJson,
    CursorExpired,
    InvalidInvocation,
    InvalidFunction,
    NotFound,
    FunctionNotFound,
    ExecutionNotFound,
    ExecutionExpired,
    ExecutionLostOnRestart,
    MethodNotAllowed,
    ForeignHost,
    ForeignOrigin,
    WritesDisabled,
    ListingDisabled,
    LogsDisabled,
    LocalExecDisabled,
    Unauthorized,
    RequestTimeout,
    FunctionExists,
    VersionMismatch,
    NotScalable,
    AlreadyTerminal,
    NoLogs,
    AttemptSuperseded,
    InvalidCompletion,
    InvalidAnnouncement,
    IdempotencyMismatch,
    BodyTooLarge,
    HeadTooLarge,
    UnsupportedMediaType,
    // What the control plane had no room for.
    QueueFull,
    ExecutionsFull,
    RetentionFull,
    PayloadBytesFull,
    FunctionsFull,
    Draining,
    ControlBusy,
    LogReadersFull,
    // How an execution ended.
    Timeout,
    QueueTimeout,
    Cancelled,
    FunctionRemoved,
    ShuttingDown,
    NoInstance,
    InstanceCrashed,
    OutOfMemory,
    // What a cluster has to do with it.
    KubeUnavailable,
    QuotaExceeded,
    AdmissionRefused,
    ImageUnavailable,
    ContainerConfig,
    PodEvicted,
    // What the function made of it.
    InvalidAnswer,
    OutputTooLarge,
    OutputNotJson,
    /// The function answered with an error of its own; its code replaces this one.
    HandlerError,
    HandlerTimeout,
    /// The last, which is how [`ErrorCode::ALL`] is known to be complete.
    Internal,
}

/// The source of an error: the side that is to blame for an answer that is not a 2xx.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorSource {
    /// The function's own code, or what it runs in.
    Function,
    /// The control plane, or the request.
    Gateway,
}

impl ErrorSource {
    /// The value of `X-Error-Source`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorSource::Function => "function",
            ErrorSource::Gateway => "gateway",
        }
    }
}

impl ErrorCode {
    /// Every code, in the order of the enum.
    pub const ALL: [ErrorCode; 59] = [
        ErrorCode::BadRequest,
        ErrorCode::InvalidJson,
        ErrorCode::CursorExpired,
        ErrorCode::InvalidInvocation,
        ErrorCode::InvalidFunction,
        ErrorCode::NotFound,
        ErrorCode::FunctionNotFound,
        ErrorCode::ExecutionNotFound,
        ErrorCode::ExecutionExpired,
        ErrorCode::ExecutionLostOnRestart,
        ErrorCode::MethodNotAllowed,
        ErrorCode::ForeignHost,
        ErrorCode::ForeignOrigin,
        ErrorCode::WritesDisabled,
        ErrorCode::ListingDisabled,
        ErrorCode::LogsDisabled,
        ErrorCode::LocalExecDisabled,
        ErrorCode::Unauthorized,
        ErrorCode::RequestTimeout,
        ErrorCode::FunctionExists,
        ErrorCode::VersionMismatch,
        ErrorCode::NotScalable,
        ErrorCode::AlreadyTerminal,
        ErrorCode::NoLogs,
        ErrorCode::AttemptSuperseded,
        ErrorCode::InvalidCompletion,
        ErrorCode::InvalidAnnouncement,
        ErrorCode::IdempotencyMismatch,
        ErrorCode::BodyTooLarge,
        ErrorCode::HeadTooLarge,
        ErrorCode::UnsupportedMediaType,
        ErrorCode::QueueFull,
        ErrorCode::ExecutionsFull,
        ErrorCode::RetentionFull,
        ErrorCode::PayloadBytesFull,
        ErrorCode::FunctionsFull,
        ErrorCode::Draining,
        ErrorCode::ControlBusy,
        ErrorCode::LogReadersFull,
        ErrorCode::Timeout,
        ErrorCode::QueueTimeout,
        ErrorCode::Cancelled,
        ErrorCode::FunctionRemoved,
        ErrorCode::ShuttingDown,
        ErrorCode::NoInstance,
        ErrorCode::InstanceCrashed,
        ErrorCode::OutOfMemory,
        ErrorCode::KubeUnavailable,
        ErrorCode::QuotaExceeded,
        ErrorCode::AdmissionRefused,
        ErrorCode::ImageUnavailable,
        ErrorCode::ContainerConfig,
        ErrorCode::PodEvicted,
        ErrorCode::InvalidAnswer,
        ErrorCode::OutputTooLarge,
        ErrorCode::OutputNotJson,
        ErrorCode::HandlerError,
        ErrorCode::HandlerTimeout,
        ErrorCode::Internal,
    ];

    /// The HTTP status it is answered with.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            ErrorCode::BadRequest | ErrorCode::InvalidJson | ErrorCode::CursorExpired => 400,
            ErrorCode::Unauthorized => 401,
            ErrorCode::ForeignHost
            | ErrorCode::ForeignOrigin
            | ErrorCode::WritesDisabled
            | ErrorCode::ListingDisabled
            | ErrorCode::LogsDisabled
            | ErrorCode::LocalExecDisabled => 403,
            ErrorCode::NotFound
            | ErrorCode::FunctionNotFound
            | ErrorCode::ExecutionNotFound
            | ErrorCode::ExecutionExpired
            | ErrorCode::ExecutionLostOnRestart => 404,
            ErrorCode::MethodNotAllowed => 405,
            ErrorCode::RequestTimeout => 408,
            ErrorCode::FunctionExists
            | ErrorCode::NotScalable
            | ErrorCode::AlreadyTerminal
            | ErrorCode::AttemptSuperseded
            | ErrorCode::NoLogs => 409,
            ErrorCode::VersionMismatch => 412,
            ErrorCode::BodyTooLarge => 413,
            ErrorCode::UnsupportedMediaType => 415,
            ErrorCode::HeadTooLarge => 431,
            ErrorCode::InvalidInvocation
            | ErrorCode::InvalidFunction
            | ErrorCode::InvalidCompletion
            | ErrorCode::InvalidAnnouncement
            | ErrorCode::IdempotencyMismatch => 422,
            ErrorCode::QueueFull => 429,
            ErrorCode::InstanceCrashed
            | ErrorCode::OutOfMemory
            | ErrorCode::AdmissionRefused
            | ErrorCode::ImageUnavailable
            | ErrorCode::ContainerConfig
            | ErrorCode::PodEvicted
            | ErrorCode::InvalidAnswer
            | ErrorCode::OutputTooLarge
            | ErrorCode::OutputNotJson
            | ErrorCode::HandlerError
            | ErrorCode::Internal
            | ErrorCode::FunctionRemoved => 500,
            ErrorCode::NoInstance => 502,
            ErrorCode::ExecutionsFull
            | ErrorCode::RetentionFull
            | ErrorCode::PayloadBytesFull
            | ErrorCode::FunctionsFull
            | ErrorCode::Draining
            | ErrorCode::ControlBusy
            | ErrorCode::LogReadersFull
            | ErrorCode::KubeUnavailable
            | ErrorCode::QuotaExceeded
            | ErrorCode::ShuttingDown
            | ErrorCode::Cancelled => 503,
            ErrorCode::Timeout | ErrorCode::QueueTimeout | ErrorCode::HandlerTimeout => 504,
        }
    }

    /// The code as clients read it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorCode::BadRequest => "BAD_REQUEST",
            ErrorCode::InvalidJson => "INVALID_JSON",
            ErrorCode::CursorExpired => "CURSOR_EXPIRED",
            ErrorCode::InvalidInvocation => "INVALID_INVOCATION",
            ErrorCode::InvalidFunction => "INVALID_FUNCTION",
            ErrorCode::NotFound => "NOT_FOUND",
            ErrorCode::FunctionNotFound => "FUNCTION_NOT_FOUND",
            ErrorCode::ExecutionNotFound => "EXECUTION_NOT_FOUND",
            ErrorCode::ExecutionExpired => "EXECUTION_EXPIRED",
            ErrorCode::ExecutionLostOnRestart => "EXECUTION_LOST_ON_RESTART",
            ErrorCode::MethodNotAllowed => "METHOD_NOT_ALLOWED",
            ErrorCode::ForeignHost => "FOREIGN_HOST",
            ErrorCode::ForeignOrigin => "FOREIGN_ORIGIN",
            ErrorCode::WritesDisabled => "WRITES_DISABLED",
            ErrorCode::ListingDisabled => "LISTING_DISABLED",
            ErrorCode::LogsDisabled => "LOGS_DISABLED",
            ErrorCode::LocalExecDisabled => "LOCAL_EXEC_DISABLED",
            ErrorCode::Unauthorized => "UNAUTHORIZED",
            ErrorCode::RequestTimeout => "REQUEST_TIMEOUT",
            ErrorCode::FunctionExists => "FUNCTION_EXISTS",
            ErrorCode::VersionMismatch => "VERSION_MISMATCH",
            ErrorCode::NotScalable => "NOT_SCALABLE",
            ErrorCode::AlreadyTerminal => "ALREADY_TERMINAL",
            ErrorCode::NoLogs => "NO_LOGS",
            ErrorCode::AttemptSuperseded => "ATTEMPT_SUPERSEDED",
            ErrorCode::InvalidCompletion => "INVALID_COMPLETION",
            ErrorCode::InvalidAnnouncement => "INVALID_ANNOUNCEMENT",
            ErrorCode::IdempotencyMismatch => "IDEMPOTENCY_MISMATCH",
            ErrorCode::BodyTooLarge => "BODY_TOO_LARGE",
            ErrorCode::HeadTooLarge => "HEAD_TOO_LARGE",
            ErrorCode::UnsupportedMediaType => "UNSUPPORTED_MEDIA_TYPE",
            ErrorCode::QueueFull => "QUEUE_FULL",
            ErrorCode::ExecutionsFull => "EXECUTIONS_FULL",
            ErrorCode::RetentionFull => "RETENTION_FULL",
            ErrorCode::PayloadBytesFull => "PAYLOAD_BYTES_FULL",
            ErrorCode::FunctionsFull => "FUNCTIONS_FULL",
            ErrorCode::Draining => "DRAINING",
            ErrorCode::ControlBusy => "CONTROL_BUSY",
            ErrorCode::LogReadersFull => "LOG_READERS_FULL",
            ErrorCode::Timeout => "TIMEOUT",
            ErrorCode::QueueTimeout => "QUEUE_TIMEOUT",
            ErrorCode::Cancelled => "CANCELLED",
            ErrorCode::FunctionRemoved => "FUNCTION_REMOVED",
            ErrorCode::ShuttingDown => "SHUTTING_DOWN",
            ErrorCode::NoInstance => "NO_INSTANCE",
            ErrorCode::InstanceCrashed => "INSTANCE_CRASHED",
            ErrorCode::OutOfMemory => "OUT_OF_MEMORY",
            ErrorCode::KubeUnavailable => "KUBE_UNAVAILABLE",
            ErrorCode::QuotaExceeded => "QUOTA_EXCEEDED",
            ErrorCode::AdmissionRefused => "ADMISSION_REFUSED",
            ErrorCode::ImageUnavailable => "IMAGE_UNAVAILABLE",
            ErrorCode::ContainerConfig => "CONTAINER_CONFIG",
            ErrorCode::PodEvicted => "POD_EVICTED",
            ErrorCode::InvalidAnswer => "INVALID_ANSWER",
            ErrorCode::OutputTooLarge => "OUTPUT_TOO_LARGE",
            ErrorCode::OutputNotJson => "OUTPUT_NOT_JSON",
            ErrorCode::HandlerError => "HANDLER_ERROR",
            ErrorCode::HandlerTimeout => "HANDLER_TIMEOUT",
            ErrorCode::Internal => "INTERNAL",
        }
    }

    /// The side that is to blame.
    #[must_use]
    pub fn source(self) -> ErrorSource {
        match self {
            ErrorCode::InstanceCrashed
            | ErrorCode::OutOfMemory
            | ErrorCode::ImageUnavailable
            | ErrorCode::ContainerConfig
            | ErrorCode::InvalidAnswer
            | ErrorCode::OutputTooLarge
            | ErrorCode::OutputNotJson
            | ErrorCode::HandlerError
            | ErrorCode::HandlerTimeout => ErrorSource::Function,
            ErrorCode::BadRequest
            | ErrorCode::InvalidJson
            | ErrorCode::CursorExpired
            | ErrorCode::InvalidInvocation
            | ErrorCode::InvalidFunction
            | ErrorCode::NotFound
            | ErrorCode::FunctionNotFound
            | ErrorCode::ExecutionNotFound
            | ErrorCode::ExecutionExpired
            | ErrorCode::ExecutionLostOnRestart
            | ErrorCode::MethodNotAllowed
            | ErrorCode::ForeignHost
            | ErrorCode::ForeignOrigin
            | ErrorCode::WritesDisabled
            | ErrorCode::ListingDisabled
            | ErrorCode::LogsDisabled
            | ErrorCode::LocalExecDisabled
            | ErrorCode::Unauthorized
            | ErrorCode::RequestTimeout
            | ErrorCode::FunctionExists
            | ErrorCode::VersionMismatch
            | ErrorCode::NotScalable
            | ErrorCode::AlreadyTerminal
            | ErrorCode::NoLogs
            | ErrorCode::AttemptSuperseded
            | ErrorCode::InvalidCompletion
            | ErrorCode::InvalidAnnouncement
            | ErrorCode::IdempotencyMismatch
            | ErrorCode::BodyTooLarge
            | ErrorCode::HeadTooLarge
            | ErrorCode::UnsupportedMediaType
            | ErrorCode::QueueFull
            | ErrorCode::ExecutionsFull
            | ErrorCode::RetentionFull
            | ErrorCode::PayloadBytesFull
            | ErrorCode::FunctionsFull
            | ErrorCode::Draining
            | ErrorCode::ControlBusy
            | ErrorCode::LogReadersFull
            | ErrorCode::Timeout
            | ErrorCode::QueueTimeout
            | ErrorCode::Cancelled
            | ErrorCode::FunctionRemoved
            | ErrorCode::ShuttingDown
            | ErrorCode::NoInstance
            | ErrorCode::KubeUnavailable
            | ErrorCode::QuotaExceeded
            | ErrorCode::AdmissionRefused
            | ErrorCode::PodEvicted
            | ErrorCode::Internal => ErrorSource::Gateway,
        }
    }
}

/// An error that a client is told instead of what it asked for, and when it may come back.
#[derive(Clone, Debug)]
pub struct ApiError {
    /// The stable code of the error.
    pub code: ErrorCode,
    /// A sentence with the remedy.
    pub message: Cow<'static, str>,
    /// The error of each field, where there can be several.
    pub details: Vec<FieldError>,
    /// Seconds after which it may work, for 429 and 503.
    pub retry_after_s: Option<u32>,
    /// The rest of the request was not read: the connection is closed after the answer.
    pub close: bool,
    /// The methods that the path has, for 405.
    pub allow: Option<&'static str>,
}

impl ApiError {
    /// An error with a message and nothing else.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
            details: Vec::new(),
            retry_after_s: None,
            close: false,
            allow: None,
        }
    }

    /// For a name that is not registered while the functions of the cluster were not read yet: it may be one
    /// of them.
    #[must_use]
    pub fn unread_function(name: &str) -> Self {
        Self::unread(&format!(", and {name:?} may be one of them"))
    }

    /// For the name of a function that is not registered.
    #[must_use]
    pub fn unknown_function(name: &str) -> Self {
        let message = format!("there is no function {name:?}; GET /v1/functions lists those there are");
        Self::new(ErrorCode::FunctionNotFound, message)
    }

    /// For what only the functions of the cluster would answer, before they are read. A process that was started
    /// anew is called at once by who knows its address.
    #[must_use]
    pub fn unread(and_so: &str) -> Self {
        let message = format!("the functions of the cluster were not read yet{and_so}; try again");
        Self::new(ErrorCode::ControlBusy, message).retry_after(1)
    }

    /// With the errors of its fields listed.
    #[must_use]
    pub fn with_details(mut self, details: Vec<FieldError>) -> Self {
        self.details = details;
        self
    }

    /// With the time after which it may work.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// With the methods that are allowed, separated by commas.
    #[must_use]
    pub fn allowing(mut self, methods: &'static str) -> Self {
        self.allow = Some(methods);
        self
    }

    /// And the connection ends with the answer.
    #[must_use]
    pub fn closing(mut self) -> Self {
        self.close = true;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_all_codes_has_each_once_and_in_order() {
        for (index, code) in ErrorCode::ALL.into_iter().enumerate() {
            assert_eq!(code as usize, index, "{code:?} is not where the enum has it");
        }
        assert_eq!(
            ErrorCode::ALL.len(),
            ErrorCode::Internal as usize + 1,
            "a code is missing, or Internal is not the last"
        );
    }
}
