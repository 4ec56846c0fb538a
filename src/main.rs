//! The picofaas binary.
fn main() {}
