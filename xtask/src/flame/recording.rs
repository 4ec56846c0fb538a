//! The stacks of a running process, recorded by perf, folded and drawn by the programs of inferno.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use crate::bench::cpu;
use crate::process::Process;
use crate::toolbox;

/// Bytes of a stack that are copied for each sample: a larger one is cut at the root.
const STACK_BYTES: u32 = 16_384;

/// Room for samples of each CPU that perf has not read yet. Without rights it may not have so much.
const BUFFER: &str = "16M";

/// Largest drawing that is kept, in bytes.
const DRAWING_BYTES_MAX: usize = 400_000;

/// Narrowest frames that are drawn, in percent of the width: tried one after the other until the drawing is small
/// enough.
const WIDTHS_PERCENT_MIN: [&str; 4] = ["0.1", "0.2", "0.5", "1"];

/// The event by which perf takes a sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SampledEvent {
    /// As perf takes it.
    name: String,
    pub has_kernel: bool,
}

impl SampledEvent {
    /// The processor's own counter of cycles where it has one, which virtual machines often do not; else the
    /// timer of the kernel. Without the right to see the kernel, user space alone.
    pub(super) fn find() -> Result<Self> {
        let output = Command::new("perf")
            .args(["stat", "-x,", "-e", "cycles:u", "--", "true"])
            .output()
            .context("cannot run perf")?;
        ensure!(output.status.success(), "perf stat: {}", String::from_utf8_lossy(&output.stderr).trim());
        let paranoid = fs::read_to_string("/proc/sys/kernel/perf_event_paranoid")
            .context("cannot read /proc/sys/kernel/perf_event_paranoid")?;
        let has_kernel = toolbox::is_root() || paranoid.trim().parse::<i32>().is_ok_and(|level| level < 2);
        Ok(Self::of(&String::from_utf8_lossy(&output.stderr), has_kernel))
    }

    fn of(stat: &str, has_kernel: bool) -> Self {
        let counts = |line: &str| line.split(',').next().is_some_and(|count| count.parse::<u64>().is_ok());
        let clock = if stat.lines().any(counts) { "cycles" } else { "cpu-clock" };
        Self { name: format!("{clock}{}", if has_kernel { "" } else { ":u" }), has_kernel }
    }

    /// The sum of weights of samples, in words.
    pub(super) fn amount(&self, whole: u64) -> String {
        if self.is_timer() { format!("{:.1} s", whole as f64 / 1e9) } else { format!("{whole} cycles") }
    }

    /// The unit of a sample's weight.
    pub(super) fn unit(&self) -> &'static str {
        if self.is_timer() { "ns" } else { "cycles" }
    }

    fn is_timer(&self) -> bool {
        self.name.starts_with("cpu-clock")
    }

    /// A sentence for the page.
    pub(super) fn describe(&self, frequency_hz: u32) -> String {
        let Self { name, has_kernel } = self;
        let timer = if self.is_timer() {
            ", a timer, as the machine lets no counter of cycles be read: what the kernel does with interrupts off is charged to where it switches them on"
        } else {
            ""
        };
        let kernel = if *has_kernel { "" } else { "; **user space alone**, for want of rights" };
        format!(
            "`{name}` at {frequency_hz} Hz of CPU time{timer}{kernel}. Stacks are unwound by DWARF; inlined functions count for what they are inlined into"
        )
    }
}

/// The programs of inferno.
pub(super) struct Drawer {
    folder: PathBuf,
}

impl Drawer {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    fn program(&self, name: &str) -> Command {
        Command::new(self.folder.join(name))
    }
}

/// A recording that goes on.
pub(super) struct Recording {
    perf: Process,
    data: PathBuf,
    log: PathBuf,
}

impl Recording {
    /// Begins to record a process, for so many seconds.
    pub(super) fn start(
        folder: &Path,
        process: u32,
        event: &SampledEvent,
        frequency_hz: u32,
        seconds: u32,
    ) -> Result<Self> {
        let (data, log) = (folder.join("perf.data"), folder.join("perf.log"));
        let output = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = Command::new("perf");
        command
            .args(["record", "--event", &event.name, "--freq", &frequency_hz.to_string()])
            .args(if toolbox::is_root() { &["--mmap-pages", BUFFER][..] } else { &[] })
            .args(["--call-graph", &format!("dwarf,{STACK_BYTES}"), "--pid", &process.to_string()])
            .arg("--output")
            .arg(&data)
            .args(["--", "sleep", &seconds.to_string()])
            .stdout(output.try_clone()?)
            .stderr(output);
        Ok(Self { perf: Process::start("perf", &mut command)?, data, log })
    }

    /// CPU time that recording has taken until now, in nanoseconds.
    pub(super) fn cpu_ns(&self) -> Result<u64> {
        cpu::whole_process_ns(self.perf.id())
    }

    /// Waits for its end; the folded stacks, and the words of perf about samples that it lost.
    pub(super) fn fold(self, drawer: &Drawer, folder: &Path) -> Result<(String, Option<String>)> {
        let status = self.perf.wait()?;
        let said = fs::read_to_string(&self.log).unwrap_or_default();
        ensure!(status.success(), "perf record ended with {status}: {}", said.trim());
        let lost = said.lines().find(|line| line.contains("lost")).map(|line| line.trim().to_owned());
        let mut script = Command::new("perf");
        script.args(["script", "--no-inline", "--input"]).arg(&self.data);
        let stacks = folder.join("stacks.txt");
        write_output(&mut script, &stacks)?;
        let mut collapse = drawer.program("inferno-collapse-perf");
        let folded = folder.join("stacks.folded");
        write_output(collapse.args(["--kernel", "--quiet"]).arg(&stacks), &folded)?;
        let stacks =
            fs::read_to_string(&folded).with_context(|| format!("cannot read {}", folded.display()))?;
        Ok((stacks, lost))
    }
}

/// Runs a program whose output goes into a file.
fn write_output(command: &mut Command, file: &Path) -> Result<()> {
    let output = File::create(file).with_context(|| format!("cannot write {}", file.display()))?;
    let program = command.get_program().to_string_lossy().into_owned();
    let run = command.stdin(Stdio::null()).stdout(output).stderr(Stdio::piped()).output();
    let run = run.with_context(|| format!("cannot run {program}"))?;
    ensure!(
        run.status.success(),
        "{program} ended with {}: {}",
        run.status,
        String::from_utf8_lossy(&run.stderr).trim()
    );
    Ok(())
}

/// Draws folded stacks: with the script by which a browser zooms and searches, into `folder`; and without, as text.
pub(super) fn draw(drawer: &Drawer, folder: &Path, folded: &str, [title, unit]: [&str; 2]) -> Result<String> {
    for width in WIDTHS_PERCENT_MIN {
        let mut command = drawer.program("inferno-flamegraph");
        command.args(["--deterministic", "--quiet", "--colors", "rust", "--title", title]);
        command.args(["--countname", unit, "--minwidth", width]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("cannot run inferno-flamegraph")?;
        // It reads all before it writes anything.
        child.stdin.take().context("no pipe to inferno-flamegraph")?.write_all(folded.as_bytes())?;
        let output = child.wait_with_output().context("cannot wait for inferno-flamegraph")?;
        ensure!(output.status.success(), "inferno-flamegraph ended with {}", output.status);
        let drawing = String::from_utf8(output.stdout).context("the drawing is no text")?;
        let zoomed = folder.join("flame.svg");
        fs::write(&zoomed, &drawing).with_context(|| format!("cannot write {}", zoomed.display()))?;
        let still = still(&drawing)?;
        if still.len() <= DRAWING_BYTES_MAX {
            return Ok(still);
        }
    }
    bail!("the drawing has more than {DRAWING_BYTES_MAX} bytes even without all frames of less than 1 %")
}

/// A drawing without its script, which is a program of somebody else's, and what works only with it.
fn still(drawing: &str) -> Result<String> {
    let mut still = drawing.replacen(" onload=\"init(evt)\"", "", 1);
    for (from, to) in
        [("<script", "</script>"), ("<text id=\"unzoom\"", "</text>"), ("<text id=\"search\"", "</text>")]
    {
        let begin = still.find(from).with_context(|| format!("the drawing has no {from}"))?;
        let end = still[begin..].find(to).with_context(|| format!("the drawing has no {to}"))?;
        still.replace_range(begin..begin + end + to.len(), "");
    }
    if !still.ends_with('\n') {
        still.push('\n');
    }
    Ok(still)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cycles_are_taken_where_they_are_counted_and_the_timer_elsewhere() {
        let counted = "612345,,cycles:u,1024512,100.00,,\n";
        let missing = "<not supported>,,cycles:u,0,100.00,,\n";
        for (stat, has_kernel, expected) in [
            (counted, true, "cycles"),
            (counted, false, "cycles:u"),
            (missing, true, "cpu-clock"),
            (missing, false, "cpu-clock:u"),
            ("", true, "cpu-clock"),
        ] {
            assert_eq!(SampledEvent::of(stat, has_kernel).name, expected, "{stat}");
        }
    }

    #[test]
    fn a_still_drawing_has_all_but_the_script_and_its_buttons() {
        let drawing = "<svg onload=\"init(evt)\"><script type=\"a\"><![CDATA[x]]></script>\
            <text id=\"title\">T</text><text id=\"unzoom\">Reset</text><text id=\"search\">Search</text><g/></svg>";
        assert_eq!(still(drawing).unwrap(), "<svg><text id=\"title\">T</text><g/></svg>\n");
        assert!(still("<svg/>").is_err());
    }
}
