//! A program that does nothing: what any start costs. `cargo xtask bench runtimes` links it statically.

fn main() {}
