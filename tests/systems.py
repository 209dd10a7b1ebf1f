"""Fake trees of /proc and /sys, as the root of a file system."""

from pathlib import Path

V2_MOUNT = "31 23 0:28 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw\n"
V1_MOUNTS = (
    "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw\n"
)
V1_GROUPS = "4:memory:/jobs/mine\n2:cpu,cpuacct:/jobs\n1:name=systemd:/\n0::/\n"


def system(root: Path, groups: str, mounts: str) -> Path:
    """A root in which this process is in `groups`, found through `mounts`. Returns `root`."""
    process = root / "proc/self"
    process.mkdir(parents=True)
    (process / "cgroup").write_text(groups)
    (process / "mountinfo").write_text(f"22 27 0:21 / /proc rw - proc proc rw\n{mounts}")
    return root


def put(file: Path, text: str) -> None:
    """Write `text` into `file`, making its folder."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
