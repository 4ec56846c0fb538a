//! Endpoints of `POOL` functions: one that the test itself plays, request by request, and one that
//! is a process of the runtime.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use socket2::SockRef;

use super::patience::{Alarm, PATIENCE};
use super::specification::faulty;

/// Time in which a writer is stuck of whom nothing is taken.
const STUCK: Duration = Duration::from_millis(500);

/// A listener that answers when the test says so, and with what it says.
pub(crate) struct Endpoint {
    listener: TcpListener,
    /// A connection that was looked for and has come.
    came: RefCell<Option<TcpStream>>,
}

/// A request that came in and waits for its answer.
pub(crate) struct Request {
    stream: BufReader<TcpStream>,
    /// The first line.
    pub line: String,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    pub body: String,
}

impl Endpoint {
    pub(crate) fn listen() -> Self {
        Self::listen_at(SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// Listens at an address; port 0 takes a free one.
    pub(crate) fn listen_at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        // Accepting has a limit of time as reading has, and no function of its own to set it.
        SockRef::from(&listener).set_read_timeout(Some(PATIENCE)).unwrap();
        Self { listener, came: RefCell::default() }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// The `endpointUrl`, with a path that shows whether it is kept.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/invoke", self.address())
    }

    /// Takes every request and answers none, until the caller hangs up or none has come for long.
    pub(crate) fn hold_all(self) {
        self.take_all(Request::until_closed);
    }

    /// Answers every request, on a connection of its own, until none has come for long.
    pub(crate) fn answer_all(self, status: u16, body: &'static str) {
        self.take_all(move |request| request.answer_in_vain(status, body));
    }

    fn take_all(self, take: impl Fn(Request) + Copy + Send + 'static) {
        std::thread::spawn(move || {
            while let Ok((stream, _)) = self.listener.accept() {
                std::thread::spawn(move || {
                    stream.set_read_timeout(Some(PATIENCE)).unwrap();
                    let mut stream = BufReader::new(stream);
                    // One that says nothing has given up already.
                    if stream.fill_buf().is_ok_and(|bytes| !bytes.is_empty()) {
                        take(Request::read(stream));
                    }
                });
            }
        });
    }

    /// Waits for the next request on a new connection.
    pub(crate) fn next(&self) -> Request {
        Request::read(self.connection())
    }

    /// The same, whose body is still to be read.
    pub(crate) fn next_without_body(&self) -> Request {
        Request::read_head(self.connection())
    }

    fn connection(&self) -> BufReader<TcpStream> {
        let came = self.came.take();
        let stream = came.unwrap_or_else(|| self.listener.accept().expect("a request comes").0);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        BufReader::new(stream)
    }

    /// Whether a connection has come.
    pub(crate) fn is_asked(&self) -> bool {
        if self.came.borrow().is_none() {
            self.listener.set_nonblocking(true).unwrap();
            let came = self.listener.accept().ok().map(|(stream, _)| stream);
            self.listener.set_nonblocking(false).unwrap();
            if let Some(stream) = &came {
                stream.set_nonblocking(false).unwrap();
            }
            self.came.replace(came);
        }
        self.came.borrow().is_some()
    }
}

impl Request {
    fn read(stream: BufReader<TcpStream>) -> Self {
        let mut request = Self::read_head(stream);
        let length = request.header("content-length").map_or(0, |length| length.parse().unwrap());
        request.stream.by_ref().take(length).read_to_string(&mut request.body).unwrap();
        request
    }

    fn read_head(mut stream: BufReader<TcpStream>) -> Self {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).unwrap();
            match line.trim_end_matches("\r\n") {
                "" => break,
                text => lines.push(text.to_owned()),
            }
        }
        let line = lines.remove(0);
        let header = |line: &String| {
            let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("no header: {line:?}"));
            (name.to_lowercase(), value.to_owned())
        };
        let headers: Vec<_> = lines.iter().map(header).collect();
        Self { stream, line, headers, body: String::new() }
    }

    /// The value of a header that is there once.
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(known, _)| known == name);
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} is there twice: {:?}", self.headers);
        value
    }

    /// Answers and closes, so that the next request is a new connection.
    pub(crate) fn answer(mut self, status: u16, body: &str) {
        let answer = answer_of(status, body);
        self.stream.get_mut().write_all(answer.as_bytes()).unwrap();
    }

    /// The same where the caller may have given up.
    fn answer_in_vain(mut self, status: u16, body: &str) {
        let answer = answer_of(status, body);
        // A failure is the caller's own affair.
        let _ = self.stream.get_mut().write_all(answer.as_bytes());
    }

    /// Answers with these bytes and keeps the connection for the next request.
    pub(crate) fn answer_raw(mut self, bytes: &str) -> Self {
        self.stream.get_mut().write_all(bytes.as_bytes()).unwrap();
        self
    }

    /// Reads so many bytes of what comes behind the head.
    pub(crate) fn take(&mut self, bytes: usize) -> Vec<u8> {
        let mut taken = vec![0; bytes];
        self.stream.read_exact(&mut taken).unwrap();
        taken
    }

    /// Reads a line of what comes behind the head.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        assert!(line.ends_with("\r\n"), "the connection ended in {line:?}");
        line.trim_end_matches("\r\n").to_owned()
    }

    /// Every value of a header.
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
    }

    /// Writes until the other side has taken nothing for a while, at most so many bytes. Answers how many it took.
    pub(crate) fn write_until_stuck(&mut self, most: usize) -> usize {
        let stream = self.stream.get_mut();
        stream.set_write_timeout(Some(STUCK)).unwrap();
        let (piece, mut written) = ([b'x'; 64 * 1024], 0);
        while written < most {
            match stream.write(&piece) {
                Ok(bytes) => written += bytes,
                Err(_) => break,
            }
        }
        written
    }

    /// Waits for the next request on the same connection.
    pub(crate) fn next(self) -> Self {
        Self::read(self.stream)
    }

    /// The same, whose body is still to be read.
    pub(crate) fn next_without_body(self) -> Self {
        Self::read_head(self.stream)
    }

    /// Waits until the other side closes the connection.
    pub(crate) fn until_closed(mut self) {
        let mut rest = Vec::new();
        // A reset is a close, too.
        let _ = self.stream.read_to_end(&mut rest);
        assert!(rest.is_empty(), "more came: {rest:?}");
    }
}

impl Request {
    /// Waits until the other side closes the connection, whatever it still sends.
    pub(crate) fn until_closed_after_more(mut self) {
        // A reset is a close, too.
        let _ = std::io::copy(&mut self.stream, &mut std::io::sink());
    }
}

fn answer_of(status: u16, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status} -\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}")
}

/// A process of the runtime that no server has started; killed on drop.
pub(crate) struct EndpointProcess {
    child: Child,
    url: String,
    /// 0 at a Unix socket.
    pub port: u16,
}

impl EndpointProcess {
    /// Starts `faulty` with a handler at a TCP port; 0 takes a free one.
    pub(crate) fn start(handler: &str, port: u16) -> Self {
        let (child, greeting) = spawn(handler, "PORT", port.to_string());
        let (_, rest) = greeting.rsplit_once(':').unwrap();
        let port = rest.split_whitespace().next().unwrap().parse().unwrap();
        Self { child, url: format!("http://127.0.0.1:{port}"), port }
    }

    /// Starts `faulty` with a handler at a Unix socket.
    pub(crate) fn start_at(handler: &str, socket: &Path) -> Self {
        let (child, _) = spawn(handler, "PICOFAAS_SOCKET", socket);
        Self { child, url: format!("unix:{}", socket.display()), port: 0 }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    /// Ends it, and its connections with it.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for EndpointProcess {
    fn drop(&mut self) {
        // Fails only if the process has ended, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The process, and what it wrote until it listened.
fn spawn(handler: &str, variable: &str, place: impl AsRef<OsStr>) -> (Child, String) {
    let mut child = Command::new(faulty())
        .env_clear()
        .env("HANDLER", handler)
        .env(variable, place)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let _alarm = Alarm::of(&child);
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut seen = String::new();
    while !seen.contains("listening on ") {
        assert_ne!(stderr.read_line(&mut seen).unwrap(), 0, "it does not listen: {seen}");
    }
    // Its later output is read, so that it never waits for a reader.
    std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
    (child, seen)
}
