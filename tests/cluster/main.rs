//! The control plane against a real cluster, from outside: the real binary on this machine, a real API
//! server, real pods of the function of tests.
//!
//! `KUBECONFIG` names the cluster (`cargo xtask cluster up`), whose pods must reach this machine at
//! `PICOFAAS_NODE` (10.250.0.1) and which must have the image `PICOFAAS_TEST_IMAGE`
//! (`cargo xtask image picofaas-test-function`). Where there is none, each test says so and does nothing.

mod support;
mod warm;
mod warm_faults;
