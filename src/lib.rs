//! The picofaas control plane.

pub mod registry;
