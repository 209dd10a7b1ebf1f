from pathlib import Path

import pytest

from edgespec import cgroups
from tests.systems import V1_GROUPS, V1_MOUNTS, V2_MOUNT, put, system


def test_version_2_from_the_inside_out(tmp_path: Path) -> None:
    root = system(tmp_path, "0::/user.slice/app.scope\n", V2_MOUNT)
    top = root / "sys/fs/cgroup"
    expected = [top / "user.slice/app.scope", top / "user.slice", top]
    assert list(cgroups.folders("memory", root)) == expected


def test_version_1_has_a_tree_per_controller(tmp_path: Path) -> None:
    root = system(tmp_path, V1_GROUPS, V1_MOUNTS)
    memory, both = root / "sys/fs/cgroup/memory", root / "sys/fs/cgroup/unified"
    expected = [memory / "jobs/mine", memory / "jobs", memory, both]
    assert list(cgroups.folders("memory", root)) == expected
    assert root / "sys/fs/cgroup/cpu/jobs" in cgroups.folders("cpu", root)


def test_a_container_sees_its_own_group_as_the_mount(tmp_path: Path) -> None:
    mounts = V1_MOUNTS.replace("0:32 /", "0:32 /docker/12ab")
    root = system(tmp_path, "4:memory:/docker/12ab\n", mounts)
    assert list(cgroups.folders("memory", root)) == [root / "sys/fs/cgroup/memory"]


@pytest.mark.parametrize("group", ["/docker/12ab", "/../34cd"])
def test_a_group_outside_the_mount_falls_back_on_it(tmp_path: Path, group: str) -> None:
    mounts = V2_MOUNT if ".." in group else V2_MOUNT.replace("0:28 /", "0:28 /other")
    root = system(tmp_path, f"0::{group}\n", mounts)
    assert list(cgroups.folders("memory", root)) == [root / "sys/fs/cgroup"]


def test_without_cgroups_there_are_no_limits(tmp_path: Path) -> None:
    assert list(cgroups.folders("memory", tmp_path)) == []
    assert cgroups.cpu_quota(tmp_path) is None


@pytest.mark.parametrize(
    ("text", "expected"), [("150000 100000\n", 1.5), ("max 100000\n", None), ("nonsense", None)]
)
def test_the_quota_of_version_2(tmp_path: Path, text: str, expected: float | None) -> None:
    root = system(tmp_path, "0::/a\n", V2_MOUNT)
    put(root / "sys/fs/cgroup/a/cpu.max", text)
    assert cgroups.cpu_quota(root) == expected


def test_the_lowest_quota_counts(tmp_path: Path) -> None:
    root = system(tmp_path, "0::/a/b\n", V2_MOUNT)
    put(root / "sys/fs/cgroup/a/cpu.max", "200000 100000")
    put(root / "sys/fs/cgroup/a/b/cpu.max", "400000 100000")
    assert cgroups.cpu_quota(root) == 2


@pytest.mark.parametrize(("quota", "expected"), [("50000", 0.5), ("-1", None)])
def test_the_quota_of_version_1(tmp_path: Path, quota: str, expected: float | None) -> None:
    root = system(tmp_path, V1_GROUPS, V1_MOUNTS)
    put(root / "sys/fs/cgroup/cpu/jobs/cpu.cfs_quota_us", quota)
    put(root / "sys/fs/cgroup/cpu/jobs/cpu.cfs_period_us", "100000")
    assert cgroups.cpu_quota(root) == expected
