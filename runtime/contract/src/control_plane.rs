//! The control plane as runtimes see it, played by a test over bare sockets.

use std::cell::OnceCell;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{PidfdFlags, pidfd_open};
use serde_json::Value;

use crate::patience::patience;
use crate::process::Process;

/// The execution of every JOB here: 40 hex digits, as the real ones are.
pub const EXECUTION_ID: &str = "0123456789abcdef0123456789abcdef01234567";
/// The answer to a completion that was taken.
pub const TAKEN: &str = "HTTP/1.1 204 No Content\r\n\r\n";

pub struct ControlPlane {
    listener: TcpListener,
    /// The process that is waited for, if it is known.
    process: OnceCell<OwnedFd>,
}

/// A connection that a runtime opened.
pub struct Caller {
    stream: BufReader<TcpStream>,
}

/// A request, read whole.
#[derive(Debug)]
pub struct Request {
    pub line: String,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl ControlPlane {
    /// Listens at a free port.
    pub fn open() -> Self {
        Self::at(0)
    }

    /// Listens at a port of the test's choice.
    pub fn at(port: u16) -> Self {
        Self::on(Ipv4Addr::LOCALHOST.into(), port)
    }

    /// Listens at a free port of IPv6.
    pub fn open_ipv6() -> Self {
        Self::on(Ipv6Addr::LOCALHOST.into(), 0)
    }

    fn on(ip: IpAddr, port: u16) -> Self {
        Self { listener: TcpListener::bind((ip, port)).unwrap(), process: OnceCell::new() }
    }

    pub fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().port()
    }

    /// Its URL for `PICOFAAS_RUNTIME_URL`.
    pub fn url(&self) -> String {
        format!("http://{}", self.listener.local_addr().unwrap())
    }

    /// Whether a connection waits to be accepted.
    pub fn is_called(&self) -> bool {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut [PollFd::new(&self.listener, PollFlags::IN)], Some(&now)).unwrap() > 0
    }

    /// Lets waits for connections end with this process.
    pub fn watch(&self, process: &Process) {
        let fd = pidfd_open(process.pid(), PidfdFlags::empty()).unwrap();
        assert!(self.process.set(fd).is_ok(), "one process is watched");
    }

    #[track_caller]
    pub fn accept(&self) -> Caller {
        let limit = Timespec::try_from(patience()).unwrap();
        let mut waiting = vec![PollFd::new(&self.listener, PollFlags::IN)];
        waiting.extend(self.process.get().map(|process| PollFd::new(process, PollFlags::IN)));
        assert_ne!(poll(&mut waiting, Some(&limit)).unwrap(), 0, "nobody connects");
        assert!(waiting[0].revents().contains(PollFlags::IN), "it ended and did not connect");
        let (stream, _) = self.listener.accept().unwrap();
        stream.set_read_timeout(Some(patience())).unwrap();
        Caller { stream: BufReader::new(stream) }
    }

    /// Accepts, and answers the request for the input with `headers`, each ending in a line
    /// break, and `body`.
    #[track_caller]
    pub fn hand_out(&self, headers: &str, body: &str) -> Caller {
        let mut caller = self.accept();
        assert!(caller.request().line.starts_with("GET "));
        caller.answer(input(headers, body));
        caller
    }
}

/// The answer to a request for the input, with the id of the execution and `headers`.
pub fn input(headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\nX-Execution-Id: {EXECUTION_ID}\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    )
}

/// An answer that is an error.
pub fn refusal(status: u16, code: &str) -> String {
    let body = format!(r#"{{"error":{{"code":"{code}","message":"no"}}}}"#);
    format!("HTTP/1.1 {status} Whatever\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

impl Caller {
    /// The next request.
    #[track_caller]
    pub fn request(&mut self) -> Request {
        let line = self.line();
        assert!(!line.is_empty(), "the connection ended without a request");
        let mut headers = Vec::new();
        loop {
            let line = self.line();
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("no header: {line:?}"));
            headers.push((name.to_lowercase(), value.trim().to_owned()));
        }
        let mut request = Request { line, headers, body: Vec::new() };
        let length = request.header("content-length").map_or(0, |length| length.parse().unwrap());
        request.body.resize(length, 0);
        self.stream.read_exact(&mut request.body).unwrap();
        request
    }

    pub fn answer(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.get_mut().write_all(bytes.as_ref()).unwrap();
    }

    /// Ends the answers; requests of the peer can still be read.
    pub fn end_answers(&self) {
        self.stream.get_ref().shutdown(Shutdown::Write).unwrap();
    }

    /// Whether the peer closes, with nothing more to say.
    pub fn is_closed(&mut self) -> bool {
        match self.stream.fill_buf() {
            Ok(said) => said.is_empty(),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => true,
            Err(error) => panic!("the connection stays open: {error}"),
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        line.trim_end_matches("\r\n").to_owned()
    }
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}
