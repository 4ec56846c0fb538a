//! Requests for functions that answer HTTP as it is, without state: whose they are, and which headers go where.
//!
//! | file | holds |
//! |---|---|
//! | `address` | the function of a request, by its path or its host, and the path below it |
//! | `fields` | the headers of a request and of an answer that go on, and those that are ours |
//! | `preference` | the wish of a client not to wait for the answer |
//! | `forwarded` | the headers that say where a request came from |

pub(crate) mod address;
pub(crate) mod fields;
pub(crate) mod forwarded;
pub(crate) mod preference;
