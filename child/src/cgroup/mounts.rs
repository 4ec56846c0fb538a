//! Mount points of our own groups.

use std::path::{Path, PathBuf};

use super::{CgroupVersion, Controller};

/// One hierarchy, as this process sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    /// Its interface.
    pub version: CgroupVersion,
    /// The folder of the group that this process is in.
    pub own: PathBuf,
    /// Controllers that it has. For version 2 they are read from `cgroup.controllers`.
    pub controllers: Vec<Controller>,
}

/// The hierarchies that are mounted and that this process has a group in, from the texts of
/// `/proc/self/cgroup` and `/proc/self/mountinfo`.
#[must_use]
pub fn hierarchies(cgroup: &str, mountinfo: &str) -> Vec<Hierarchy> {
    let mut found = Vec::new();
    for line in cgroup.lines() {
        // `4:memory:/a/b`, `0::/a/b`
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(names), Some(path)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let version = if names.is_empty() { CgroupVersion::Two } else { CgroupVersion::One };
        let names: Vec<&str> = names.split(',').collect();
        let controllers: Vec<Controller> =
            Controller::ALL.into_iter().filter(|controller| names.contains(&controller.as_str())).collect();
        if version == CgroupVersion::One && controllers.is_empty() {
            continue;
        }
        let own = own_folder(version, &names, path, mountinfo);
        if let Some(own) = own {
            found.push(Hierarchy { version, own, controllers });
        }
    }
    found
}

/// The folder of the group that this process is in for one controller, from the same texts: in the hierarchy
/// of version 1 that has it, else in that of version 2.
#[must_use]
pub fn group_for(controller: &str, cgroup: &str, mountinfo: &str) -> Option<PathBuf> {
    let lines = || cgroup.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
    let one = lines().find(|(names, _)| names.split(',').any(|name| name == controller));
    let (names, path) = one.or_else(|| lines().find(|(names, _)| names.is_empty()))?;
    let version = if names.is_empty() { CgroupVersion::Two } else { CgroupVersion::One };
    own_folder(version, &names.split(',').collect::<Vec<_>>(), path, mountinfo)
}

/// The folder of a group, where its hierarchy is mounted.
fn own_folder(version: CgroupVersion, names: &[&str], path: &str, mountinfo: &str) -> Option<PathBuf> {
    mountinfo.lines().filter_map(mount).find_map(|mount| {
        let here = match version {
            CgroupVersion::Two => mount.kind == "cgroup2",
            CgroupVersion::One => {
                let options: Vec<&str> = mount.options.split(',').collect();
                mount.kind == "cgroup" && names.iter().all(|name| options.contains(name))
            }
        };
        let below = Path::new(path).strip_prefix(&mount.root).ok().filter(|_| here)?;
        let inside = below.components().next().is_some();
        Some(if inside { mount.point.join(below) } else { mount.point })
    })
}

struct Mount<'t> {
    /// The part of the hierarchy that is mounted.
    root: PathBuf,
    point: PathBuf,
    kind: &'t str,
    options: &'t str,
}

/// `36 31 0:33 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory`
fn mount(line: &str) -> Option<Mount<'_>> {
    let (place, device) = line.split_once(" - ")?;
    let mut place = place.split(' ').skip(3);
    let (root, point) = (place.next()?, place.next()?);
    let mut device = device.split(' ');
    let (kind, _, options) = (device.next()?, device.next()?, device.next()?);
    Some(Mount { root: unescaped(root), point: unescaped(point), kind, options })
}

/// The kernel writes a space in a path as `\040`.
fn unescaped(path: &str) -> PathBuf {
    PathBuf::from(path.replace("\\040", " ").replace("\\134", "\\"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_controller_of_a_hybrid_machine_is_found_where_it_is_mounted() {
        let cgroup = "9:name=systemd:/\n4:memory:/a/b\n3:cpuset:/\n1:cpu,cpuacct:/\n0::/\n";
        let mounts = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n\
            32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:3 - cgroup cgroup rw,cpu,cpuacct\n\
            35 31 0:32 / /sys/fs/cgroup/mem\\040ory rw,relatime - cgroup cgroup rw,memory\n\
            41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";
        let one = |own: &str, controller| Hierarchy {
            version: CgroupVersion::One,
            own: PathBuf::from(own),
            controllers: vec![controller],
        };
        let two = PathBuf::from("/sys/fs/cgroup/unified");
        assert_eq!(
            hierarchies(cgroup, mounts),
            [
                one("/sys/fs/cgroup/mem ory/a/b", Controller::Memory),
                one("/sys/fs/cgroup/cpu,cpuacct", Controller::Cpu),
                Hierarchy { version: CgroupVersion::Two, own: two, controllers: vec![] },
            ]
        );
    }

    #[test]
    fn a_controller_is_looked_for_in_version_1_first_and_in_version_2_else() {
        let cgroup = "4:memory:/a\n3:cpuset:/\n1:cpu,cpuacct:/b\n0::/c\n";
        let mounts = "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n\
            33 31 0:30 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n\
            41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let of = |controller| group_for(controller, cgroup, mounts);
        assert_eq!(of("cpu").unwrap(), Path::new("/sys/fs/cgroup/cpu/b"));
        assert_eq!(of("cpuset").unwrap(), Path::new("/sys/fs/cgroup/cpuset"));
        assert_eq!(of("pids").unwrap(), Path::new("/sys/fs/cgroup/unified/c"));
        assert_eq!(of("memory"), None, "its hierarchy is not mounted");
        assert_eq!(group_for("cpu", "", ""), None);
    }

    #[test]
    fn a_container_that_sees_only_its_own_part_of_the_hierarchy_finds_its_group_in_it() {
        let mounts = "9 8 0:3 /docker/x /sys/fs/cgroup ro - cgroup2 cgroup rw,nsdelegate\n";
        let found = hierarchies("0::/docker/x/inner\n", mounts);
        assert_eq!(found[0].own, Path::new("/sys/fs/cgroup/inner"));
        // The mounted folder is not where we are.
        assert_eq!(hierarchies("0::/elsewhere\n", mounts), []);
    }
}
