//! Which loads a run measures: those that the aims are about, one factor at a time, or a product of given values.

use anyhow::{Result, bail};
use serde::Serialize;

use super::load_point::{LoadPoint, OPEN_CONNECTIONS, Pace, Transport, Verb};
use super::program::FunctionRuntime;

/// Numbers of connections that aims are about.
const CONNECTIONS: [u32; 4] = [1, 8, 32, 128];

/// Where an earlier binary is compared and nothing else is asked for.
const AGAINST_CONNECTIONS: [u32; 2] = [1, 32];

/// Sizes of bodies beside the usual one.
const BODIES_BYTES: [u32; 2] = [10 << 10, 256 << 10];

/// Rates of the open loop, in percent of nginx's peak.
const OPEN_PERCENTS: [u32; 3] = [30, 60, 90];

/// Least bytes of a body with a text in it; and most, of which each runtime takes a little more.
const BODY_BYTES: std::ops::RangeInclusive<i64> = 16..=1_000_000;

#[derive(clap::Args, Serialize)]
pub(super) struct Factors {
    /// One factor varied at a time, beside the loads of a plain run; the results go to benches/results, too
    #[arg(long, conflicts_with_all = ["against", "connections", "bodies", "transports", "verbs", "runtimes", "open", "only"])]
    pub full: bool,
    /// Connections of wrk; with any factor given, the loads are all combinations, of one usual value of the others
    #[arg(long, value_name = "N,N", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=256))]
    connections: Vec<u32>,
    /// Bytes of a request's body
    #[arg(long, value_name = "N,N", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(BODY_BYTES))]
    bodies: Vec<u32>,
    /// Transport between the function and what is in front of it
    #[arg(long, value_enum, value_name = "NAME,NAME", value_delimiter = ',')]
    transports: Vec<Transport>,
    /// How picofaas is called
    #[arg(long, value_enum, value_name = "NAME,NAME", value_delimiter = ',')]
    verbs: Vec<Verb>,
    /// Runtime of the function
    #[arg(long, value_enum, value_name = "NAME,NAME", value_delimiter = ',')]
    runtimes: Vec<FunctionRuntime>,
    /// Rates of an open loop, in percent of nginx's peak, beside the closed loop's connections where those are given
    #[arg(long, value_name = "P,P", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=200))]
    open: Vec<u32>,
}

impl Factors {
    /// Loads of the run, each once.
    pub(super) fn points(&self, is_against: bool) -> Result<Vec<LoadPoint>> {
        if self.full {
            return Ok(full());
        }
        let is_given = !(self.connections.is_empty()
            && self.bodies.is_empty()
            && self.transports.is_empty()
            && self.verbs.is_empty()
            && self.runtimes.is_empty()
            && self.open.is_empty());
        if !is_given && !is_against {
            return Ok(aimed_at());
        }
        let points = self.product(is_against);
        if let Some(twice) = (1..points.len()).find(|&at| points[..at].contains(&points[at])) {
            bail!("{}: this load is asked for twice; name each value once", points[twice]);
        }
        Ok(points)
    }

    fn product(&self, is_against: bool) -> Vec<LoadPoint> {
        let usual = LoadPoint::USUAL;
        let connections = match &self.connections[..] {
            [] if !self.open.is_empty() => Vec::new(),
            [] if is_against => AGAINST_CONNECTIONS.to_vec(),
            [] => vec![usual.connections],
            given => given.to_vec(),
        };
        let paces: Vec<(Pace, u32)> = (connections.iter().map(|&count| (Pace::Closed, count)))
            .chain(self.open.iter().map(|&percent| (Pace::Open { percent }, OPEN_CONNECTIONS)))
            .collect();
        let mut points = Vec::new();
        for runtime in or_usual(&self.runtimes, usual.runtime) {
            for verb in or_usual(&self.verbs, usual.verb) {
                for transport in or_usual(&self.transports, usual.transport) {
                    for body_bytes in or_usual(&self.bodies, usual.body_bytes) {
                        for &(pace, connections) in &paces {
                            points.push(LoadPoint {
                                verb,
                                transport,
                                runtime,
                                pace,
                                connections,
                                body_bytes,
                            });
                        }
                    }
                }
            }
        }
        points
    }
}

fn or_usual<T: Copy>(given: &[T], usual: T) -> Vec<T> {
    if given.is_empty() { vec![usual] } else { given.to_vec() }
}

/// Loads that aims are about.
fn aimed_at() -> Vec<LoadPoint> {
    let usual = LoadPoint::USUAL;
    let mut points = Vec::new();
    for transport in [Transport::Tcp, Transport::Unix] {
        points.extend(CONNECTIONS.map(|connections| LoadPoint { transport, connections, ..usual }));
    }
    points.push(LoadPoint { body_bytes: BODIES_BYTES[0], ..usual });
    points.push(LoadPoint { verb: Verb::Enqueue, ..usual });
    points.extend(OPEN_PERCENTS.map(LoadPoint::open));
    points
}

/// The same, and each other value of one factor alone.
fn full() -> Vec<LoadPoint> {
    let usual = LoadPoint::USUAL;
    let mut points = aimed_at();
    points.extend(BODIES_BYTES.map(|body_bytes| LoadPoint { body_bytes, ..usual }));
    let runtimes = [FunctionRuntime::Python, FunctionRuntime::Java, FunctionRuntime::Watchdog];
    points.extend(runtimes.map(|runtime| LoadPoint { runtime, ..usual }));
    let mut each = Vec::new();
    for point in points {
        if !each.contains(&point) {
            each.push(point);
        }
    }
    each
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct FactorLine {
        #[command(flatten)]
        factors: Factors,
        #[arg(long)]
        against: bool,
        #[arg(long)]
        only: bool,
    }

    fn names(line: &[&str]) -> Vec<String> {
        let line = FactorLine::try_parse_from([&["bench"], line].concat()).unwrap();
        line.factors.points(line.against).unwrap().iter().map(LoadPoint::to_string).collect()
    }

    #[test]
    fn a_plain_run_has_the_loads_that_aims_are_about_and_a_full_one_those_and_more() {
        let plain = names(&[]);
        assert_eq!(plain.len(), 13);
        assert!(plain.contains(&"invoke, Unix, rust, 40 B, 128 connections".to_owned()), "{plain:?}");
        assert!(plain.contains(&"enqueue, TCP, rust, 40 B, 32 connections".to_owned()), "{plain:?}");
        let full = names(&["--full"]);
        assert!(plain.iter().all(|name| full.contains(name)), "{full:?}");
        assert!(full.contains(&"invoke, TCP, java, 40 B, 32 connections".to_owned()), "{full:?}");
        assert_eq!(full.len(), 17);
    }

    #[test]
    fn in_a_full_run_every_load_differs_from_the_usual_one_by_one_factor_but_for_the_connections_over_unix() {
        let usual = LoadPoint::USUAL;
        for point in full() {
            let differences = [
                point.verb != usual.verb,
                point.transport != usual.transport,
                point.runtime != usual.runtime,
                point.pace != usual.pace,
                point.is_closed() && point.connections != usual.connections,
                point.body_bytes != usual.body_bytes,
            ];
            let count = differences.iter().filter(|differs| **differs).count();
            assert!(count <= 1 + usize::from(point.transport == Transport::Unix), "{point}");
        }
    }

    #[test]
    fn given_factors_are_combined_and_the_others_are_the_usual_ones() {
        let line = ["--connections", "1,8", "--transports", "unix", "--open", "50"];
        assert_eq!(
            names(&line),
            [
                "invoke, Unix, rust, 40 B, 1 connection",
                "invoke, Unix, rust, 40 B, 8 connections",
                "invoke, Unix, rust, 40 B, open loop at 50 %",
            ]
        );
        assert_eq!(names(&["--open", "50"]), ["invoke, TCP, rust, 40 B, open loop at 50 %"]);
        assert_eq!(names(&["--bodies", "10240"]), ["invoke, TCP, rust, 10 KiB, 32 connections"]);
        let two = ["invoke, TCP, rust, 40 B, 1 connection", "invoke, TCP, rust, 40 B, 32 connections"];
        assert_eq!(names(&["--against"]), two);
    }

    #[test]
    fn a_load_that_is_measured_twice_is_refused_as_its_rounds_would_be_no_pairs() {
        let line = FactorLine::try_parse_from(["bench", "--connections", "1,32,1"]).unwrap();
        let error = line.factors.points(true).unwrap_err().to_string();
        assert!(error.contains("1 connection: this load is asked for twice"), "{error}");
    }
}
