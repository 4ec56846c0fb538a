//! The lines that functions write: kept within bounds, read and followed over HTTP.
//!
//! | file | holds |
//! |---|---|
//! | `store` | the lines of all functions, and their limits |
//! | `function_log` | the lines of one function |
//! | `rate_limiter` | the rate at which lines go on to the log of this process |
//! | `query` | `?tail=&since=&follow=` |
//! | `attempts` | the lines of one execution, as its pods have them |
//! | `handlers` | the API handlers of lines |
//! | `reader` | one answer made of lines |
//! | `source` | a source of lines that are read for who asks |
//! | `output` | output of a process, as bounded lines |
//! | `tail` | the last lines of a process, to tell why it ended |

pub(crate) mod attempts;
pub(crate) mod function_log;
pub(crate) mod handlers;
pub(crate) mod output;
pub(crate) mod query;
pub(crate) mod rate_limiter;
pub(crate) mod reader;
pub(crate) mod source;
pub(crate) mod store;
pub(crate) mod tail;
