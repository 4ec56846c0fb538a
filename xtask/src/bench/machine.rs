//! The machine a bench ran on.

use std::fmt;
use std::fs;
use std::process::Command;
use std::thread;

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::repository::first_line;

/// Runnable threads, averaged over the last minute, from which on the machine counts as busy.
const LOAD_AVERAGE_MAX: f64 = 0.5;

#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    /// Usable ones: those we may run on, within the cgroup's quota.
    pub cores: usize,
    pub cpu_model: String,
    pub kernel: String,
    /// The versions of the programs that a bench uses.
    pub tools: Vec<String>,
    /// Of the last minute, read before the bench did anything.
    pub load_average: f64,
}

impl Machine {
    /// With the versions of these programs, each with the flag that prints it.
    pub(crate) fn read(tools: &[(&str, &str)]) -> Result<Self> {
        let version = |&(program, flag): &(&str, &str)| first_line(Command::new(program).arg(flag));
        let read = |file: &str| fs::read_to_string(file).with_context(|| format!("cannot read {file}"));
        let loads = read("/proc/loadavg")?;
        let load_average = loads.split(' ').next().and_then(|first| first.parse().ok());
        Ok(Self {
            cores: thread::available_parallelism().context("cannot count the cores")?.get(),
            cpu_model: cpu_model(&read("/proc/cpuinfo")?),
            kernel: read("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            tools: tools.iter().map(version).collect::<Result<_>>()?,
            load_average: load_average.with_context(|| format!("/proc/loadavg is {loads:?}"))?,
        })
    }

    pub(crate) fn warn_when_busy(&self) {
        if self.load_average > LOAD_AVERAGE_MAX {
            println!(
                "warning: the load average is {}: others use this machine, results will vary",
                self.load_average
            );
        }
    }
}

/// Arm's `cpuinfo` names no model.
fn cpu_model(cpuinfo: &str) -> String {
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    model.map_or("unnamed CPU", |(_, model)| model.trim()).to_owned()
}

impl fmt::Display for Machine {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cores, cpu_model, kernel, tools, load_average } = self;
        write!(out, "machine: {cores} cores, {cpu_model}, Linux {kernel}, load average {load_average}")?;
        if tools.is_empty() { Ok(()) } else { write!(out, "\ntools: {}", tools.join("; ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_found_where_there_is_one() {
        assert_eq!(cpu_model("processor\t: 0\nmodel name\t: Some CPU @ 3 GHz\n"), "Some CPU @ 3 GHz");
        assert_eq!(cpu_model("processor\t: 0\nBogoMIPS\t: 50\n"), "unnamed CPU");
    }
}
