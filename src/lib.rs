//! The picofaas control plane.
