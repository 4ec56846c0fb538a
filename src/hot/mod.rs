//! The scheduler's world: rings, courses, lanes, the wheel, and nothing else.
pub mod course;
pub mod doorbell;
pub mod doorway;
pub mod eventfd;
pub mod lane;
#[cfg(all(test, feature = "loom"))]
mod loom_tests;
pub mod message;
pub mod scheduler;
#[cfg(test)]
mod simulation;
pub mod switchboard;
mod sync;
pub mod thread;
pub mod ticket;
pub mod waybill;
pub mod wheel;
