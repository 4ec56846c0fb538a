//! Telling the control plane that the program listens.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use crate::program::Program;

/// Pause between two tries.
const PAUSE: Duration = Duration::from_millis(50);

/// Announces the port until that is taken, where the variables of a pod are there.
pub(crate) fn begin(program: &Arc<Program>, port: u16) {
    let variables = ["PICOFAAS_RUNTIME_URL", "PICOFAAS_TOKEN", "POD_IP", "HOSTNAME"].map(std::env::var);
    let [Ok(url), Ok(token), Ok(ip), Ok(instance)] = variables else { return };
    let program = program.clone();
    std::thread::spawn(move || {
        let host = url.strip_prefix("http://").expect("a URL");
        let body = format!(r#"{{"instance":"{instance}","address":"{ip}:{port}"}}"#);
        loop {
            let mut head = format!(
                "POST /v1/internal/instances HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\
                 Content-Type: application/json\r\nContent-Length: {}\r\n",
                body.len()
            );
            for (name, value) in program.ages.headers(&program) {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
            let status = TcpStream::connect(host).and_then(|mut stream| {
                stream.write_all(format!("{head}\r\n{body}").as_bytes())?;
                let mut line = [0; 12];
                stream.read_exact(&mut line)?;
                Ok(line[9..].to_vec())
            });
            if status.is_ok_and(|status| status == b"204") {
                return;
            }
            std::thread::park_timeout(PAUSE);
        }
    });
}
