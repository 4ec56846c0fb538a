//! Our folder in one hierarchy.

use std::cell::{Cell, RefCell};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use picofaas_child::cgroup::Hierarchy;

use super::folder::{Folder, kill_members, members};
use super::owner::{Owner, deepest_first, leftovers};
use super::{CgroupLimits, CgroupVersion, Controller};

/// Groups that wait for their next instance. Making and removing one costs more than entering it.
const FREE_MAX: usize = 64;
/// Tries to remove a folder in which processes are ending.
const REMOVAL_ROUNDS_MAX: u32 = 200;
/// The pause between two tries.
const REMOVAL_PAUSE: Duration = Duration::from_millis(1);
/// Most folders of one process, e.g. of its tests.
const NAMES_MAX: u32 = 64;

/// Treatment of the groups that dead processes left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leftovers {
    /// Processes in them are killed, and they are removed.
    Clear,
    /// They stay as they are.
    Keep,
}

/// Our folder in one hierarchy: a group for each instance below it.
#[derive(Debug)]
pub(crate) struct Root {
    version: CgroupVersion,
    /// The group that this process was in.
    own: PathBuf,
    path: PathBuf,
    controllers: Vec<Controller>,
    /// The group into which this process had to move, so that its own may have others below it.
    retreat: Option<PathBuf>,
    made: Cell<u64>,
    free: RefCell<Vec<Folder>>,
    /// Groups in which something is still ending.
    dying: RefCell<Vec<Folder>>,
}

impl Root {
    /// Makes our folder and has it bound what is asked for.
    ///
    /// # Errors
    /// A sentence that says what stands in the way.
    pub(crate) fn open(
        hierarchy: &Hierarchy,
        controllers: &[Controller],
        leftovers: Leftovers,
    ) -> Result<Self, String> {
        let own = hierarchy.own.clone();
        let (owner, mut count) = (Owner::ours(), 0);
        let path = loop {
            let path = own.join(owner.folder(&format!("-{count}")));
            match fs::create_dir(&path) {
                Ok(()) => break path,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && count < NAMES_MAX => count += 1,
                Err(error) => return Err(format!("{} is not writable: {error}", own.display())),
            }
        };
        if leftovers == Leftovers::Clear {
            clear(&own);
        }
        // From here on it removes itself.
        let mut root = Self {
            version: hierarchy.version,
            own,
            path,
            controllers: controllers.to_vec(),
            retreat: None,
            made: Cell::new(0),
            free: RefCell::default(),
            dying: RefCell::default(),
        };
        if root.version == CgroupVersion::Two {
            root.delegate()?;
        }
        // Whether the limits can be written is known only once they have been.
        let probe = CgroupLimits { memory_bytes: Some(1 << 30), cpu_millicores: Some(1000), pids: 64 };
        let folder = root.take(&probe).map_err(|error| error.to_string())?;
        folder.entrance().map_err(|error| error.to_string())?;
        root.give_back(folder);
        Ok(root)
    }

    /// The version of its interface.
    #[must_use]
    pub(crate) fn version(&self) -> CgroupVersion {
        self.version
    }

    /// Whether it bounds this.
    #[must_use]
    pub(crate) fn bounds(&self, controller: Controller) -> bool {
        self.controllers.contains(&controller)
    }

    /// Whether an instance with these limits needs a group here.
    #[must_use]
    pub(crate) fn serves(&self, limits: &CgroupLimits) -> bool {
        self.controllers.iter().any(|controller| limits.needs(*controller))
    }

    /// A group for an instance: a free one, or a new one.
    ///
    /// # Errors
    /// An error of the kernel.
    pub(crate) fn take(&self, limits: &CgroupLimits) -> io::Result<Folder> {
        let reused = {
            let mut free = self.free.borrow_mut();
            let same = free.iter().rposition(|folder| folder.is_set_to(limits));
            match same {
                Some(at) => Some(free.swap_remove(at)),
                None => free.pop(),
            }
        };
        if let Some(mut folder) = reused {
            if folder.set(limits).is_ok() {
                return Ok(folder);
            }
            // E.g. what it still holds is more than the new limit.
            self.remove(folder);
        }
        let number = self.made.get() + 1;
        self.made.set(number);
        let mut folder = Folder::make(self.path.join(format!("i{number}")), self.version, &self.controllers)?;
        if let Err(error) = folder.set(limits) {
            self.remove(folder);
            return Err(error);
        }
        Ok(folder)
    }

    /// Takes the group of an instance that has ended. What is still in it is killed.
    pub(crate) fn give_back(&self, mut folder: Folder) {
        if !folder.is_empty() {
            folder.kill();
            self.dying.borrow_mut().push(folder);
        } else if self.free.borrow().len() < FREE_MAX && folder.is_clean() {
            self.free.borrow_mut().push(folder);
        } else {
            self.remove(folder);
        }
    }

    /// Looks again at the groups in which something was still ending: a group of version 1 has no event for its
    /// last process.
    pub(crate) fn tidy(&self) {
        for folder in self.dying.take() {
            self.give_back(folder);
        }
    }

    /// Whether something is still ending.
    #[must_use]
    pub(crate) fn is_busy(&self) -> bool {
        !self.dying.borrow().is_empty()
    }

    fn remove(&self, folder: Folder) {
        // The kernel may need a moment after the last process has gone.
        if folder.remove().is_err() {
            self.dying.borrow_mut().push(folder);
        }
    }

    /// Version 2 gives controllers only to groups below one that has no process of its own.
    fn delegate(&mut self) -> Result<(), String> {
        let own = self.own.clone();
        if let Err(error) = self.enable(&own) {
            if error.kind() != io::ErrorKind::ResourceBusy {
                return Err(format!("{}: no controllers can be given on: {error}", own.display()));
            }
            let others = members(&own).len().saturating_sub(1);
            if others > 0 {
                return Err(format!(
                    "{} has {others} other processes, and cgroup v2 allows none in a group with groups below it; start picofaas in a group of its own, e.g. by systemd-run --scope -p Delegate=yes",
                    own.display()
                ));
            }
            let retreat = PathBuf::from(format!("{}-self", self.path.display()));
            let said = |error: io::Error| format!("{}: cannot be entered: {error}", retreat.display());
            fs::create_dir(&retreat).map_err(said)?;
            self.retreat = Some(retreat.clone());
            fs::write(retreat.join("cgroup.procs"), "0").map_err(said)?;
            self.enable(&own)
                .map_err(|error| format!("{}: no controllers can be given on: {error}", own.display()))?;
        }
        self.enable(&self.path)
            .map_err(|error| format!("{}: no controllers can be given on: {error}", self.path.display()))
    }

    fn enable(&self, folder: &Path) -> io::Result<()> {
        let file = folder.join("cgroup.subtree_control");
        let enabled = fs::read_to_string(&file)?;
        let enabled: Vec<&str> = enabled.split_whitespace().collect();
        let missing: Vec<String> = self
            .controllers
            .iter()
            .filter(|controller| !enabled.contains(&controller.as_str()))
            .map(|controller| format!("+{}", controller.as_str()))
            .collect();
        if missing.is_empty() { Ok(()) } else { fs::write(file, missing.join(" ")) }
    }

    /// Kills what is below and removes what can be; whether nothing is left.
    pub(crate) fn close(&self) -> bool {
        if !self.path.exists() {
            return true;
        }
        self.free.take();
        self.dying.take();
        let removed = remove_tree(&self.path);
        if removed && let Some(retreat) = &self.retreat {
            let all: Vec<String> =
                self.controllers.iter().map(|controller| format!("-{}", controller.as_str())).collect();
            // If it fails we stay where we are, and the next start removes the folder.
            let _ = fs::write(self.own.join("cgroup.subtree_control"), all.join(" "))
                .and_then(|()| fs::write(self.own.join("cgroup.procs"), "0"))
                .and_then(|()| fs::remove_dir(retreat));
        }
        removed
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        // A folder that cannot be removed yet is a leftover for the next start.
        self.close();
    }
}

/// Kills and removes what processes that are gone left in this group.
fn clear(own: &Path) {
    for leftover in leftovers(own) {
        let folders = deepest_first(&leftover);
        let killed = folders.iter().map(|folder| members(folder).len()).sum::<usize>();
        let removed = remove_tree(&leftover);
        tracing::info!(folder = %leftover.display(), killed, removed, "what a dead picofaas left was cleared");
    }
}

/// Kills what is in a folder and below it, and removes it; whether it is gone.
fn remove_tree(folder: &Path) -> bool {
    for round in 0..REMOVAL_ROUNDS_MAX {
        if round > 0 {
            // A killed process has no event for others than its parent.
            std::thread::park_timeout(REMOVAL_PAUSE);
        }
        for folder in deepest_first(folder) {
            if !members(&folder).is_empty() {
                kill_members(&folder);
            }
            match fs::remove_dir(&folder) {
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return false,
                // A folder that does not go now shows in the end: the one above it does not go either.
                Ok(()) | Err(_) => {}
            }
        }
        if !folder.exists() {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_that_a_dead_process_left_are_kept_where_that_is_asked_for() {
        let own = tempfile::tempdir().unwrap();
        // Our own number with another start: a process that has ended.
        let ours = Owner::ours().folder("");
        let dead = own.path().join(format!("{}-1-0", ours.rsplit_once('-').unwrap().0));
        fs::create_dir(&dead).unwrap();
        let hierarchy = Hierarchy {
            version: CgroupVersion::One,
            own: own.path().to_owned(),
            controllers: vec![Controller::Pids],
        };
        let open = |leftovers| Root::open(&hierarchy, &[], leftovers).map(|root| root.close());
        // In a folder that is no group nobody can become a member.
        assert!(open(Leftovers::Keep).unwrap_err().contains("tasks") && dead.exists());
        assert!(open(Leftovers::Clear).unwrap_err().contains("tasks") && !dead.exists());
    }
}
