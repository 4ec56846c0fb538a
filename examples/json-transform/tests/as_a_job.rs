//! The function as a process that runs once, as a JOB is started.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};

const INPUT: &str = r#"{"input":{"data":{"nm":"Ada","n":1.10},"transform":{"rename":{"nm":"name"}}}}"#;
const COMPLETION: &str = r#"{"success":true,"output":{"n":1.10,"name":"Ada"},"error":null,"status":200}"#;

/// Reads a request; its first line and its body.
fn request(stream: &mut impl BufRead) -> (String, String) {
    let mut head = stream.lines().map(Result::unwrap).take_while(|line| !line.is_empty());
    let first = head.next().unwrap();
    let length =
        head.filter_map(|line| line.strip_prefix("content-length: ").map(|n| n.parse().unwrap())).last();
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).unwrap();
    (first, String::from_utf8(body).unwrap())
}

#[test]
fn the_same_program_fetches_its_input_and_posts_its_output() {
    let control_plane = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut job = Command::new(env!("CARGO_BIN_EXE_json-transform"))
        .env("EXECUTION_MODE", "JOB")
        .env("EXECUTION_ID", "e-1")
        .env("PICOFAAS_RUNTIME_URL", format!("http://{}", control_plane.local_addr().unwrap()))
        .env("PICOFAAS_TOKEN", "t")
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let (stream, _) = control_plane.accept().unwrap();
    let mut reader = BufReader::new(&stream);
    let mut writer = &stream;
    assert_eq!(request(&mut reader).0, "GET /v1/internal/executions/e-1/input HTTP/1.1");
    let length = INPUT.len();
    write!(writer, "HTTP/1.1 200 OK\r\nx-execution-id: e-1\r\ncontent-length: {length}\r\n\r\n{INPUT}")
        .unwrap();
    let (line, completion) = request(&mut reader);
    assert_eq!(line, "POST /v1/internal/executions/e-1:complete HTTP/1.1");
    assert_eq!(completion, COMPLETION);
    writer.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
    assert!(job.wait().unwrap().success());
}
