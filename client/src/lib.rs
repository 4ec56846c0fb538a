//! The client commands of picofaas, over the HTTP API. Nothing here depends on the server.
//!
//! | file | holds |
//! |---|---|
//! | `command` | the commands, and how one is run |
//! | `target`, `context_file`, `server_url` | where a command goes: flags, environment, contexts |
//! | `cluster_target`, `cluster_functions`, `port_forward` | clusters (feature `cluster`): the kubeconfig, objects of functions, the way to the control plane |
//! | `connection`, `tls`, `server_client` | TCP, TLS (feature `tls`) and HTTP/1.1; calls and answers |
//! | `client_error`, `refusal`, `failed_execution`, `exit_status` | what can go wrong, what to do next, the exit code |
//! | `resource` | functions and executions as they are named on a command line |
//! | `manifest`, `defaults` | functions of files and folders, and whether a server has them already |
//! | `function_calls`, `execution_pages` | calls that several commands make |
//! | `function_view`, `execution_view` | the forms in which functions and executions are shown |
//! | `project_function`, `child_command` | functions of a folder, and the programs that build them |
//! | `image_builder`, `image_reference` | images: docker, podman or buildah; names made of the content |
//! | `cluster_deployment`, `image_transfer` | functions and their images on their way to a cluster (feature `cluster`) |
//! | `readiness` | the time until a function that was deployed is served |
//! | `apply`, `build`, `deploy`, `get`, `describe`, `delete`, `invoke`, `enqueue`, `wait`, `cancel`, `logs`, `scale`, `top`, `config`, `version`, `completion` | a command each |
//! | `input` | the input of an invocation |
//! | `metrics` | readings of `/metrics`, and figures made of two |
//! | `output`, `table`, `trace_bars`, `progress` | standard output, and what is drawn for people |
//! | `json_text`, `ordered_value`, `printable`, `shell_word`, `duration`, `clock`, `near_names` | texts and values |

#![forbid(unsafe_code)]
#![cfg_attr(
    not(feature = "cluster"),
    allow(dead_code, reason = "used by clusters or TLS alone; with them, what is dead is told")
)]

mod apply;
mod build;
mod cancel;
mod child_command;
mod client_error;
mod clock;
#[cfg(feature = "cluster")]
mod cluster_deployment;
#[cfg(feature = "cluster")]
mod cluster_functions;
#[cfg(feature = "cluster")]
mod cluster_target;
mod command;
mod completion;
mod config;
mod connection;
mod context_file;
mod defaults;
mod delete;
mod deploy;
mod describe;
mod duration;
mod enqueue;
mod execution_pages;
mod execution_view;
mod exit_status;
mod failed_execution;
mod function_calls;
mod function_view;
mod get;
mod image_builder;
mod image_reference;
#[cfg(feature = "cluster")]
mod image_transfer;
mod input;
mod invoke;
mod json_text;
mod logs;
mod manifest;
mod metrics;
mod near_names;
mod ordered_value;
mod output;
#[cfg(feature = "cluster")]
mod port_forward;
mod printable;
mod progress;
mod project_function;
mod readiness;
mod refusal;
mod resource;
mod scale;
mod server_client;
mod server_url;
mod shell_word;
mod table;
mod target;
#[cfg_attr(not(feature = "tls"), path = "without_tls.rs")]
mod tls;
mod top;
mod trace_bars;
mod version;
mod wait;

pub use command::{ClientCommand, PluginCli, is_plugin, run};
pub use completion::answer_shell;
pub use exit_status::ExitStatus;
pub use version::VERSION_AND_PARTS;
