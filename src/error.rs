//! Everything that can be said to a client when it does not get what it asked for.

use std::borrow::Cow;

use crate::registry::Fault;

/// A stable error code: what went wrong, in one word of the contract.
///
/// [`Code::status`], [`Code::as_str`] and [`Code::source`] are total: a new code does not
/// compile until it has all three.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
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
    /// The last, which is how [`Code::ALL`] is known to be complete.
    Internal,
}

/// Who is to blame for an answer that is not a 2xx.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The function's own code, or what it runs in.
    Function,
    /// The control plane, or the request.
    Gateway,
}

impl Source {
    /// The value of `X-Error-Source`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Source::Function => "function",
            Source::Gateway => "gateway",
        }
    }
}

impl Code {
    /// Every code, in the order of the enum.
    pub const ALL: [Code; 59] = [
        Code::BadRequest,
        Code::InvalidJson,
        Code::CursorExpired,
        Code::InvalidInvocation,
        Code::InvalidFunction,
        Code::NotFound,
        Code::FunctionNotFound,
        Code::ExecutionNotFound,
        Code::ExecutionExpired,
        Code::ExecutionLostOnRestart,
        Code::MethodNotAllowed,
        Code::ForeignHost,
        Code::ForeignOrigin,
        Code::WritesDisabled,
        Code::ListingDisabled,
        Code::LogsDisabled,
        Code::LocalExecDisabled,
        Code::Unauthorized,
        Code::RequestTimeout,
        Code::FunctionExists,
        Code::VersionMismatch,
        Code::NotScalable,
        Code::AlreadyTerminal,
        Code::NoLogs,
        Code::AttemptSuperseded,
        Code::InvalidCompletion,
        Code::InvalidAnnouncement,
        Code::IdempotencyMismatch,
        Code::BodyTooLarge,
        Code::HeadTooLarge,
        Code::UnsupportedMediaType,
        Code::QueueFull,
        Code::ExecutionsFull,
        Code::RetentionFull,
        Code::PayloadBytesFull,
        Code::FunctionsFull,
        Code::Draining,
        Code::ControlBusy,
        Code::LogReadersFull,
        Code::Timeout,
        Code::QueueTimeout,
        Code::Cancelled,
        Code::FunctionRemoved,
        Code::ShuttingDown,
        Code::NoInstance,
        Code::InstanceCrashed,
        Code::OutOfMemory,
        Code::KubeUnavailable,
        Code::QuotaExceeded,
        Code::AdmissionRefused,
        Code::ImageUnavailable,
        Code::ContainerConfig,
        Code::PodEvicted,
        Code::InvalidAnswer,
        Code::OutputTooLarge,
        Code::OutputNotJson,
        Code::HandlerError,
        Code::HandlerTimeout,
        Code::Internal,
    ];

    /// The HTTP status it is answered with.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Code::BadRequest | Code::InvalidJson | Code::CursorExpired => 400,
            Code::Unauthorized => 401,
            Code::ForeignHost
            | Code::ForeignOrigin
            | Code::WritesDisabled
            | Code::ListingDisabled
            | Code::LogsDisabled
            | Code::LocalExecDisabled => 403,
            Code::NotFound
            | Code::FunctionNotFound
            | Code::ExecutionNotFound
            | Code::ExecutionExpired
            | Code::ExecutionLostOnRestart => 404,
            Code::MethodNotAllowed => 405,
            Code::RequestTimeout => 408,
            Code::FunctionExists
            | Code::NotScalable
            | Code::AlreadyTerminal
            | Code::AttemptSuperseded
            | Code::NoLogs => 409,
            Code::VersionMismatch => 412,
            Code::BodyTooLarge => 413,
            Code::UnsupportedMediaType => 415,
            Code::HeadTooLarge => 431,
            Code::InvalidInvocation
            | Code::InvalidFunction
            | Code::InvalidCompletion
            | Code::InvalidAnnouncement
            | Code::IdempotencyMismatch => 422,
            Code::QueueFull => 429,
            Code::InstanceCrashed
            | Code::OutOfMemory
            | Code::AdmissionRefused
            | Code::ImageUnavailable
            | Code::ContainerConfig
            | Code::PodEvicted
            | Code::InvalidAnswer
            | Code::OutputTooLarge
            | Code::OutputNotJson
            | Code::HandlerError
            | Code::Internal
            | Code::FunctionRemoved => 500,
            Code::NoInstance => 502,
            Code::ExecutionsFull
            | Code::RetentionFull
            | Code::PayloadBytesFull
            | Code::FunctionsFull
            | Code::Draining
            | Code::ControlBusy
            | Code::LogReadersFull
            | Code::KubeUnavailable
            | Code::QuotaExceeded
            | Code::ShuttingDown
            | Code::Cancelled => 503,
            Code::Timeout | Code::QueueTimeout | Code::HandlerTimeout => 504,
        }
    }

    /// The code as clients read it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Code::BadRequest => "BAD_REQUEST",
            Code::InvalidJson => "INVALID_JSON",
            Code::CursorExpired => "CURSOR_EXPIRED",
            Code::InvalidInvocation => "INVALID_INVOCATION",
            Code::InvalidFunction => "INVALID_FUNCTION",
            Code::NotFound => "NOT_FOUND",
            Code::FunctionNotFound => "FUNCTION_NOT_FOUND",
            Code::ExecutionNotFound => "EXECUTION_NOT_FOUND",
            Code::ExecutionExpired => "EXECUTION_EXPIRED",
            Code::ExecutionLostOnRestart => "EXECUTION_LOST_ON_RESTART",
            Code::MethodNotAllowed => "METHOD_NOT_ALLOWED",
            Code::ForeignHost => "FOREIGN_HOST",
            Code::ForeignOrigin => "FOREIGN_ORIGIN",
            Code::WritesDisabled => "WRITES_DISABLED",
            Code::ListingDisabled => "LISTING_DISABLED",
            Code::LogsDisabled => "LOGS_DISABLED",
            Code::LocalExecDisabled => "LOCAL_EXEC_DISABLED",
            Code::Unauthorized => "UNAUTHORIZED",
            Code::RequestTimeout => "REQUEST_TIMEOUT",
            Code::FunctionExists => "FUNCTION_EXISTS",
            Code::VersionMismatch => "VERSION_MISMATCH",
            Code::NotScalable => "NOT_SCALABLE",
            Code::AlreadyTerminal => "ALREADY_TERMINAL",
            Code::NoLogs => "NO_LOGS",
            Code::AttemptSuperseded => "ATTEMPT_SUPERSEDED",
            Code::InvalidCompletion => "INVALID_COMPLETION",
            Code::InvalidAnnouncement => "INVALID_ANNOUNCEMENT",
            Code::IdempotencyMismatch => "IDEMPOTENCY_MISMATCH",
            Code::BodyTooLarge => "BODY_TOO_LARGE",
            Code::HeadTooLarge => "HEAD_TOO_LARGE",
            Code::UnsupportedMediaType => "UNSUPPORTED_MEDIA_TYPE",
            Code::QueueFull => "QUEUE_FULL",
            Code::ExecutionsFull => "EXECUTIONS_FULL",
            Code::RetentionFull => "RETENTION_FULL",
            Code::PayloadBytesFull => "PAYLOAD_BYTES_FULL",
            Code::FunctionsFull => "FUNCTIONS_FULL",
            Code::Draining => "DRAINING",
            Code::ControlBusy => "CONTROL_BUSY",
            Code::LogReadersFull => "LOG_READERS_FULL",
            Code::Timeout => "TIMEOUT",
            Code::QueueTimeout => "QUEUE_TIMEOUT",
            Code::Cancelled => "CANCELLED",
            Code::FunctionRemoved => "FUNCTION_REMOVED",
            Code::ShuttingDown => "SHUTTING_DOWN",
            Code::NoInstance => "NO_INSTANCE",
            Code::InstanceCrashed => "INSTANCE_CRASHED",
            Code::OutOfMemory => "OUT_OF_MEMORY",
            Code::KubeUnavailable => "KUBE_UNAVAILABLE",
            Code::QuotaExceeded => "QUOTA_EXCEEDED",
            Code::AdmissionRefused => "ADMISSION_REFUSED",
            Code::ImageUnavailable => "IMAGE_UNAVAILABLE",
            Code::ContainerConfig => "CONTAINER_CONFIG",
            Code::PodEvicted => "POD_EVICTED",
            Code::InvalidAnswer => "INVALID_ANSWER",
            Code::OutputTooLarge => "OUTPUT_TOO_LARGE",
            Code::OutputNotJson => "OUTPUT_NOT_JSON",
            Code::HandlerError => "HANDLER_ERROR",
            Code::HandlerTimeout => "HANDLER_TIMEOUT",
            Code::Internal => "INTERNAL",
        }
    }

    /// Who is to blame.
    #[must_use]
    pub fn source(self) -> Source {
        match self {
            Code::InstanceCrashed
            | Code::OutOfMemory
            | Code::ImageUnavailable
            | Code::ContainerConfig
            | Code::InvalidAnswer
            | Code::OutputTooLarge
            | Code::OutputNotJson
            | Code::HandlerError
            | Code::HandlerTimeout => Source::Function,
            Code::BadRequest
            | Code::InvalidJson
            | Code::CursorExpired
            | Code::InvalidInvocation
            | Code::InvalidFunction
            | Code::NotFound
            | Code::FunctionNotFound
            | Code::ExecutionNotFound
            | Code::ExecutionExpired
            | Code::ExecutionLostOnRestart
            | Code::MethodNotAllowed
            | Code::ForeignHost
            | Code::ForeignOrigin
            | Code::WritesDisabled
            | Code::ListingDisabled
            | Code::LogsDisabled
            | Code::LocalExecDisabled
            | Code::Unauthorized
            | Code::RequestTimeout
            | Code::FunctionExists
            | Code::VersionMismatch
            | Code::NotScalable
            | Code::AlreadyTerminal
            | Code::NoLogs
            | Code::AttemptSuperseded
            | Code::InvalidCompletion
            | Code::InvalidAnnouncement
            | Code::IdempotencyMismatch
            | Code::BodyTooLarge
            | Code::HeadTooLarge
            | Code::UnsupportedMediaType
            | Code::QueueFull
            | Code::ExecutionsFull
            | Code::RetentionFull
            | Code::PayloadBytesFull
            | Code::FunctionsFull
            | Code::Draining
            | Code::ControlBusy
            | Code::LogReadersFull
            | Code::Timeout
            | Code::QueueTimeout
            | Code::Cancelled
            | Code::FunctionRemoved
            | Code::ShuttingDown
            | Code::NoInstance
            | Code::KubeUnavailable
            | Code::QuotaExceeded
            | Code::AdmissionRefused
            | Code::PodEvicted
            | Code::Internal => Source::Gateway,
        }
    }
}

/// A request that is refused: what the client reads, and when it may come back.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// What went wrong.
    pub code: Code,
    /// A sentence with the remedy.
    pub message: Cow<'static, str>,
    /// Each fault, where there can be several.
    pub details: Vec<Fault>,
    /// Seconds after which it may work, for 429 and 503.
    pub retry_after_s: Option<u32>,
    /// The rest of the request was not read: the connection is closed after the answer.
    pub close: bool,
    /// The methods that the path has, for 405.
    pub allow: Option<&'static str>,
}

impl Refusal {
    /// A refusal with a message and nothing else.
    #[must_use]
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
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
        Self::new(Code::FunctionNotFound, message)
    }

    /// For what only the functions of the cluster would answer, before they are read. A process that was started
    /// anew is called at once by who knows its address.
    #[must_use]
    pub fn unread(and_so: &str) -> Self {
        let message = format!("the functions of the cluster were not read yet{and_so}; try again");
        Self::new(Code::ControlBusy, message).retry_after(1)
    }

    /// With the faults listed.
    #[must_use]
    pub fn with_details(mut self, details: Vec<Fault>) -> Self {
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
        for (index, code) in Code::ALL.into_iter().enumerate() {
            assert_eq!(code as usize, index, "{code:?} is not where the enum has it");
        }
        assert_eq!(
            Code::ALL.len(),
            Code::Internal as usize + 1,
            "a code is missing, or Internal is not the last"
        );
    }
}
