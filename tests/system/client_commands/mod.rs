//! The client commands, each against a real server: exit codes, standard output to the byte, and what is said
//! on standard error.
//!
//! | file | holds |
//! |---|---|
//! | `clusters` | `--kube-context`, against an API server that the test plays |
//! | `deployments` | `deploy` to a server on this machine, and `build` |
//! | `cluster_deployments` | `deploy` to a cluster and `build --image`, with builders that the test plays |
//! | `functions` | `apply`, `get`, `describe`, `delete`, `scale` |
//! | `invocations` | `invoke`, `enqueue`, `wait`, `cancel`, and `get` and `describe` of executions |
//! | `interruptions` | Ctrl-C, readers that leave, large outputs |
//! | `log_lines` | `logs` |
//! | `places` | flags, environment, contexts |
//! | `strangers` | servers that are none, or not picofaas |
//! | `terminals` | colours, the line about waiting, `top` again and again |
//! | `tls` | certificates of servers |
//! | `shells` | `completion`, `version`, `top`, and the plugin of kubectl |

#[cfg(feature = "cluster")]
mod cluster_deployments;
#[cfg(feature = "cluster")]
mod clusters;
mod deployments;
mod functions;
mod interruptions;
mod invocations;
mod log_lines;
mod places;
mod shells;
mod strangers;
mod terminals;
#[cfg(feature = "tls")]
mod tls;
