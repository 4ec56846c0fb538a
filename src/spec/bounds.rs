//! Bounds of numbers, and of amounts of CPU and memory.

/// Range, default and unit of one number of a specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
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
pub(super) const DAY_MS: u32 = 86_400_000;
/// One hour in milliseconds.
pub(super) const HOUR_MS: u32 = 3_600_000;
/// One second in milliseconds.
pub(super) const SECOND_MS: u32 = 1_000;

/// `tolerationSeconds`, in seconds: a year is as good as for ever, which is what leaving it out means.
pub(crate) const TOLERATION_S: Bounds = Bounds { min: 0, max: 31_536_000, default: 31_536_000, unit: "s" };

/// CPU request of a function that names none.
pub(crate) const CPU_REQUEST_DEFAULT: &str = "50m";
/// Memory request of a function that names none.
pub(crate) const MEMORY_REQUEST_DEFAULT: &str = "64Mi";

/// Smallest amount of CPU, in thousandths of a core: what Kubernetes can express.
pub(crate) const CPU_MILLICORES_MIN: u64 = 1;
/// Largest amount of CPU, in thousandths of a core: more cores than one machine has.
pub(crate) const CPU_MILLICORES_MAX: u64 = 1_024_000;
/// Smallest amount of memory, in bytes. No process starts in less; a smaller number is a slip of the
/// unit, such as `64m`, which Kubernetes reads as 0.064 bytes.
pub(crate) const MEMORY_BYTES_MIN: u64 = 1 << 20;
/// Largest amount of memory, in bytes: more than one machine has.
pub(crate) const MEMORY_BYTES_MAX: u64 = 64 << 40;
