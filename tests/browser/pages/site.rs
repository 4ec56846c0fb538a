//! Somebody's web site: a page that tries what it is told to, and tells what came of it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};

use crate::support::patience::eventually;

/// Text of every page; the plan is put into it.
const PAGE: &str = include_str!("page.html");
const PLAN: &str = "\"the plan\"";

/// A page in a frame that may run scripts and send forms, and has no origin.
const SANDBOX: &str = "<iframe sandbox=\"allow-scripts allow-forms\" src=\"/\"></iframe>";

/// How the paths of a site are called.
pub(crate) const PAGE_PATH: &str = "/";
pub(crate) const SANDBOX_PATH: &str = "/sandbox";

/// Report of the page, once it has come.
type Told = Arc<Mutex<Option<Value>>>;

/// A site on a port of its own of this machine.
pub(crate) struct Site {
    listener: TcpListener,
    told: Told,
}

impl Site {
    pub(crate) fn new() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").unwrap(), told: Told::default() }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// The text of a page that makes these attempts.
    pub(crate) fn page(&self, attempts: &[Value]) -> String {
        let plan = json!({ "attempts": attempts, "told": format!("http://{}/told", self.address()) });
        PAGE.replace(PLAN, &plan.to_string().replace('<', "\\u003c"))
    }

    /// Serves a page that makes these attempts.
    pub(crate) fn serve(&self, attempts: &[Value]) {
        let (page, told, listener) =
            (self.page(attempts), self.told.clone(), self.listener.try_clone().unwrap());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (page, told) = (page.clone(), told.clone());
                // A browser may connect and ask nothing, and go away before it is answered.
                thread::spawn(move || answer(BufReader::new(stream?), &page, &told));
            }
        });
    }

    /// Waits for the report of the page: the end of each attempt.
    pub(crate) fn told(&self) -> Vec<Value> {
        let told = eventually("the page tells", || self.told.lock().unwrap().take());
        told.as_array().unwrap().clone()
    }
}

fn answer(mut stream: BufReader<TcpStream>, page: &str, told: &Told) -> std::io::Result<()> {
    let mut request = String::new();
    stream.read_line(&mut request)?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let Some((name, value)) = line.split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    let (status, text) = match request.split(' ').nth(1).unwrap_or_default() {
        PAGE_PATH => ("200 OK", page),
        SANDBOX_PATH => ("200 OK", SANDBOX),
        "/told" => {
            *told.lock().unwrap() = Some(serde_json::from_slice(&body).unwrap());
            ("200 OK", "")
        }
        _ => ("404 Not Found", ""),
    };
    let length = text.len();
    write!(
        stream.get_mut(),
        "HTTP/1.1 {status}\r\ncontent-type: text/html; charset=utf-8\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{text}"
    )
}
