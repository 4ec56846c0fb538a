//! Idle states of CPUs, and what sets their frequencies.

use serde_json::json;

use super::finding::{Complaint, Finding};
use super::kernel_files::KernelFiles;

const WHY: &str = "A CPU that sleeps deeply or runs slowly takes its time before it serves the next request.";

/// A state that takes longer to leave is felt in the latency of an invocation (µs).
const EXIT_LATENCY_US_MAX: u64 = 20;
/// Drivers whose `powersave` is no slow frequency but lets the processor choose.
const CHOOSING_DRIVERS: [&str; 2] = ["intel_pstate", "amd-pstate-epp"];

/// An idle state.
struct IdleState {
    name: String,
    latency_us: u64,
    is_enabled: bool,
}

/// Looks at one CPU; all of a machine are set alike but for what an administrator has done.
pub(super) fn examine(files: &KernelFiles, cpu: usize) -> Finding {
    let folder = format!("/sys/devices/system/cpu/cpu{cpu}");
    let driver = files.text("/sys/devices/system/cpu/cpuidle/current_driver");
    let states = states(files, &folder);
    let governor = files.text(format!("{folder}/cpufreq/scaling_governor"));
    let scaling = files.text(format!("{folder}/cpufreq/scaling_driver"));
    let mut seen =
        driver.clone().map_or_else(|| "driver not told".to_owned(), |driver| format!("driver {driver}"));
    seen += &match states.as_slice() {
        [] => ", no states told".to_owned(),
        states => {
            let listed = states.iter().map(|state| {
                let disabled = if state.is_enabled { "" } else { " disabled" };
                format!("{} {} µs{disabled}", state.name, state.latency_us)
            });
            format!(": {}", listed.collect::<Vec<_>>().join(", "))
        }
    };
    seen += &match &governor {
        Some(governor) => format!("; frequency by {governor}"),
        None => "; frequency not told (a virtual machine has none)".to_owned(),
    };
    let data = json!({
        "cpu": cpu, "driver": driver, "governor": governor, "scalingDriver": scaling,
        "states": states.iter().map(|state| json!({
            "name": state.name, "latencyUs": state.latency_us, "enabled": state.is_enabled,
        })).collect::<Vec<_>>(),
    });
    let mut complaints = Vec::new();
    let slow: Vec<&str> = states
        .iter()
        .filter(|state| state.is_enabled && state.latency_us > EXIT_LATENCY_US_MAX)
        .map(|state| state.name.as_str())
        .collect();
    if !slow.is_empty() {
        complaints.push(Complaint::warning(format!(
            "Disable the states that take more than {EXIT_LATENCY_US_MAX} µs to leave ({}): cpupower idle-set --disable-by-latency {EXIT_LATENCY_US_MAX}, a tuned profile such as latency-performance, or a hold on /dev/cpu_dma_latency.",
            slow.join(", ")
        )));
    }
    if let Some(governor) = &governor
        && governor != "performance"
        && !(governor == "powersave" && scaling.is_some_and(|it| CHOOSING_DRIVERS.contains(&it.as_str())))
    {
        complaints
            .push(Complaint::warning("Set the governor: cpupower frequency-set --governor performance."));
    }
    Finding::new("idle-states", WHY, seen, data).with(complaints)
}

fn states(files: &KernelFiles, cpu: &str) -> Vec<IdleState> {
    let folder = format!("{cpu}/cpuidle");
    let names = files.names(&folder).into_iter().filter(|name| name.starts_with("state"));
    let states = names.filter_map(|state| {
        let file = |name: &str| format!("{folder}/{state}/{name}");
        Some(IdleState {
            name: files.text(file("name"))?,
            latency_us: files.number(file("latency"))?,
            is_enabled: files.number(file("disable")) == Some(0),
        })
    });
    states.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Verdict;
    use crate::doctor::kernel_files::tests::machine;

    fn with(disabled: &str, governor: &str, driver: &str) -> Finding {
        let cpu = "/sys/devices/system/cpu/cpu1";
        let file = |name: &str| format!("{cpu}/{name}");
        let files = [
            ("/sys/devices/system/cpu/cpuidle/current_driver".to_owned(), "intel_idle\n"),
            (file("cpuidle/state0/name"), "POLL\n"),
            (file("cpuidle/state0/latency"), "0\n"),
            (file("cpuidle/state0/disable"), "0\n"),
            (file("cpuidle/state1/name"), "C6\n"),
            (file("cpuidle/state1/latency"), "133\n"),
            (file("cpuidle/state1/disable"), disabled),
            (file("cpufreq/scaling_governor"), governor),
            (file("cpufreq/scaling_driver"), driver),
        ];
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), *text)).collect();
        let (files, _root) = machine(&files);
        examine(&files, 1)
    }

    #[test]
    fn a_deep_state_that_is_enabled_is_a_warning_that_names_it() {
        let deep = with("0\n", "performance\n", "acpi-cpufreq\n");
        assert_eq!(deep.verdict, Verdict::Warning);
        assert!(deep.advice.unwrap().contains("(C6)"));
        assert_eq!(deep.seen, "driver intel_idle: POLL 0 µs, C6 133 µs; frequency by performance");
        let disabled = with("1\n", "performance\n", "acpi-cpufreq\n");
        assert_eq!(disabled.verdict, Verdict::Ok);
        assert!(disabled.seen.contains("C6 133 µs disabled"), "{}", disabled.seen);
        assert_eq!(disabled.data["states"][1], json!({ "name": "C6", "latencyUs": 133, "enabled": false }));
    }

    #[test]
    fn a_governor_that_saves_power_is_a_warning_unless_the_processor_chooses() {
        assert_eq!(with("1", "powersave\n", "acpi-cpufreq\n").verdict, Verdict::Warning);
        assert_eq!(with("1", "schedutil\n", "intel_pstate\n").verdict, Verdict::Warning);
        assert_eq!(with("1", "powersave\n", "intel_pstate\n").verdict, Verdict::Ok);
        let (files, _root) = machine(&[]);
        let hidden = examine(&files, 0);
        assert_eq!((hidden.verdict, &hidden.data["states"]), (Verdict::Ok, &json!([])));
    }
}
