//! The picofaas runtime for functions written in Rust.
