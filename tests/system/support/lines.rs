//! Lines that functions wrote, as the logs API answers them.

use serde_json::Value;

use super::client::Client;

/// The lines of an answer that ends by itself, without the time, stream and instance before each.
#[track_caller]
pub(crate) fn texts(client: &mut Client, path: &str) -> Vec<String> {
    whole(client, path, "").lines().map(|line| text_of(line).to_owned()).collect()
}

/// The lines of the same as JSON.
#[track_caller]
pub(crate) fn objects(client: &mut Client, path: &str) -> Vec<Value> {
    let body = whole(client, path, "accept: application/x-ndjson\r\n");
    body.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[track_caller]
fn whole(client: &mut Client, path: &str, headers: &str) -> String {
    client.ask(&format!("GET {path}"), headers, "");
    let answer = client.receive_streamed();
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.text().to_owned()
}

/// The function's part of a line of text.
#[track_caller]
pub(crate) fn text_of(line: &str) -> &str {
    let mut parts = line.splitn(4, ' ');
    let time = parts.next().unwrap();
    assert!(time.len() == 24 && time.ends_with('Z'), "no time: {line:?}");
    let stream = parts.next().unwrap();
    assert!(["stdout", "stderr", "output"].contains(&stream), "no stream: {line:?}");
    parts.nth(1).unwrap_or_else(|| panic!("no text: {line:?}"))
}

/// An answer that goes on.
pub(crate) struct Followed {
    client: Client,
    /// Text that came and was not taken yet.
    rest: String,
}

impl Followed {
    /// Asks for lines that are followed, and waits for the answer's head.
    #[track_caller]
    pub(crate) fn ask(mut client: Client, path: &str) -> Self {
        client.ask(&format!("GET {path}"), "", "");
        let head = client.receive_head();
        assert_eq!((head.status, head.header("transfer-encoding")), (200, Some("chunked")), "{head:?}");
        Self { client, rest: String::new() }
    }

    /// The next line as it stands; `None` where the answer has come to its end.
    #[track_caller]
    pub(crate) fn next_whole(&mut self) -> Option<String> {
        loop {
            if let Some((line, rest)) = self.rest.split_once('\n') {
                let line = line.to_owned();
                self.rest = rest.to_owned();
                return Some(line);
            }
            match self.client.chunk() {
                Some(chunk) => self.rest.push_str(std::str::from_utf8(&chunk).unwrap()),
                None => {
                    assert_eq!(self.rest, "", "half a line");
                    return None;
                }
            }
        }
    }

    /// The same without time, stream and instance.
    #[track_caller]
    pub(crate) fn next(&mut self) -> Option<String> {
        self.next_whole().map(|line| text_of(&line).to_owned())
    }

    /// Waits for the end; the lines that came before it.
    #[track_caller]
    pub(crate) fn until_end(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.next()).collect()
    }

    /// The connection, for its next request.
    pub(crate) fn into_client(self) -> Client {
        self.client
    }
}
