//! Error codes: one table of text, status and source.

/// A stable error code: what went wrong, in one word of the contract.
///
/// `ErrorCode::facts` is total: a new code does not compile until it has its status, its text and its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    // Of the request itself.
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
    NotEnded,
    NoOutput,
    NoLogs,
    AttemptSuperseded,
    InvalidCompletion,
    InvalidAnnouncement,
    IdempotencyMismatch,
    BodyTooLarge,
    HeadTooLarge,
    UnsupportedMediaType,
    // For want of room in the control plane.
    QueueFull,
    ExecutionsFull,
    RetentionFull,
    PayloadBytesFull,
    DeadlineUnreachable,
    FunctionsFull,
    Draining,
    ControlBusy,
    LogReadersFull,
    // Of a function that is being written, in `dev`.
    FunctionBuilding,
    FunctionBuildFailed,
    // How an execution ended.
    Timeout,
    QueueTimeout,
    Cancelled,
    FunctionRemoved,
    ShuttingDown,
    NoInstance,
    InstanceCrashed,
    OutOfMemory,
    // Of the cluster.
    KubeUnavailable,
    QuotaExceeded,
    AdmissionRefused,
    ImageUnavailable,
    ContainerConfig,
    PodEvicted,
    // Of the function's own answer.
    InvalidAnswer,
    OutputTooLarge,
    OutputNotJson,
    /// The function answered with an error of its own; its code replaces this one.
    HandlerError,
    HandlerTimeout,
    /// The last, which is how `ErrorCode::ALL` is known to be complete.
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

/// The facts of a code that clients see.
#[derive(Clone, Copy)]
struct Facts {
    status: u16,
    text: &'static str,
    source: ErrorSource,
}

impl Facts {
    const fn function(status: u16, text: &'static str) -> Self {
        Self { status, text, source: ErrorSource::Function }
    }

    const fn gateway(status: u16, text: &'static str) -> Self {
        Self { status, text, source: ErrorSource::Gateway }
    }
}

impl ErrorCode {
    /// Every code, in the order of the enum.
    #[cfg(test)]
    pub(crate) const ALL: [ErrorCode; 64] = [
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
        ErrorCode::NotEnded,
        ErrorCode::NoOutput,
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
        ErrorCode::DeadlineUnreachable,
        ErrorCode::FunctionsFull,
        ErrorCode::Draining,
        ErrorCode::ControlBusy,
        ErrorCode::LogReadersFull,
        ErrorCode::FunctionBuilding,
        ErrorCode::FunctionBuildFailed,
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

    /// The table: the side that is to blame, the HTTP status, and the code as clients read it.
    const fn facts(self) -> Facts {
        match self {
            // Of the request itself.
            ErrorCode::BadRequest => Facts::gateway(400, "BAD_REQUEST"),
            ErrorCode::InvalidJson => Facts::gateway(400, "INVALID_JSON"),
            ErrorCode::CursorExpired => Facts::gateway(400, "CURSOR_EXPIRED"),
            ErrorCode::InvalidInvocation => Facts::gateway(422, "INVALID_INVOCATION"),
            ErrorCode::InvalidFunction => Facts::gateway(422, "INVALID_FUNCTION"),
            ErrorCode::NotFound => Facts::gateway(404, "NOT_FOUND"),
            ErrorCode::FunctionNotFound => Facts::gateway(404, "FUNCTION_NOT_FOUND"),
            ErrorCode::ExecutionNotFound => Facts::gateway(404, "EXECUTION_NOT_FOUND"),
            ErrorCode::ExecutionExpired => Facts::gateway(404, "EXECUTION_EXPIRED"),
            ErrorCode::ExecutionLostOnRestart => Facts::gateway(404, "EXECUTION_LOST_ON_RESTART"),
            ErrorCode::MethodNotAllowed => Facts::gateway(405, "METHOD_NOT_ALLOWED"),
            ErrorCode::ForeignHost => Facts::gateway(403, "FOREIGN_HOST"),
            ErrorCode::ForeignOrigin => Facts::gateway(403, "FOREIGN_ORIGIN"),
            ErrorCode::WritesDisabled => Facts::gateway(403, "WRITES_DISABLED"),
            ErrorCode::ListingDisabled => Facts::gateway(403, "LISTING_DISABLED"),
            ErrorCode::LogsDisabled => Facts::gateway(403, "LOGS_DISABLED"),
            ErrorCode::LocalExecDisabled => Facts::gateway(403, "LOCAL_EXEC_DISABLED"),
            ErrorCode::Unauthorized => Facts::gateway(401, "UNAUTHORIZED"),
            ErrorCode::RequestTimeout => Facts::gateway(408, "REQUEST_TIMEOUT"),
            ErrorCode::FunctionExists => Facts::gateway(409, "FUNCTION_EXISTS"),
            ErrorCode::VersionMismatch => Facts::gateway(412, "VERSION_MISMATCH"),
            ErrorCode::NotScalable => Facts::gateway(409, "NOT_SCALABLE"),
            ErrorCode::AlreadyTerminal => Facts::gateway(409, "ALREADY_TERMINAL"),
            ErrorCode::NotEnded => Facts::gateway(409, "NOT_ENDED"),
            ErrorCode::NoOutput => Facts::gateway(409, "NO_OUTPUT"),
            ErrorCode::NoLogs => Facts::gateway(409, "NO_LOGS"),
            ErrorCode::AttemptSuperseded => Facts::gateway(409, "ATTEMPT_SUPERSEDED"),
            ErrorCode::InvalidCompletion => Facts::gateway(422, "INVALID_COMPLETION"),
            ErrorCode::InvalidAnnouncement => Facts::gateway(422, "INVALID_ANNOUNCEMENT"),
            ErrorCode::IdempotencyMismatch => Facts::gateway(422, "IDEMPOTENCY_MISMATCH"),
            ErrorCode::BodyTooLarge => Facts::gateway(413, "BODY_TOO_LARGE"),
            ErrorCode::HeadTooLarge => Facts::gateway(431, "HEAD_TOO_LARGE"),
            ErrorCode::UnsupportedMediaType => Facts::gateway(415, "UNSUPPORTED_MEDIA_TYPE"),
            // For want of room in the control plane.
            ErrorCode::QueueFull => Facts::gateway(429, "QUEUE_FULL"),
            ErrorCode::ExecutionsFull => Facts::gateway(503, "EXECUTIONS_FULL"),
            ErrorCode::RetentionFull => Facts::gateway(503, "RETENTION_FULL"),
            ErrorCode::PayloadBytesFull => Facts::gateway(503, "PAYLOAD_BYTES_FULL"),
            ErrorCode::DeadlineUnreachable => Facts::gateway(503, "DEADLINE_UNREACHABLE"),
            ErrorCode::FunctionsFull => Facts::gateway(503, "FUNCTIONS_FULL"),
            ErrorCode::Draining => Facts::gateway(503, "DRAINING"),
            ErrorCode::ControlBusy => Facts::gateway(503, "CONTROL_BUSY"),
            ErrorCode::LogReadersFull => Facts::gateway(503, "LOG_READERS_FULL"),
            // Of a function that is being written, in `dev`.
            ErrorCode::FunctionBuilding => Facts::gateway(503, "FUNCTION_BUILDING"),
            ErrorCode::FunctionBuildFailed => Facts::function(503, "FUNCTION_BUILD_FAILED"),
            // How an execution ended.
            ErrorCode::Timeout => Facts::gateway(504, "TIMEOUT"),
            ErrorCode::QueueTimeout => Facts::gateway(504, "QUEUE_TIMEOUT"),
            ErrorCode::Cancelled => Facts::gateway(503, "CANCELLED"),
            ErrorCode::FunctionRemoved => Facts::gateway(500, "FUNCTION_REMOVED"),
            ErrorCode::ShuttingDown => Facts::gateway(503, "SHUTTING_DOWN"),
            ErrorCode::NoInstance => Facts::gateway(502, "NO_INSTANCE"),
            ErrorCode::InstanceCrashed => Facts::function(500, "INSTANCE_CRASHED"),
            ErrorCode::OutOfMemory => Facts::function(500, "OUT_OF_MEMORY"),
            // Of the cluster.
            ErrorCode::KubeUnavailable => Facts::gateway(503, "KUBE_UNAVAILABLE"),
            ErrorCode::QuotaExceeded => Facts::gateway(503, "QUOTA_EXCEEDED"),
            ErrorCode::AdmissionRefused => Facts::gateway(500, "ADMISSION_REFUSED"),
            ErrorCode::ImageUnavailable => Facts::function(500, "IMAGE_UNAVAILABLE"),
            ErrorCode::ContainerConfig => Facts::function(500, "CONTAINER_CONFIG"),
            ErrorCode::PodEvicted => Facts::gateway(500, "POD_EVICTED"),
            // Of the function's own answer.
            ErrorCode::InvalidAnswer => Facts::function(500, "INVALID_ANSWER"),
            ErrorCode::OutputTooLarge => Facts::function(500, "OUTPUT_TOO_LARGE"),
            ErrorCode::OutputNotJson => Facts::function(500, "OUTPUT_NOT_JSON"),
            ErrorCode::HandlerError => Facts::function(500, "HANDLER_ERROR"),
            ErrorCode::HandlerTimeout => Facts::function(504, "HANDLER_TIMEOUT"),
            ErrorCode::Internal => Facts::gateway(500, "INTERNAL"),
        }
    }

    /// The HTTP status it is answered with.
    #[must_use]
    pub const fn status(self) -> u16 {
        self.facts().status
    }

    /// The code as clients read it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.facts().text
    }

    /// The side that is to blame.
    #[must_use]
    pub const fn source(self) -> ErrorSource {
        self.facts().source
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
