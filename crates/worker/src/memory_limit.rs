//! The memory limit of this process: the smallest limit of its control group and the groups around it. A container is
//! one.

use std::fs;
use std::path::Path;

/// Version 1 uses a huge number for "no limit".
const LIMIT_BYTES_MAX: u64 = 1 << 50;

/// The smallest limit; `None` when there is none, or no control groups.
pub(crate) fn of_this_process() -> Option<u64> {
    let membership = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    in_groups(Path::new("/sys/fs/cgroup"), &membership)
}

/// `membership` is the content of `/proc/self/cgroup`. Within a container its paths may be those of the host, which do
/// not exist there; the container's own limit is then at the root.
fn in_groups(root: &Path, membership: &str) -> Option<u64> {
    let limits = membership.lines().flat_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let (base, file) = match controllers {
            "" => (root.to_owned(), "memory.max"),
            _ if controllers.split(',').any(|name| name == "memory") => {
                (root.join("memory"), "memory.limit_in_bytes")
            }
            _ => return Vec::new(),
        };
        let group = base.join(path.trim_start_matches('/'));
        let groups = group.ancestors().take_while(|group| group.starts_with(&base));
        groups.filter_map(|group| limit(&group.join(file))).collect()
    });
    limits.min()
}

fn limit(file: &Path) -> Option<u64> {
    let limit = fs::read_to_string(file).ok()?.trim().parse().ok()?;
    (limit < LIMIT_BYTES_MAX).then_some(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Creates files below a control group root.
    fn groups(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn the_smallest_limit_of_all_groups_around_it_counts() {
        let root = groups(&[
            ("a.slice/memory.max", "1073741824\n"),
            ("a.slice/b.service/memory.max", "max\n"),
            ("other/memory.max", "1\n"),
        ]);
        assert_eq!(in_groups(root.path(), "0::/a.slice/b.service\n"), Some(1 << 30));
        assert_eq!(in_groups(root.path(), "0::/\n"), None, "the root has no limit");
    }

    #[test]
    fn a_container_has_its_limit_at_the_root() {
        let root = groups(&[("memory.max", "536870912\n")]);
        for membership in ["0::/\n", "0::/docker/abc\n"] {
            assert_eq!(in_groups(root.path(), membership), Some(512 << 20), "{membership}");
        }
    }

    #[test]
    fn version_1_is_read_too() {
        let membership = "5:cpu,cpuacct:/x\n4:memory:/docker/abc\n0::/\n";
        let root = groups(&[("memory/memory.limit_in_bytes", "268435456\n"), ("cpu/x/memory.max", "1\n")]);
        assert_eq!(in_groups(root.path(), membership), Some(256 << 20));
        let root = groups(&[("memory/memory.limit_in_bytes", "9223372036854771712\n")]);
        assert_eq!(in_groups(root.path(), membership), None);
        assert_eq!(in_groups(root.path(), ""), None);
    }
}
