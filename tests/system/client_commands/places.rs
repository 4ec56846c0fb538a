//! Where commands go: flags, environment, contexts, TLS.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::support::client_program::{ClientProgram, answer_once};
use crate::support::server::Server;

const EMPTY: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 16\r\n\r\n{\"functions\":[]}";

#[test]
fn a_context_is_made_chosen_listed_shown_and_deleted() {
    let server = Server::start(&[]);
    let program = ClientProgram::anywhere();
    let url = format!("http://{}", server.listen);
    program
        .run(&["config", "current-context"])
        .assert_failed(2, &["no context is in force", "use-context NAME"]);
    let empty = program.run(&["config", "get-contexts"]);
    empty.assert_output("");
    assert!(empty.stderr.contains("there are no contexts: `"), "{empty:?}");
    program
        .run(&["config", "set-context", "lab"])
        .assert_failed(2, &["\"lab\" is a new context", "--server URL"]);
    let header = ["--header", "Authorization: Bearer s3cret", "--header", "X-Team: a"];
    let set = ["config", "set-context", "lab", "--server", &url];
    program.run(&[&set as &[&str], &header].concat()).assert_output("context \"lab\" created\n");
    program.run(&["config", "use-context", "lab"]).assert_output("context \"lab\" is in force\n");
    program.run(&["config", "current-context"]).assert_output("lab\n");
    program.run(&["get", "fn", "-o", "name"]).assert_output("function/bystander\n");
    let shown = program.run(&["config", "view"]);
    let wanted = format!(
        "currentContext: lab\ncontexts:\n- name: lab\n  server: {}\n  headers:\n    Authorization: REDACTED\n    X-Team: REDACTED\n",
        url
    );
    shown.assert_output(&wanted);
    assert!(program.run(&["config", "view", "--raw"]).output().contains("Bearer s3cret"));
    let file = program.folder().join("picofaas/config.yaml");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    program
        .run(&["config", "set-context", "lab", "--header", "authorization:"])
        .assert_output("context \"lab\" modified\n");
    let table = program.run(&["config", "get-contexts"]);
    let row: Vec<&str> = table.output().lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row, ["*", "lab", &url, "X-Team"]);
    program
        .run(&["config", "use-context", "prod"])
        .assert_failed(4, &["has no context \"prod\"; it has lab"]);
    program
        .run(&["get", "fn", "--context", "prod"])
        .assert_failed(4, &["has no context \"prod\"; it has lab"]);
    program.run(&["config", "delete-context", "lab"]).assert_output("context \"lab\" deleted\n");
    program.run(&["config", "view"]).assert_output("contexts: []\n");
    let bad = program.run(&["config", "set-context", "x", "--server", &url, "--header", "no s3cret\n: b"]);
    bad.assert_failed(2, &["--header must be `NAME: VALUE`"]);
    assert!(!bad.stderr.contains("s3cret"), "{bad:?}");
}

#[test]
fn headers_go_to_the_server_of_their_context_and_to_no_other() {
    let (address, request) = answer_once(EMPTY);
    let program = ClientProgram::anywhere();
    let contexts = format!(
        "currentContext: a\ncontexts:\n- {{name: a, server: 'http://{address}/base', headers: {{Authorization: Bearer x}}}}\n"
    );
    program.write("picofaas/config.yaml", &contexts);
    program.run(&["get", "fn"]).assert_output("");
    let sent = request.join().unwrap().to_lowercase();
    assert!(sent.starts_with("get /base/v1/functions http/1.1\r\n"), "{sent}");
    assert!(sent.contains("\r\nauthorization: bearer x\r\n"), "{sent}");
    let (address, request) = answer_once(EMPTY);
    program.run(&["get", "fn", "--server", &format!("http://{address}")]).assert_output("");
    assert!(!request.join().unwrap().to_lowercase().contains("authorization"));
}

#[test]
fn a_file_of_contexts_that_is_wrong_is_refused_by_every_command_and_not_written_over() {
    let program = ClientProgram::anywhere();
    let text = "contexts:\n- {name: a, server: 'http://a', token: s3cret, user: b}\nkind: Config\n";
    let file = program.write("picofaas/config.yaml", text);
    for arguments in [
        &["get", "fn"] as &[&str],
        &["config", "view"],
        &["config", "set-context", "b", "--server", "http://b"],
        &["apply", "-f", "."],
    ] {
        let said = program.run(arguments);
        said.assert_failed(2, &["picofaas/config.yaml: has fields that there are not: kind, contexts[0].token, contexts[0].user"]);
        assert!(!said.stderr.contains("s3cret"), "{said:?}");
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    program.write("picofaas/config.yaml", "contexts: [}");
    program.run(&["get", "fn"]).assert_failed(2, &["picofaas/config.yaml: "]);
}

#[test]
fn a_server_is_named_by_a_url_and_a_cluster_by_nothing_that_lies_around() {
    let program = ClientProgram::anywhere();
    program.run(&["get", "fn", "--server", "localhost:8080"]).assert_failed(
        2,
        &["--server \"localhost:8080\" must begin with http:// or https://, as in http://127.0.0.1:8080"],
    );
    let both = program.run(&["get", "fn", "--server", "http://a", "--context", "b"]);
    both.assert_failed(2, &["cannot be used with"]);
    // A kubeconfig is not read: this one could not be.
    let kubeconfig = program.write("kubeconfig", "{");
    let (address, request) = answer_once(EMPTY);
    let program = ClientProgram::at(address);
    let mut command = program.command(&["get", "fn"]);
    let said =
        crate::support::client_program::Said::of(command.env("KUBECONFIG", kubeconfig).spawn().unwrap());
    said.assert_output("");
    assert!(request.join().unwrap().starts_with("GET /v1/functions "));
}

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
