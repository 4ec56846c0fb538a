//! Means of every test of the whole process.
//!
//! | file | holds |
//! |---|---|
//! | `server` | the binary as a child process |
//! | `client_program` | the client commands of the binary, and servers that are none of picofaas |
//! | `client` | HTTP/1.1 over a bare socket, and answers |
//! | `dollars` | a function whose fields have dollars in them |
//! | `endpoint` | an endpoint of a `POOL` function that the test itself plays, or a process |
//! | `framed_endpoint` | one that speaks frames, played by the test frame by frame |
//! | `own_network` | a network of the test's own, from which a host vanishes |
//! | `fake_cluster` | an API server of Kubernetes, as far as the client commands call it, that the test plays |
//! | `job` | a process of a `JOB` function that the test itself plays |
//! | `specification` | functions as they are registered |
//! | `bystander` | another function that must go on being served |
//! | `load` | callers that invoke at a fixed rate |
//! | `scrape` | what `/metrics` says |
//! | `lines` | what functions wrote, as the logs API answers it |
//! | `patience` | waiting for what has no event, and measuring how long something took |

pub(crate) mod bystander;
pub(crate) mod client;
pub(crate) mod client_program;
pub(crate) mod dollars;
pub(crate) mod endpoint;
#[cfg(feature = "cluster")]
pub(crate) mod fake_cluster;
pub(crate) mod framed_endpoint;
pub(crate) mod gate;
pub(crate) mod job;
pub(crate) mod lines;
pub(crate) mod load;
pub(crate) mod own_network;
pub(crate) mod patience;
pub(crate) mod scrape;
pub(crate) mod server;
pub(crate) mod specification;
