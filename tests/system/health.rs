//! Answers of the process about its own health.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use crate::support::client::Client;
use crate::support::patience::{Stopwatch, eventually};
use crate::support::server::{Server, command};
use crate::support::specification::pool;

/// Stops one thread of another process until its own standard input ends.
const STOPPER: &str = r#"
import ctypes, os, sys
SEIZE, INTERRUPT, DETACH, WALL = 0x4206, 0x4207, 17, 0x40000000
thread = int(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
if libc.ptrace(SEIZE, thread, None, None) or libc.ptrace(INTERRUPT, thread, None, None):
    print("refused:", os.strerror(ctypes.get_errno()), flush=True)
    sys.exit()
os.waitpid(thread, WALL)
print("stopped", flush=True)
sys.stdin.read()
libc.ptrace(DETACH, thread, None, None)
"#;

fn thread_of(server: &Server, name: &str) -> String {
    let tasks = format!("/proc/{}/task", server.pid());
    let ids = fs::read_dir(tasks).unwrap().map(|task| task.unwrap().path());
    let mut threads = ids.filter(|task| fs::read_to_string(task.join("comm")).unwrap().trim() == name);
    threads.next().unwrap().file_name().unwrap().to_str().unwrap().to_owned()
}

#[test]
fn healthz_fails_while_the_scheduler_does_not_tick_and_readyz_does_not() {
    let server = Server::start(&["--scheduler", "park", "--gateway-ticks", "off"]);
    assert_eq!(server.operator().get("/healthz").status, 200);
    let mut stopper = Command::new("python3")
        .args(["-c", STOPPER, &thread_of(&server, "scheduler")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    BufReader::new(stopper.stdout.take().unwrap()).read_line(&mut said).unwrap();
    if let Some((_, why)) = said.split_once("refused: ") {
        println!("skipped: no thread of another process can be stopped here: {why}");
        stopper.wait().unwrap();
        return;
    }
    assert_eq!(said.trim(), "stopped");
    for mut client in [server.operator(), server.client()] {
        client.get("/healthz").assert_refused(503, "SHUTTING_DOWN", &["scheduler", "ticked"]);
    }
    assert_eq!(server.operator().get("/readyz").status, 200);
    stopper.stdin.take().unwrap().flush().unwrap();
    stopper.wait().unwrap();
    assert_eq!(server.operator().get("/healthz").status, 200);
    server.assert_others_are_served();
}

#[test]
fn readyz_is_200_only_when_every_manifest_is_registered() {
    const FUNCTIONS: usize = 400;
    let folder = tempfile::tempdir().unwrap();
    for at in 0..FUNCTIONS {
        let specification = pool(&format!("f-{at}"), "http://127.0.0.1:9");
        let spec = ["executionMode", "endpointUrl"].map(|name| format!("{name}: {}", specification[name]));
        let manifest = format!(
            "apiVersion: picofaas.dev/v1\nkind: Function\nmetadata: {{name: f-{at}}}\nspec: {{{}}}\n",
            spec.join(", ")
        );
        fs::write(folder.path().join(format!("{at}.yaml")), manifest).unwrap();
    }
    // An address of its own on the loopback device, so that the port is known before it is served.
    let id = std::process::id();
    let address = format!("127.{}.{}.77:28081", id / 250 % 250 + 1, id % 250 + 1);
    let mut child = command()
        .args(["serve", "--listen", "127.0.0.1:0", "--runtime-listen", "127.0.0.1:0"])
        .args(["--management-listen", &address, "--functions"])
        .arg(folder.path())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let watch = Stopwatch::start();
    let address = address.parse().unwrap();
    eventually("it is ready", || {
        std::net::TcpStream::connect(address).ok()?;
        let answer = Client::connect(address).get("/readyz");
        if answer.status != 200 {
            answer.assert_refused(503, "CONTROL_BUSY", &["being loaded"]);
        }
        (answer.status == 200).then_some(())
    });
    let listed = Client::connect(address).get("/v1/functions").json();
    println!("ready after {:?}", watch.elapsed());
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(listed["functions"].as_array().unwrap().len(), FUNCTIONS);
}
