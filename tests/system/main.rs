//! The whole process, from outside: the real binary, real functions, bare sockets.
//!
//! Each test starts servers of its own and ends them; nothing is shared but the machine.

mod support;

mod chaos;
mod refusals;
mod start;
mod wire;
