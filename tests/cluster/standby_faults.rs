//! `standby` of a `JOB` where its image is gone, beside a container that never ends, and over the crash of a control
//! plane that has many.

use std::collections::BTreeSet;
use std::process::Command;

use rustix::process::Signal;

use crate::sidecars::Injection;
use crate::stage::{IMAGE, Stage};
use crate::standby::{condition, is_waiting, name_of, standby, until_read, until_ready, waiting};
use crate::support::client::Client;
use crate::support::patience::{Stopwatch, eventually};
use crate::support::specification::With;

/// Another name of the image of the test function on the only node, which is this machine; gone when this is dropped.
struct OtherName {
    name: String,
}

impl OtherName {
    /// `None`, with the reason printed, where the node is not this machine.
    fn new(tag: &str) -> Option<Self> {
        if std::env::var_os("CONTAINERD_ADDRESS").is_none() {
            println!(
                "skipped: CONTAINERD_ADDRESS is not set: `cargo xtask cluster run` sets it where the cluster is ours"
            );
            return None;
        }
        let other = Self { name: format!("picofaas.invalid/{tag}:{}", std::process::id()) };
        other.give();
        Some(other)
    }

    fn give(&self) {
        images(&["tag", IMAGE, &self.name]);
    }

    fn take(&self) {
        images(&["rm", "--sync", &self.name]);
    }
}

impl Drop for OtherName {
    fn drop(&mut self) {
        // It may be taken.
        let _ = command(&["rm", &self.name]).output();
    }
}

fn images(arguments: &[&str]) {
    let output = command(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new("ctr");
    command.args(["--namespace", "k8s.io", "images"]).args(arguments);
    command
}

#[test]
fn a_reserve_whose_image_is_gone_serves_what_is_ready_and_is_filled_again_when_it_is_back() {
    let Some(image) = OtherName::new("gone") else { return };
    let stage = Stage::new("standby-image");
    let server = stage.server(&[]);
    server.register(&standby("pulled", "identity", 2, 2).with("image", &*image.name));
    until_ready(&server, "pulled", 2);
    image.take();
    let first = server.invoke("pulled", 1);
    assert_eq!((first.status, first.header("x-standby")), (200, Some("true")), "{first:?}");
    // The refill fails, and the other one is there all the same.
    let told = condition(&server, "pulled", "StandbyFailed");
    assert!(told["message"].as_str().unwrap().contains(&image.name), "{told}");
    assert_eq!(server.function("pulled")["status"]["standby"]["ready"], 1);
    let second = server.invoke("pulled", 2);
    assert_eq!((second.status, second.header("x-standby")), (200, Some("true")), "{second:?}");
    let watch = Stopwatch::start();
    let third = server.invoke("pulled", 3);
    third.assert_error(500, "IMAGE_UNAVAILABLE", "function", &[&image.name]);
    let failed = watch.elapsed();
    image.give();
    let watch = Stopwatch::start();
    until_ready(&server, "pulled", 2);
    println!(
        "fault: the image of a reserve is gone | what was ready served, a call without failed after {failed:.1?}, and the reserve was full {:.1?} after the image was back",
        watch.elapsed()
    );
    condition(&server, "pulled", "ReserveReady");
    let answer = server.invoke("pulled", 4);
    assert_eq!((answer.status, answer.header("x-standby")), (200, Some("true")), "{answer:?}");
}

#[test]
fn an_execution_beside_a_container_that_never_ends_gives_its_permit_back_and_its_job_goes() {
    let stage = Stage::new("standby-sidecar");
    let _injection = Injection::new(&stage, "echo");
    let server = stage.server(&[]);
    server.register(&standby("beside", "identity", 1, 1).with("concurrency", 1));
    for nth in 0..3 {
        until_ready(&server, "beside", 1);
        let watch = Stopwatch::start();
        let answer = server.invoke("beside", nth);
        assert_eq!((answer.status, answer.header("x-standby")), (200, Some("true")), "{answer:?}");
        server.until_status("beside", "inFlight", 0);
        println!(
            "fault: a container beside a standby's never ends | its permit was free after {:.1?}",
            watch.elapsed()
        );
    }
    until_ready(&server, "beside", 1);
    stage.until("the Jobs of those that were used are gone", "jobs", |jobs| {
        jobs.len() == 1 && is_waiting(&&jobs[0])
    });
    assert_eq!(server.client().delete("/v1/functions/beside").status, 204);
    stage.until("nothing runs on for nobody", "pods", <[_]>::is_empty);
}

#[test]
fn twenty_instances_are_taken_over_after_a_crash_whether_they_were_ready_or_started() {
    const COUNT: u64 = 20;
    let stage = Stage::new("standby-many");
    let server = stage.server(&[]);
    server.register(&standby("many", "identity", 20, 20).with("concurrency", 20));
    // Some are ready, and some start.
    eventually("the reserve is half full", || {
        (server.function("many")["status"]["standby"]["ready"].as_u64().unwrap() >= COUNT / 2).then_some(())
    });
    server.signal(Signal::KILL);
    server.end();
    let before = waiting(&stage);
    let server = stage.server(&[]);
    until_read(&server, "many");
    let watch = Stopwatch::start();
    let answer = server.invoke("many", 1);
    let first = watch.elapsed();
    // It may have waited for one that was being taken over.
    assert_eq!((answer.status, answer.header("x-attempts")), (200, Some("1")), "{answer:?}");
    eventually("the reserve is full", || {
        let standby = server.function("many")["status"]["standby"].clone();
        let counted = standby["ready"].as_u64().unwrap() + standby["starting"].as_u64().unwrap();
        assert!(counted <= COUNT, "an instance was counted twice: {standby}");
        (standby["ready"] == COUNT).then_some(())
    });
    let full = watch.elapsed();
    let after = stage.until("the reserve alone is left", "jobs", |jobs| {
        jobs.iter().filter(is_waiting).count() as u64 == COUNT
    });
    let after: BTreeSet<String> =
        after.iter().filter(is_waiting).map(|job| name_of(job).to_owned()).collect();
    println!(
        "fault: control plane killed with a reserve of {COUNT}, {} of them made | a call was served {first:.1?} after the functions were read, the reserve was full after {full:.1?}, {} were taken over",
        before.len(),
        before.intersection(&after).count()
    );
    // Each is there once: as many calls find one at once.
    let mut clients: Vec<Client> = (0..COUNT).map(|_| server.client()).collect();
    for client in &mut clients {
        client.ask_invoke("many", "", 1);
    }
    let answers: Vec<_> = clients.iter_mut().map(Client::receive).collect();
    for answer in &answers {
        assert_eq!((answer.status, answer.header("x-attempts")), (200, Some("1")), "{answer:?}");
    }
    let found = answers.iter().filter(|answer| answer.header("x-standby").is_some()).count() as u64;
    assert_eq!(found, COUNT, "an instance that was counted was not there");
    let ids: BTreeSet<&str> = answers.iter().map(|answer| answer.header("x-execution-id").unwrap()).collect();
    stage.until("each execution has a Job of its own", "jobs", |jobs| {
        let executions =
            jobs.iter().filter_map(|job| job["metadata"]["labels"]["picofaas.dev/execution-id"].as_str());
        executions.filter(|id| ids.contains(id)).count() == ids.len()
    });
    assert_eq!(server.client().delete("/v1/functions/many").status, 204);
    stage.until("nothing of it waits any more", "jobs", |jobs| !jobs.iter().any(|job| is_waiting(&job)));
}
