//! Limits of local functions, and the means by which the kernel enforces them.

use std::fmt::Write as _;
use std::fs;
use std::io;

use picofaas_child::cgroup::{Hierarchy, hierarchies};
use picofaas_child::{Confinement, ResourceLimit};
use rustix::process::Resource;

use super::cgroup::folder::Folder;
use super::cgroup::root::{Leftovers, Root};
use super::cgroup::{CgroupLimits, CgroupVersion, Controller};
use super::rlimit::threads_of_user;
use crate::config::{LocalLimits, ServeArgs};
use crate::exit::Exit;
use crate::spec::FunctionSpec;

/// Amount added to our own `oom_score_adj` for a function: where the whole machine runs out of
/// memory, it is to go before us.
const OOM_SCORE_MORE: i32 = 500;
/// The largest there is.
const OOM_SCORE_MAX: i32 = 1000;

/// The limits in force.
#[derive(Debug)]
pub struct Limits {
    roots: Vec<Root>,
    /// For every process, whatever its function.
    bounds: Vec<ResourceLimit>,
    /// Memory is bounded by `RLIMIT_DATA`.
    memory_by_rlimit: bool,
    pids_max: u64,
    /// `None` without limits.
    oom_score: Option<String>,
    /// The means of each limit, for the start-up log.
    summary: String,
}

/// The cgroups of one instance, while it runs.
#[derive(Debug)]
pub struct CgroupGuard {
    /// Each with the index of its root.
    folders: Vec<(usize, Folder)>,
    memory_bytes: Option<u64>,
}

impl Limits {
    /// Finds out what can be bounded here and prepares it. The groups that dead processes left are cleared.
    ///
    /// # Errors
    /// A sentence with the remedy, where `--local-limits cgroup` cannot be had.
    pub fn prepare(flags: &ServeArgs) -> Result<Self, String> {
        Self::open(flags, Leftovers::Clear)
    }

    /// Prepares the same without touching what others left, for one who only wants to know.
    ///
    /// # Errors
    /// As [`Self::prepare`].
    pub(crate) fn probe(flags: &ServeArgs) -> Result<Self, String> {
        Self::open(flags, Leftovers::Keep)
    }

    fn open(flags: &ServeArgs, leftovers: Leftovers) -> Result<Self, String> {
        let pids_max = flags.local_pids_max;
        let mut limits = Self {
            roots: Vec::new(),
            bounds: Vec::new(),
            memory_by_rlimit: false,
            pids_max,
            oom_score: None,
            summary: "nothing is bounded (--local-limits off)".to_owned(),
        };
        let mut obstacles = match flags.local_limits {
            LocalLimits::Off => return Ok(limits),
            LocalLimits::Rlimit => vec!["--local-limits rlimit".to_owned()],
            LocalLimits::Auto | LocalLimits::Cgroup => limits.open_groups(leftovers),
        };
        obstacles.dedup();
        let obstacles = obstacles.join("; ");
        if flags.local_limits == LocalLimits::Cgroup && !obstacles.is_empty() {
            return Err(format!(
                "--local-limits cgroup: {obstacles}. Give picofaas a writable cgroup with the controllers memory, pids and cpu (systemd: Delegate=yes), or choose --local-limits auto"
            ));
        }
        limits.oom_score = Some(oom_score());
        limits.bounds.push(ResourceLimit::new(Resource::Nofile, flags.local_open_files_max));
        limits.bounds.push(ResourceLimit::new(Resource::Core, 0));
        let mut summary = String::new();
        for controller in Controller::ALL {
            let by = limits.fall_back(controller);
            // Writes to a string do not fail.
            let _ = write!(summary, "{} by {by}, ", controller.as_str());
        }
        let _ = write!(summary, "open files by rlimit");
        if !obstacles.is_empty() {
            let _ = write!(summary, " (no cgroup: {obstacles})");
        }
        limits.summary = summary;
        Ok(limits)
    }

    /// The means of each limit, in one line.
    #[must_use]
    pub fn summary(&self) -> &str {
        &self.summary
    }

    /// The controllers that no cgroup here has.
    #[must_use]
    pub(crate) fn without_cgroup(&self) -> Vec<Controller> {
        let is_bounded = |controller| self.roots.iter().any(|root| root.bounds(controller));
        Controller::ALL.into_iter().filter(|controller| !is_bounded(*controller)).collect()
    }

    /// Opens our folder in each hierarchy that has a controller of use. Answers what stood in the
    /// way of the others.
    fn open_groups(&mut self, leftovers: Leftovers) -> Vec<String> {
        let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
        let mut found = hierarchies(&read("/proc/self/cgroup"), &read("/proc/self/mountinfo"));
        for hierarchy in found.iter_mut().filter(|hierarchy| hierarchy.version == CgroupVersion::Two) {
            let names = read(&hierarchy.own.join("cgroup.controllers").to_string_lossy());
            let names: Vec<&str> = names.split_whitespace().collect();
            hierarchy.controllers = Controller::ALL
                .into_iter()
                .filter(|controller| names.contains(&controller.as_str()))
                .collect();
        }
        let mut obstacles = Vec::new();
        for controller in Controller::ALL {
            if !found.iter().any(|hierarchy| hierarchy.controllers.contains(&controller)) {
                obstacles
                    .push(format!("the controller {} is not mounted or not given on", controller.as_str()));
            }
        }
        for Hierarchy { version, own, controllers } in
            found.into_iter().filter(|one| !one.controllers.is_empty())
        {
            let hierarchy = Hierarchy { version, own, controllers };
            match Root::open(&hierarchy, &hierarchy.controllers, leftovers) {
                Ok(root) => self.roots.push(root),
                Err(obstacle) => obstacles.push(obstacle),
            }
        }
        obstacles
    }

    /// Finds another means where there is no group. Answers what it is now.
    fn fall_back(&mut self, controller: Controller) -> String {
        if let Some(root) = self.roots.iter().find(|root| root.bounds(controller)) {
            return format!("cgroup {}", root.version());
        }
        match controller {
            Controller::Memory => {
                self.memory_by_rlimit = true;
                "rlimit (RLIMIT_DATA)".to_owned()
            }
            Controller::Pids if rustix::process::getuid().is_root() => {
                "nothing (RLIMIT_NPROC does not bind root)".to_owned()
            }
            Controller::Pids => {
                // It counts what the user runs besides, so that comes on top.
                let most = threads_of_user() + self.pids_max;
                self.bounds.push(ResourceLimit::new(Resource::Nproc, most));
                "rlimit (RLIMIT_NPROC, which counts all of the user's)".to_owned()
            }
            Controller::Cpu => "nothing (no rlimit bounds it)".to_owned(),
        }
    }

    /// Prepares the cgroups and other limits of an instance of this function.
    ///
    /// # Errors
    /// A group cannot be made.
    pub fn guard(&self, spec: &FunctionSpec) -> io::Result<(CgroupGuard, Confinement)> {
        let limits = &spec.resources.limits;
        let cgroup_limits = CgroupLimits {
            memory_bytes: limits.memory_bytes(),
            cpu_millicores: limits.cpu_millicores(),
            pids: self.pids_max,
        };
        let mut guard = CgroupGuard { folders: Vec::new(), memory_bytes: cgroup_limits.memory_bytes };
        match self.fill(&mut guard, &cgroup_limits) {
            Ok(confinement) => Ok((guard, confinement)),
            Err(error) => {
                self.release(guard);
                Err(io::Error::new(error.kind(), format!("its limits could not be set: {error}")))
            }
        }
    }

    fn fill(&self, guard: &mut CgroupGuard, cgroup_limits: &CgroupLimits) -> io::Result<Confinement> {
        let (mut cgroups, mut limits) = (Vec::new(), self.bounds.clone());
        for (at, root) in self.roots.iter().enumerate().filter(|(_, root)| root.serves(cgroup_limits)) {
            let folder = root.take(cgroup_limits)?;
            let entrance = folder.entrance();
            guard.folders.push((at, folder));
            cgroups.push(entrance?);
        }
        if let Some(bytes) = cgroup_limits.memory_bytes.filter(|_| self.memory_by_rlimit) {
            limits.push(ResourceLimit::new(Resource::Data, bytes));
        }
        Ok(Confinement { cgroups, limits, oom_score: self.oom_score.clone() })
    }

    /// Takes back the groups of an instance that has ended; what is still in them is killed.
    pub fn release(&self, guard: CgroupGuard) {
        for (at, folder) in guard.folders {
            self.roots[at].give_back(folder);
        }
    }

    /// Looks again at the groups in which something was still ending.
    pub fn tidy(&self) {
        self.roots.iter().for_each(Root::tidy);
    }

    /// Whether something in a group is still ending.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.roots.iter().any(Root::is_busy)
    }

    /// Ends what is left in the groups and removes them.
    pub fn close(&self) {
        for root in &self.roots {
            if !root.close() {
                tracing::warn!("a cgroup could not be removed; the next start tries again");
            }
        }
    }
}

impl CgroupGuard {
    /// The end of an instance, from the end of its first process.
    #[must_use]
    pub fn judge(&self, exit: Exit) -> Exit {
        match self.memory_bytes {
            Some(limit)
                if exit.may_be_a_kill() && self.folders.iter().any(|(_, f)| f.was_out_of_memory()) =>
            {
                Exit::OutOfMemory { limit }
            }
            Some(_) | None => exit,
        }
    }
}

fn oom_score() -> String {
    let ours = fs::read_to_string("/proc/self/oom_score_adj").unwrap_or_default();
    let ours: i32 = ours.trim().parse().unwrap_or(0);
    (ours + OOM_SCORE_MORE).min(OOM_SCORE_MAX).to_string()
}
