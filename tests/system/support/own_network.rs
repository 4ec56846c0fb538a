//! A network of the test's own, and a host in it that vanishes without a word: what is sent to it is dropped.

use std::fs::File;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Set for the process that runs a test in the network that was made for it.
const INSIDE: &str = "PICOFAAS_TEST_OWN_NETWORK";
/// A command in namespaces of its own, of which its user is the root.
const UNSHARE: [&str; 3] = ["unshare", "--map-root-user", "--net"];
/// A loopback device, and one of a pair whose other end goes to the host.
const NEAR_SIDE: &str = "ip link set lo up && ip link add near type veth peer name far \
    && ip address add 10.254.0.1/30 dev near && ip link set near up";
const FAR_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 254, 0, 2);

/// A host of its own. It is a namespace, kept by a process that waits for the end of its input.
pub(crate) struct FarHost {
    keeper: Child,
    /// Its end is that of the keeper.
    _input: ChildStdin,
}

/// Runs `body` in a network of its own, as another process of this binary; `test` is the full name of the test that
/// calls this. Where no such network can be made, says why.
pub(crate) fn in_own_network(test: &str, body: impl FnOnce(FarHost)) {
    if std::env::var_os(INSIDE).is_some() {
        return body(FarHost::attach());
    }
    let trial = Command::new(UNSHARE[0]).args(&UNSHARE[1..]).args(["sh", "-c", NEAR_SIDE]).output();
    match trial {
        Ok(trial) if trial.status.success() => {}
        Ok(trial) => {
            println!(
                "skipped: no network can be made here for a host to vanish from: {}",
                String::from_utf8_lossy(&trial.stderr)
            );
            return;
        }
        Err(error) => {
            println!("skipped: no network can be made here for a host to vanish from: unshare: {error}");
            return;
        }
    }
    let inside = Command::new(UNSHARE[0])
        .args(&UNSHARE[1..])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&inside.stdout);
    assert!(said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&inside.stderr));
}

impl FarHost {
    /// Makes the network of this process, and the host.
    fn attach() -> Self {
        run("sh", &["-c", NEAR_SIDE]);
        let mut keeper = Command::new("unshare")
            .args(["--net", "sh", "-c", "echo && read end"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // It has its namespace when it says something.
        keeper.stdout.take().unwrap().read_exact(&mut [0]).unwrap();
        let input = keeper.stdin.take().unwrap();
        let host = Self { keeper, _input: input };
        run("ip", &["link", "set", "far", "netns", &host.pid()]);
        host.ip(&["address", "add", &format!("{FAR_ADDRESS}/30"), "dev", "far"]);
        host.ip(&["link", "set", "far", "up"]);
        host
    }

    /// Does something on the host: sockets that are made there belong to it.
    pub(crate) fn on_it<T: Send>(&self, make: impl FnOnce(SocketAddr) -> T + Send) -> T {
        let namespace = File::open(format!("/proc/{}/ns/net", self.pid())).unwrap();
        let made = thread::scope(|scope| {
            let thread = scope.spawn(|| {
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
                make(SocketAddr::from((FAR_ADDRESS, 0)))
            });
            thread.join()
        });
        made.unwrap()
    }

    /// From now on what is sent to it is dropped, and it sends nothing.
    pub(crate) fn vanish(&self) {
        self.ip(&["address", "flush", "dev", "far"]);
    }

    fn ip(&self, arguments: &[&str]) {
        run("nsenter", &[&["--net", "--target", &self.pid(), "ip"], arguments].concat());
    }

    fn pid(&self) -> String {
        self.keeper.id().to_string()
    }
}

impl Drop for FarHost {
    fn drop(&mut self) {
        // Fails only if the process has ended, which is what is wanted.
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

#[track_caller]
fn run(program: &str, arguments: &[&str]) {
    let ended = Command::new(program).args(arguments).output().unwrap();
    assert!(ended.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&ended.stderr));
}
