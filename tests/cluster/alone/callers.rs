//! Callers that go on over the end of the process that they call: they connect anew and send again.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::support::patience::{Stopwatch, eventually};

/// How long who was refused waits before sending again.
const PAUSE: Duration = Duration::from_millis(5);
/// How long an answer, or a connection, may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Callers of `f` that do not stop.
pub(super) struct Callers {
    over: Arc<AtomicBool>,
    answered: Arc<AtomicU32>,
    threads: Vec<JoinHandle<Seen>>,
}

/// The answers that callers saw.
#[derive(Default)]
pub(super) struct Seen {
    /// When each answer of 200 came, since the beginning.
    pub answers: Vec<Duration>,
    /// Other answers, and how often each came.
    pub troubles: BTreeMap<String, u32>,
}

impl Callers {
    /// Begins to invoke `f`, whose output is its input.
    pub(super) fn start(address: SocketAddr, callers: u32) -> Self {
        let (over, answered, watch) =
            (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)), Stopwatch::start());
        let threads = (0..callers).map(|_| {
            let (over, answered) = (over.clone(), answered.clone());
            thread::spawn(move || call(address, &over, &answered, watch))
        });
        let callers = Self { threads: threads.collect(), over, answered };
        callers.goes_on(100);
        callers
    }

    /// Waits until so many more were answered.
    pub(super) fn goes_on(&self, answers: u32) {
        let before = self.answered.load(Ordering::Relaxed);
        eventually("the load is answered", || {
            (self.answered.load(Ordering::Relaxed) - before >= answers).then_some(())
        });
    }

    pub(super) fn stop(self) -> Seen {
        self.over.store(true, Ordering::Release);
        let mut whole = Seen::default();
        for thread in self.threads {
            let seen = thread.join().expect("a caller goes on");
            whole.answers.extend(seen.answers);
            for (trouble, times) in seen.troubles {
                *whole.troubles.entry(trouble).or_default() += times;
            }
        }
        whole.answers.sort();
        whole
    }
}

impl Seen {
    /// The longest time without an answer, in ms.
    pub(super) fn outage_ms(&self) -> u128 {
        let gaps = self.answers.windows(2).map(|pair| pair[1] - pair[0]);
        gaps.max().expect("there were answers").as_millis()
    }
}

fn call(address: SocketAddr, over: &AtomicBool, answered: &AtomicU32, watch: Stopwatch) -> Seen {
    let mut seen = Seen::default();
    let mut connection = None;
    while !over.load(Ordering::Acquire) {
        match ask(&mut connection, address) {
            Ok((200, body)) => {
                assert!(body.contains("\"output\":\"still here\""), "{body}");
                seen.answers.push(watch.elapsed());
                answered.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            Ok((status, body)) => {
                let code = body.split("\"code\":\"").nth(1).and_then(|rest| rest.split('"').next());
                // While a Service's address leads nowhere, something else on the way may answer, and would go on
                // doing it on that connection.
                connection = None;
                let code = code.unwrap_or("of somebody else");
                *seen.troubles.entry(format!("{status} {code}")).or_default() += 1;
            }
            Err(error) => {
                connection = None;
                *seen.troubles.entry(format!("{:?}", error.kind())).or_default() += 1;
            }
        }
        thread::park_timeout(PAUSE);
    }
    seen
}

/// Sends one invocation and reads its answer, on the connection there is or a new one.
fn ask(connection: &mut Option<BufReader<TcpStream>>, address: SocketAddr) -> io::Result<(u16, String)> {
    let stream = match connection {
        Some(stream) => stream,
        None => {
            let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_nodelay(true)?;
            connection.insert(BufReader::new(stream))
        }
    };
    let body = "{\"input\":\"still here\"}";
    let request = format!(
        "POST /v1/functions/f:invoke HTTP/1.1\r\nhost: picofaas\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.get_mut().write_all(request.as_bytes())?;
    let (mut status, mut length, mut is_last) = (0, 0, false);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end().to_lowercase();
        if line.is_empty() {
            break;
        } else if let Some(rest) = line.strip_prefix("http/1.1 ") {
            status = rest.split(' ').next().and_then(|code| code.parse().ok()).unwrap_or_default();
        } else if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.parse().map_err(io::Error::other)?;
        } else if line == "connection: close" {
            is_last = true;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    if is_last {
        *connection = None;
    }
    Ok((status, String::from_utf8(body).map_err(io::Error::other)?))
}
