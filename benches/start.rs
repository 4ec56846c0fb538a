//! The life of a local process that does nothing, from its start until nothing of it is left: what
//! its limits cost, and what it costs that others run beside it.

#![expect(clippy::disallowed_methods, reason = "a bench measures with the clock of the machine")]

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use picofaas::clock::Clock;
use picofaas::config::{ServeArgs, Settings};
use picofaas::exit::Exit;
use picofaas::instances::Context;
use picofaas::instances::local::children::Children;
use picofaas::instances::local::limits::Limits;
use picofaas::instances::local::process::{Process, StartOptions};
use picofaas::logs::output::{FinalOutput, Lines};
use picofaas::scheduler::command_sender::CommandSender;
use picofaas::scheduler::rings::{Capacity, Rings};
use picofaas::spec::{FunctionSpec, parse_function};
use tokio::runtime::{LocalOptions, LocalRuntime};

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    serve: ServeArgs,
}

fn context(limits: &str) -> Rc<Context> {
    let Flags { serve } = Flags::parse_from(["picofaas", "--local-limits", limits]);
    let rings = Rings::new(Capacity { gateways: 1, slots: 64, versions: 1 }).expect("rings");
    Rc::new(Context {
        cluster: None,
        commands: Rc::new(CommandSender::new(Arc::new(rings))),
        clock: Clock::start(),
        limits: Limits::prepare(&serve).expect("limits"),
        children: Children::adopt().expect("a subreaper"),
        settings: Arc::new(Settings::new(serve).expect("settings")),
        sockets: std::env::temp_dir(),
        runtime_url: String::new(),
        lines: Lines::to(|_| {}),
        final_output: RefCell::new(FinalOutput::default()),
        populated: Rc::default(),
    })
}

fn function(command: &str, limits: &str) -> FunctionSpec {
    let text = format!(
        r#"{{"name":"f","executionMode":"WARM","local":{{"command":[{command}]}},"resources":{{"limits":{{{limits}}}}}}}"#
    );
    parse_function(text.as_bytes()).expect("a function")
}

fn start(context: &Rc<Context>, spec: &FunctionSpec) -> Process {
    Process::start(spec, StartOptions::default(), context, context.lines.clone()).expect("a process")
}

/// How long so many lives take, one after the other.
fn lives(runtime: &LocalRuntime, context: &Rc<Context>, spec: &FunctionSpec, count: u64) -> Duration {
    runtime.block_on(async {
        let begun = Instant::now();
        for _ in 0..count {
            let exit = start(context, spec).ended().await.expect("it can be waited for");
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
        let context = context(means);
        let spec = function(r#""true""#, limits);
        let sleeper = function(r#""sleep","600""#, "");
        let others =
            runtime.block_on(async { (0..beside).map(|_| start(&context, &sleeper)).collect::<Vec<_>>() });
        group.bench_function(BenchmarkId::new("true", id), |b| {
            b.iter_custom(|count| lives(&runtime, &context, &spec, count));
        });
        runtime.block_on(async { drop(others) });
        runtime.block_on(context.close());
    }
}

criterion_group!(benches, life);
criterion_main!(benches);
