//! The life of a local process that does nothing, from its start until nothing of it is left: what
//! its limits cost, and what it costs that others run beside it.

#![expect(clippy::disallowed_methods, reason = "a bench measures with the clock of the machine")]

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use clap::Parser;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use picofaas::internals::clock::Clock;
use picofaas::internals::config::ServeArgs;
use picofaas::internals::exit::Exit;
use picofaas::internals::instances::{
    Children, FinalOutput, Limits, LocalValues, Locale, Process, ProcessHost, RunningProcesses, StartOptions,
};
use picofaas::internals::logs::Lines;
use picofaas::internals::spec::{FunctionSpec, parse_function};
use tokio::runtime::{LocalOptions, LocalRuntime};

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    serve: ServeArgs,
}

fn host(limits: &str) -> Rc<ProcessHost> {
    let Flags { serve } = Flags::parse_from(["picofaas", "--local-limits", limits]);
    Rc::new(ProcessHost {
        clock: Clock::start(),
        program: Err("no function asks for it".to_owned()),
        max_body: serve.max_body,
        max_output: serve.max_output,
        locale: Locale::ours(),
        lines: Lines::to(|_| {}),
        limits: Limits::prepare(&serve).expect("limits"),
        children: Children::adopt().expect("a subreaper"),
        running: RunningProcesses::default(),
        builds: Rc::default(),
        values: LocalValues::default(),
        secrets: std::env::temp_dir().join("no-secrets"),
        final_output: RefCell::new(FinalOutput::default()),
    })
}

fn function(command: &str, limits: &str) -> FunctionSpec {
    let text = format!(
        r#"{{"name":"f","executionMode":"WARM","local":{{"command":[{command}]}},"resources":{{"limits":{{{limits}}}}}}}"#
    );
    parse_function(text.as_bytes()).expect("a function")
}

fn start(host: &Rc<ProcessHost>, spec: &FunctionSpec) -> Process {
    Process::start(spec, StartOptions::default(), host).expect("a process")
}

/// How long so many lives take, one after the other.
fn lives(runtime: &LocalRuntime, host: &Rc<ProcessHost>, spec: &FunctionSpec, count: u64) -> Duration {
    runtime.block_on(async {
        let begun = Instant::now();
        for _ in 0..count {
            let exit = start(host, spec).ended().await.expect("it can be waited for");
            assert_eq!(exit, Exit::Code(0));
        }
        begun.elapsed()
    })
}

fn life(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
        .expect("a runtime");
    let all = r#""memory":"64Mi","cpu":"1""#;
    let mut group = criterion.benchmark_group("life");
    for (id, means, limits, beside) in [
        ("limits=off", "off", "", 0),
        ("limits=rlimit", "rlimit", all, 0),
        ("limits=cgroup:pids", "auto", "", 0),
        ("limits=cgroup:pids,memory,cpu", "auto", all, 0),
        ("limits=off/beside=50", "off", "", 50),
        ("limits=cgroup:pids/beside=50", "auto", "", 50),
    ] {
        let host = host(means);
        let spec = function(r#""true""#, limits);
        let sleeper = function(r#""sleep","600""#, "");
        let others =
            runtime.block_on(async { (0..beside).map(|_| start(&host, &sleeper)).collect::<Vec<_>>() });
        group.bench_function(BenchmarkId::new("true", id), |b| {
            b.iter_custom(|count| lives(&runtime, &host, &spec, count));
        });
        runtime.block_on(async { drop(others) });
        runtime.block_on(host.close());
    }
}

criterion_group!(benches, life);
criterion_main!(benches);
