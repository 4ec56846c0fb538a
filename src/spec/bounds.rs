//! Bounds of the numbers of a specification.

/// Range, default and unit of one number of a specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Smallest value that is taken.
    pub min: u32,
    /// Largest value that is taken.
    pub max: u32,
    /// The value where none is given.
    pub default: u32,
    /// Unit, for messages.
    pub unit: &'static str,
}

/// One day in milliseconds: nothing that a function is given to do waits or runs for longer.
const DAY_MS: u32 = 86_400_000;
/// One hour in milliseconds.
const HOUR_MS: u32 = 3_600_000;
/// One second in milliseconds.
const SECOND_MS: u32 = 1_000;

/// Longest time, in milliseconds, that a client of `:invoke` is kept waiting. A specification may
/// say more, which then counts for `:enqueue` only.
pub const INVOKE_TIMEOUT_MS_MAX: u32 = 300 * SECOND_MS;

/// `timeoutMs`, in milliseconds.
pub const TIMEOUT_MS: Bounds = Bounds { min: 1, max: DAY_MS, default: 30 * SECOND_MS, unit: "ms" };

/// `maxQueueMs`, in milliseconds: how long an enqueued execution may wait for its first dispatch.
pub const QUEUE_MS: Bounds = Bounds { min: 1, max: DAY_MS, default: HOUR_MS, unit: "ms" };

/// `attemptTimeoutMs`, in milliseconds. Where it is absent it follows the function's `timeoutMs`,
/// whose default is repeated here.
pub const ATTEMPT_TIMEOUT_MS: Bounds =
    Bounds { min: 1, max: DAY_MS, default: TIMEOUT_MS.default, unit: "ms" };

/// `concurrency`: attempts in flight for one function.
pub const CONCURRENCY: Bounds = Bounds { min: 1, max: 10_000, default: 4, unit: "attempts in flight" };

/// `instanceConcurrency`: attempts in flight on one instance. Where it is absent it follows the
/// function's `concurrency`, whose default is repeated here.
pub const INSTANCE_CONCURRENCY: Bounds =
    Bounds { min: 1, max: 10_000, default: CONCURRENCY.default, unit: "attempts in flight" };

/// `queueSize`: executions that wait for their first dispatch.
pub const QUEUE_SIZE: Bounds = Bounds { min: 1, max: 65_536, default: 100, unit: "executions" };

/// `maxRetries`: attempts after the first.
pub const RETRIES: Bounds = Bounds { min: 0, max: 10, default: 3, unit: "retries" };

/// `retryBackoffMs`, in milliseconds: the bound of the first random pause. 0 retries at once.
pub const RETRY_BACKOFF_MS: Bounds = Bounds { min: 0, max: HOUR_MS, default: 100, unit: "ms" };

/// `retryMaxBackoffMs`, in milliseconds: what the bound of the random pause doubles up to.
pub const RETRY_MAX_BACKOFF_MS: Bounds = Bounds { min: 0, max: HOUR_MS, default: 5 * SECOND_MS, unit: "ms" };

/// `replicas.min`: instances of a WARM function that stay even when idle.
pub const REPLICAS_MIN: Bounds = Bounds { min: 0, max: 1_000, default: 1, unit: "replicas" };

/// `replicas.max`: instances a WARM function may grow to.
pub const REPLICAS_MAX: Bounds = Bounds { min: 1, max: 1_000, default: 4, unit: "replicas" };

/// `idleTimeoutMs`, in milliseconds: idle instances above `replicas.min` stop after this.
pub const IDLE_TIMEOUT_MS: Bounds = Bounds { min: 1, max: DAY_MS, default: 300 * SECOND_MS, unit: "ms" };

/// `tolerationSeconds`, in seconds: a year is as good as for ever, which is what leaving it out means.
pub const TOLERATION_S: Bounds = Bounds { min: 0, max: 31_536_000, default: 31_536_000, unit: "s" };

/// CPU request of a function that names none.
pub const CPU_REQUEST_DEFAULT: &str = "50m";
/// Memory request of a function that names none.
pub const MEMORY_REQUEST_DEFAULT: &str = "64Mi";

/// Smallest amount of CPU, in thousandths of a core: what Kubernetes can express.
pub const CPU_MILLICORES_MIN: u64 = 1;
/// Largest amount of CPU, in thousandths of a core: more cores than one machine has.
pub const CPU_MILLICORES_MAX: u64 = 1_024_000;
/// Smallest amount of memory, in bytes. No process starts in less; a smaller number is a slip of the
/// unit, such as `64m`, which Kubernetes reads as 0.064 bytes.
pub const MEMORY_BYTES_MIN: u64 = 1 << 20;
/// Largest amount of memory, in bytes: more than one machine has.
pub const MEMORY_BYTES_MAX: u64 = 64 << 40;
