//! A runtime for rehearsals of the contract: it speaks frames by the crate that has both ends of them, and breaks
//! one rule where `FAULT` names it.
//!
//! Its functions are those that the contract asks for, its HTTP/1.1 is the little that rehearsed rows need, and it is
//! no `JOB`.
//!
//! | file | has |
//! |---|---|
//! | `fault` | the rules that it may break |
//! | `function` | the functions |
//! | `program` | counts, limits and the start |
//! | `standby` | the one invocation of a standby |
//! | `ages` | how old it is |
//! | `announcement` | telling the control plane |
//! | `http` | HTTP/1.1 and the change to frames |
//! | `frames` | frames |

mod ages;
mod announcement;
mod fault;
mod frames;
mod function;
mod http;
mod program;
mod standby;

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv6Addr, TcpListener};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Duration;

use fault::Fault;
use program::Program;
use rustix::process::{Signal, getpid, kill_process};

/// Pause between two looks at what cannot be waited for together.
pub(crate) const LOOK: Duration = Duration::from_millis(2);

/// A stream whose reads may find nothing.
pub(crate) trait Bytes: Read + Write {}

impl<S: Read + Write> Bytes for S {}

fn main() {
    let program = Arc::new(Program::from_environment());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
    let mut term = {
        let _inside = runtime.enter();
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).expect("signals can be had")
    };
    let accepting = accept(&program);
    end_when_over(&program);
    runtime.block_on(term.recv());
    if program.has(Fault::EndsAtOnce) {
        // Before a connection hears of it and goes away in good order.
        std::process::exit(0);
    }
    program.stop();
    accepting.join().expect("accepting does not fail");
    while !program.is_drained() {
        std::thread::park_timeout(LOOK);
    }
    if program.function == "last" && !program.has(Fault::LosesLastLine) {
        eprint!("{}", std::env::var("CONTRACT_TEXT").unwrap_or_default());
    }
    std::process::exit(if program.has(Fault::EndsBadly) { 1 } else { 0 });
}

/// Ends the program as SIGTERM does when it is a standby that has had its one invocation.
fn end_when_over(program: &Arc<Program>) {
    let program = program.clone();
    std::thread::spawn(move || {
        while !program.standby.is_over(&program) {
            std::thread::park_timeout(LOOK);
        }
        kill_process(getpid(), Signal::TERM).expect("it is this process");
    });
}

/// Listens where it is told to and serves each connection on a thread, until the program stops.
fn accept(program: &Arc<Program>) -> std::thread::JoinHandle<()> {
    let program = program.clone();
    if let Some(path) = std::env::var_os("PICOFAAS_SOCKET") {
        let listener = UnixListener::bind(&path).expect("the socket is free");
        listener.set_nonblocking(true).expect("it is a socket");
        program.listens();
        return std::thread::spawn(move || {
            serve_all(&program, || {
                let (stream, _) = listener.accept()?;
                stream.set_nonblocking(false)?;
                stream.set_read_timeout(Some(LOOK))?;
                Ok(stream)
            });
            drop(listener);
            std::fs::remove_file(path).expect("it is ours");
        });
    }
    let port = std::env::var("PORT").ok().and_then(|port| port.parse().ok()).expect("PORT");
    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).expect("the port is free");
    listener.set_nonblocking(true).expect("it is a socket");
    program.listens();
    announcement::begin(&program, port);
    std::thread::spawn(move || {
        serve_all(&program, || {
            let (stream, _) = listener.accept()?;
            stream.set_nonblocking(false)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(LOOK))?;
            Ok(stream)
        });
    })
}

fn serve_all<S: Bytes + Send + 'static>(
    program: &Arc<Program>,
    mut accept: impl FnMut() -> std::io::Result<S>,
) {
    while !program.is_stopping() {
        match accept() {
            Ok(stream) => {
                let program = program.clone();
                std::thread::spawn(move || http::serve(&program, stream));
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::park_timeout(LOOK),
            Err(error) => eprintln!("no connection: {error}"),
        }
    }
}
