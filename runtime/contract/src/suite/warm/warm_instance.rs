//! An instance of a runtime, behind either kind of listener.

use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::ops::{Deref, DerefMut};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};

use picofaas_contract::frames_client::FramesClient;
use picofaas_contract::patience::{patience, until};
use picofaas_contract::process::Process;
use picofaas_contract::web_bridge;
use picofaas_contract::wire::Connection;
use tempfile::TempDir;

use super::client::Client;
use crate::suite::case::Transport;
use crate::suite::subject::Subject;

/// The kind of an instance's listener.
#[derive(Clone, Copy)]
pub(crate) enum ListenerKind {
    Socket,
    Port,
}

enum Address {
    Socket(PathBuf),
    Port(u16),
}

/// A running instance.
pub(crate) struct WarmInstance {
    process: Process,
    address: Address,
    _directory: TempDir,
}

/// A connection's bytes.
pub(crate) enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl WarmInstance {
    /// Starts a function and waits until it is healthy.
    pub(crate) fn of(subject: &Subject, function: &str) -> Self {
        Self::with(subject, function, ListenerKind::Socket, &[])
    }

    /// Starts a function behind a kind of listener and with more of an environment, and waits until it is healthy.
    pub(crate) fn with(
        subject: &Subject,
        function: &str,
        listener: ListenerKind,
        more: &[(&str, &str)],
    ) -> Self {
        let mut instance = Self::start(subject.command(function).envs(more.iter().copied()), listener);
        instance.wait_until_healthy();
        instance
    }

    /// Starts a command, which need not be healthy soon.
    pub(crate) fn start(command: &mut Command, listener: ListenerKind) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let address = match listener {
            ListenerKind::Socket => Address::Socket(directory.path().join("fn.sock")),
            ListenerKind::Port => Address::Port(free_port()),
        };
        match &address {
            Address::Socket(path) => command.env("PICOFAAS_SOCKET", path),
            Address::Port(port) => command.env("PORT", port.to_string()),
        };
        Self { process: spawn(command), address, _directory: directory }
    }

    /// Starts a command at a socket whose place exists.
    pub(crate) fn at_socket(command: &mut Command, path: PathBuf) -> Self {
        command.env("PICOFAAS_SOCKET", &path);
        let directory = tempfile::tempdir().unwrap();
        Self { process: spawn(command), address: Address::Socket(path), _directory: directory }
    }

    /// Asks for its health as the control plane does, each time on a connection of its own; how
    /// often it was asked.
    #[track_caller]
    pub(crate) fn wait_until_healthy(&mut self) -> u32 {
        let mut looks = 0;
        let last = RefCell::new("nothing".to_owned());
        let process = RefCell::new(&mut self.process);
        let address = &self.address;
        until(
            || format!("it does not become healthy; the last answer was {}", last.borrow()),
            || {
                looks += 1;
                assert!(!process.borrow_mut().has_ended(), "it ended instead of becoming healthy");
                match address.health() {
                    Ok(200) => Some(()),
                    other => {
                        *last.borrow_mut() = format!("{other:?}");
                        None
                    }
                }
            },
        );
        looks
    }

    /// The status of its health, if there is an answer.
    pub(crate) fn health(&self) -> io::Result<u16> {
        self.address.health()
    }

    pub(crate) fn connect(&self) -> Connection<Stream> {
        Connection::over(self.address.connect().unwrap())
    }

    /// The port, behind [`ListenerKind::Port`].
    pub(crate) fn port(&self) -> u16 {
        match &self.address {
            Address::Port(port) => *port,
            Address::Socket(path) => panic!("it listens at {}", path.display()),
        }
    }

    /// A connection that invokes.
    #[track_caller]
    pub(crate) fn client(&self, transport: Transport) -> Client {
        match transport {
            Transport::Http => Client::Http(self.connect()),
            Transport::Frames => Client::over_frames(self.frames()),
        }
    }

    /// A connection for web requests.
    #[track_caller]
    pub(crate) fn web(&self, transport: Transport) -> Connection<Stream> {
        match transport {
            Transport::Http => self.connect(),
            Transport::Frames => Connection::over(Stream::Unix(web_bridge::open(self.connect()))),
        }
    }

    /// A connection over frames that is kept alive.
    #[track_caller]
    pub(crate) fn frames(&self) -> FramesClient {
        FramesClient::open(self.connect())
    }

    /// A number among the metrics, or 0.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let answer = self.connect().get("/metrics");
        let line = answer.text().lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0, |value| value.parse().unwrap())
    }

    pub(crate) fn is_reachable(&self) -> bool {
        self.address.connect().is_ok()
    }

    /// Asks for the metrics until they have this line.
    #[track_caller]
    pub(crate) fn wait_for_metric(&self, line: &str) {
        self.connect().wait_for_metric(line);
    }

    /// Waits for the end; the exit code and the rest of stderr.
    #[track_caller]
    pub(crate) fn end(self) -> (i32, String) {
        self.process.end()
    }
}

fn spawn(command: &mut Command) -> Process {
    Process::spawn(command.env("EXECUTION_MODE", "WARM"))
}

impl Address {
    fn connect(&self) -> io::Result<Stream> {
        match self {
            Self::Socket(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(patience()))?;
                Ok(Stream::Unix(stream))
            }
            Self::Port(port) => {
                let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, *port))?;
                stream.set_read_timeout(Some(patience()))?;
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp(stream))
            }
        }
    }

    fn health(&self) -> io::Result<u16> {
        let mut stream = self.connect()?;
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: fn\r\nConnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let line = String::from_utf8_lossy(&answer);
        line.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(|| io::Error::other(line))
    }
}

impl Stream {
    pub(crate) fn set_nonblocking(&self, is_nonblocking: bool) -> io::Result<()> {
        match self {
            Self::Unix(stream) => stream.set_nonblocking(is_nonblocking),
            Self::Tcp(stream) => stream.set_nonblocking(is_nonblocking),
        }
    }

    /// Tells the peer that nothing more comes.
    pub(crate) fn end_writing(&self) {
        match self {
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
        }
        .unwrap();
    }
}

/// A port below those that the kernel gives to clients, so that no connection takes it meanwhile.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 10_000;
    let begin = (std::process::id() % u32::from(COUNT)) as u16;
    loop {
        let offset = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(begin) % COUNT;
        if TcpListener::bind((Ipv4Addr::UNSPECIFIED, FIRST + offset)).is_ok() {
            return FIRST + offset;
        }
    }
}

impl Deref for WarmInstance {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for WarmInstance {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}

impl Read for Stream {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.read(bytes),
            Self::Tcp(stream) => stream.read(bytes),
        }
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Unix(stream) => stream.as_fd(),
            Self::Tcp(stream) => stream.as_fd(),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.write(bytes),
            Self::Tcp(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Unix(stream) => stream.flush(),
            Self::Tcp(stream) => stream.flush(),
        }
    }
}
