//! Servers that speak TLS, and whose certificates are trusted.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::support::client_program::ClientProgram;
use crate::support::server::Server;

/// A server that speaks TLS, and the certificate that it shows. It answers with files of a folder.
struct TlsServer {
    child: Child,
    url: String,
}

impl TlsServer {
    /// `None`, and the reason on the test's output, where this machine has no openssl.
    fn start(folder: &Path, name: &str) -> Option<Self> {
        if let Err(error) = Command::new("openssl").arg("version").output() {
            println!("skipped: openssl: {error}");
            return None;
        }
        let subject = format!("subjectAltName={name}");
        let authority = ["-subj", "/CN=an authority", "-keyout", "authority.key", "-out", "authority.pem"];
        let certificate = [
            &["-subj", "/CN=a server", "-keyout", "server.key", "-out", "server.pem", "-addext", &subject]
                as &[&str],
            &[
                "-addext",
                "basicConstraints=critical,CA:FALSE",
                "-CA",
                "authority.pem",
                "-CAkey",
                "authority.key",
            ],
        ];
        for flags in [&authority as &[&str], &certificate.concat()] {
            let made = Command::new("openssl")
                .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
                .args(["-nodes", "-days", "30"])
                .args(flags)
                .current_dir(folder)
                .output()
                .unwrap();
            assert!(made.status.success(), "{made:?}");
        }
        std::fs::create_dir(folder.join("v1")).unwrap();
        std::fs::write(folder.join("v1/functions"), "{\"functions\":[]}").unwrap();
        let mut child = Command::new("openssl")
            .args(["s_server", "-accept", "127.0.0.1:0", "-cert", "server.pem", "-key", "server.key", "-WWW"])
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = loop {
            let line = lines.next().unwrap().unwrap();
            if let Some((_, port)) = line.strip_prefix("ACCEPT ").and_then(|address| address.rsplit_once(':'))
            {
                break port.to_owned();
            }
        };
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self { child, url: format!("https://127.0.0.1:{port}") })
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        // Fails only if it has ended, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_certificate_is_trusted_by_its_authority_alone() {
    let program = ClientProgram::anywhere();
    let Some(server) = TlsServer::start(program.folder(), "IP:127.0.0.1") else { return };
    let get = |arguments: &[&str]| program.run(&[&["get", "fn"], arguments].concat());
    let untrusted = get(&["--server", &server.url]);
    untrusted.assert_failed(3, &["is not trusted: ", "--certificate-authority FILE"]);
    let trusted = get(&["--server", &server.url, "--certificate-authority", "authority.pem"]);
    trusted.assert_output("");
    let set =
        ["config", "set-context", "tls", "--server", &server.url, "--certificate-authority", "authority.pem"];
    program.run(&set).assert_output("context \"tls\" created\n");
    get(&["--context", "tls"]).assert_output("");
    get(&["--server", &server.url, "--certificate-authority", "server.key"])
        .assert_failed(2, &["server.key: has no certificate; it must have certificates in PEM"]);
    get(&["--server", &server.url, "--certificate-authority", "no.pem"])
        .assert_failed(2, &["no.pem: cannot be read"]);
    // Speaking without TLS to who speaks it, and the other way round.
    let plain = get(&["--server", &server.url.replace("https", "http")]);
    assert_eq!(plain.code, 3, "{plain:?}");
    let picofaas = Server::start_bare(&[]);
    let over_tls = get(&["--server", &format!("https://{}", picofaas.listen)]);
    over_tls.assert_failed(3, &["no server at https://127.0.0.1:", "it does not speak TLS as it should"]);
}

#[test]
fn a_certificate_of_another_name_is_not_trusted() {
    let program = ClientProgram::anywhere();
    let Some(server) = TlsServer::start(program.folder(), "DNS:faas.example") else { return };
    let said =
        program.run(&["get", "fn", "--server", &server.url, "--certificate-authority", "authority.pem"]);
    said.assert_failed(3, &["is not trusted: ", "127.0.0.1"]);
}
