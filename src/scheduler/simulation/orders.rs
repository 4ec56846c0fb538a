//! Orders of a line beside each other, with and without the gate, under arrivals of several shapes.
//!
//! The scheduler and its gate are the real ones, and so are the lines; the oracle is a model. What the test prints with
//! `PICOFAAS_TABLE=1 cargo test -p picofaas --lib orders -- --nocapture` is the table of `docs/elasticity.md`.

use super::dice::Dice;
use super::overload::{Fate, LIMITS, ModelCall, S, World};
use crate::clock::{NANOS_PER_MS as MS, Nanos};
use crate::queue_order::QueueOrder;
use crate::scheduler::scheduled_version::VersionLimits;

/// Calls that can be done in a second: 8 at once, of 5.3 ms on average.
const CAPACITY: u64 = 1_509;
const ORDERS: [QueueOrder; 3] = [QueueOrder::Fifo, QueueOrder::Lifo, QueueOrder::Deadline];
/// Time over which calls come.
const LASTS: Nanos = 2 * S;

/// Result of a run.
#[derive(Clone, Copy)]
struct Figures {
    /// Calls answered in time, of those that came.
    good: f64,
    /// Median of the time that these took (ms).
    p50_ms: u64,
}

impl Figures {
    fn new(mut took: Vec<Nanos>, came: usize) -> Self {
        took.sort_unstable();
        let p50_ms = took.get(took.len() / 2).copied().unwrap_or(0) / MS;
        Self { good: took.len() as f64 / came as f64, p50_ms }
    }

    fn of(queue_order: QueueOrder, drop_unreachable: bool, calls: &[ModelCall]) -> Self {
        let fates = World::run(VersionLimits { queue_order, drop_unreachable, ..LIMITS }, calls);
        let took = calls.iter().zip(fates).filter_map(|(call, fate)| match fate {
            Fate::Answered { at } => Some(at - call.at),
            Fate::Refused | Fate::Dropped | Fate::TimedOut => None,
        });
        Self::new(took.collect(), calls.len())
    }

    /// Of who knows how long each will take: next is, of those that can end in time, the shortest, or the one that is
    /// due first, whichever answers more.
    fn of_oracle(calls: &[ModelCall]) -> Self {
        let shortest = Self::of_clairvoyant(calls, |call| call.takes);
        let due_first = Self::of_clairvoyant(calls, |call| call.at + call.time);
        if shortest.good >= due_first.good { shortest } else { due_first }
    }

    fn of_clairvoyant(calls: &[ModelCall], rank: impl Fn(&ModelCall) -> Nanos) -> Self {
        let mut places = [0; LIMITS.concurrency as usize];
        let (mut waiting, mut next, mut took) = (Vec::<ModelCall>::new(), 0, Vec::new());
        while next < calls.len() || !waiting.is_empty() {
            let place = places.iter_mut().min().expect("a place");
            if waiting.is_empty() {
                *place = (*place).max(calls[next].at);
            }
            while let Some(call) = calls.get(next).filter(|call| call.at <= *place) {
                waiting.push(*call);
                next += 1;
            }
            waiting.retain(|call| (*place).max(call.at) + call.takes <= call.at + call.time);
            let first = (0..waiting.len()).min_by_key(|at| (rank(&waiting[*at]), waiting[*at].at));
            if let Some(at) = first {
                let call = waiting.swap_remove(at);
                *place = (*place).max(call.at) + call.takes;
                took.push(*place - call.at);
            }
        }
        Self::new(took, calls.len())
    }
}

/// Times at which calls come, so many a second on average.
fn arrivals(shape: &str, dice: &mut Dice, per_second: u64) -> Vec<Nanos> {
    // The rate at a time, in parts of the average.
    let rate = |at: Nanos| -> f64 {
        let part = at as f64 / LASTS as f64;
        match shape {
            "bursts" => {
                if at % (S / 2) < S / 10 {
                    4.0
                } else {
                    0.25
                }
            }
            "ramp" => 2.0 * part,
            "day" => 1.0 - (part * std::f64::consts::TAU).cos(),
            _ => 1.0,
        }
    };
    let mut arrivals = Vec::new();
    let (mut at, mut owed) = (0, 0.0);
    let mut wanted = 1.0;
    while at < LASTS {
        owed += rate(at) * per_second as f64 / 1e5;
        while owed >= wanted {
            owed -= wanted;
            arrivals.push(S + at);
            if shape != "constant" {
                wanted = -((dice.below(1 << 30) + 1) as f64 / (1_u64 << 30) as f64).ln();
            }
        }
        at += S / 100_000;
    }
    arrivals
}

/// 4 ms to 6 ms, and one in fifty 20 ms: 5.3 ms on average.
fn takes(dice: &mut Dice) -> Nanos {
    if dice.one_in(50) { 20 * MS } else { 4 * MS + dice.below(2 * MS) }
}

#[test]
fn by_deadline_with_the_gate_no_order_answers_more() {
    let is_table = std::env::var_os("PICOFAAS_TABLE").is_some();
    let loads: &[u64] = if is_table { &[75, 150, 200, 400] } else { &[75, 200] };
    println!(
        "| arrivals | load | deadlines | FIFO | LIFO | DEADLINE | FIFO, drop | LIFO, drop | DEADLINE, drop | oracle |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    let times: [(&str, &[u64]); 2] = [("100 ms", &[100]), ("50, 100, 200 ms, 1 s", &[50, 100, 200, 1000])];
    let mut sums = [0.0; 7];
    for shape in ["constant", "Poisson", "bursts", "ramp", "day"] {
        for &load in loads {
            for (deadlines, choices) in times {
                let mut dice = Dice::new(load);
                let calls: Vec<ModelCall> = arrivals(shape, &mut dice, CAPACITY * load / 100)
                    .into_iter()
                    .map(|at| ModelCall { at, takes: takes(&mut dice), time: dice.of(choices) * MS })
                    .collect();
                let mut figures = Vec::new();
                for drops in [false, true] {
                    figures.extend(ORDERS.map(|order| Figures::of(order, drops, &calls)));
                }
                figures.push(Figures::of_oracle(&calls));
                let [.., first, last, by_deadline, oracle] = figures[..] else {
                    unreachable!("seven figures")
                };
                let what = format!("{shape}, {load}, {deadlines}");
                assert!(by_deadline.good >= first.good - 0.01, "{what}: by deadline fewer than the first");
                assert!(by_deadline.good >= last.good - 0.01, "{what}: by deadline fewer than the last");
                assert!(oracle.good >= by_deadline.good - 0.02, "{what}: the oracle is none");
                let cells: Vec<String> = figures
                    .iter()
                    .map(|one| format!("{:.0} %, {} ms", one.good * 100.0, one.p50_ms))
                    .collect();
                println!("| {shape} | {:.2} | {deadlines} | {} |", load as f64 / 100.0, cells.join(" | "));
                sums.iter_mut().zip(&figures).for_each(|(sum, one)| *sum += one.good);
            }
        }
    }
    println!("{:?}", sums.map(|sum| (sum * 1000.0 / (loads.len() * 10) as f64).round() / 10.0));
    let [first, last, by_deadline, first_drops, last_drops, by_deadline_drops, _] = sums;
    assert!(
        by_deadline_drops > 1.05 * first_drops.max(last_drops),
        "with drops another order is as good: {sums:?}"
    );
    assert!(by_deadline < first && first < last, "what is said of orders without drops: {sums:?}");
}
