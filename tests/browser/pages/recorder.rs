//! Requests of a browser to a listener and their answers, written down on their way: a page is not told the status
//! of an answer that it may not read.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// One request with its answer.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// E.g. `POST /v1/functions`.
    pub call: String,
    pub origin: Option<String>,
    /// `Sec-Fetch-Site`
    pub site: Option<String>,
    pub status: u16,
    /// The answer, head and body.
    pub answer: String,
}

/// A port of this machine that leads to a listener.
pub(crate) struct Recorder {
    pub address: SocketAddr,
    records: Arc<Mutex<Vec<Record>>>,
}

impl Recorder {
    pub(crate) fn before(listener: SocketAddr) -> Self {
        let way = TcpListener::bind("127.0.0.1:0").unwrap();
        let recorder = Self { address: way.local_addr().unwrap(), records: Arc::default() };
        let records = recorder.records.clone();
        thread::spawn(move || {
            for stream in way.incoming() {
                let records = records.clone();
                // A browser may connect and ask nothing, and go away before it is answered.
                thread::spawn(move || pass(BufReader::new(stream?), listener, &records));
            }
        });
        recorder
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Requests until now.
    pub(crate) fn records(&self) -> Vec<Record> {
        self.records.lock().unwrap().clone()
    }
}

/// Passes one request on, and its answer back.
fn pass(
    mut browser: BufReader<TcpStream>,
    listener: SocketAddr,
    records: &Mutex<Vec<Record>>,
) -> io::Result<()> {
    let mut head = String::new();
    let mut line = String::new();
    while browser.read_line(&mut line)? > 0 && line != "\r\n" {
        // One request for each connection, so that an answer is all that comes.
        if !line.to_lowercase().starts_with("connection:") {
            head.push_str(&line);
        }
        line.clear();
    }
    let Some((call, _)) = head.split_once(" HTTP/1.1\r\n") else { return Ok(()) };
    let header = |wanted: &str| {
        let mut headers = head.lines().filter_map(|line| line.split_once(": "));
        headers.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.to_owned())
    };
    let mut body = vec![0; header("content-length").map_or(0, |length| length.parse().unwrap())];
    browser.read_exact(&mut body)?;
    let mut server = TcpStream::connect(listener)?;
    server.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes())?;
    server.write_all(&body)?;
    let answer = receive(&mut server, call.starts_with("HEAD "))?;
    let text = String::from_utf8_lossy(&answer).into_owned();
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let record = Record {
        call: call.to_owned(),
        origin: header("origin"),
        site: header("sec-fetch-site"),
        status,
        answer: text,
    };
    records.lock().unwrap().push(record);
    browser.get_mut().write_all(&answer)
}

/// Reads an answer to the end that it says it has: a `kubectl port-forward` tells late that a listener has closed.
fn receive(server: &mut TcpStream, is_headless: bool) -> io::Result<Vec<u8>> {
    let mut server = BufReader::new(server);
    let mut head = String::new();
    while server.read_line(&mut head)? > 0 && !head.ends_with("\r\n\r\n") {}
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length = if is_headless { 0 } else { length.map_or(0, |length| length.parse().unwrap()) };
    let mut answer = head.into_bytes();
    server.take(length).read_to_end(&mut answer)?;
    Ok(answer)
}
