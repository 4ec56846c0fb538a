//! The picofaas control plane.
pub mod clock;
pub mod hot;
