"""The limits that Linux control groups, such as a container's, put on this process."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath


def folders(controller: str, root: Path = Path("/")) -> Iterator[Path]:
    """The groups in which `controller` ("memory" or "cpu") has this process, innermost first.

    The limits of all of them hold. Groups of both versions of the interface are found; their
    files have different names. `root` is the file system's, other than "/" in tests.
    """
    paths = _paths(controller, root)
    for version, top, mount in _mounts(controller, root):
        if version not in paths:
            continue
        path = PurePosixPath(paths[version])
        inside = path.relative_to(top) if path.is_relative_to(top) else PurePosixPath()
        folder = mount if ".." in inside.parts else mount / inside
        while folder != mount:
            yield folder
            folder = folder.parent
        yield mount


def text(file: Path) -> str:
    """The text of a file of the kernel, empty if it cannot be read."""
    try:
        return file.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def number(*files: Path) -> int | None:
    """The number in the first of `files` that holds one; None stands for "no limit"."""
    for file in files:
        try:
            return int(text(file))
        except ValueError:
            continue
    return None


def table(file: Path) -> dict[str, int]:
    """The lines "name number" of `file`."""
    pairs = (line.split() for line in text(file).splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def cpu_quota(root: Path = Path("/")) -> float | None:
    """How many CPUs' time this process may use, None if there is no limit."""
    quotas = [quota for folder in folders("cpu", root) if (quota := _quota(folder))]
    return min(quotas, default=None)


def _quota(folder: Path) -> float | None:
    limit, _, period = text(folder / "cpu.max").partition(" ")
    try:
        if not limit:
            limit = text(folder / "cpu.cfs_quota_us")
            period = text(folder / "cpu.cfs_period_us")
        quota = int(limit) / int(period)
    except (ValueError, ZeroDivisionError):
        return None
    return quota if quota > 0 else None


def _paths(controller: str, root: Path) -> dict[str, str]:
    """This process's group by the file system type of the interface's version."""
    found = {}
    for line in text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            found["cgroup2"] = path
        elif controller in controllers.split(","):
            found["cgroup"] = path
    return found


def _mounts(controller: str, root: Path) -> Iterator[tuple[str, str, Path]]:
    """File system type, topmost group and folder of every mount that serves `controller`."""
    for line in text(root / "proc/self/mountinfo").splitlines():
        mount, _, source = line.partition(" - ")
        top, folder = mount.split()[3:5]
        kind, *_, options = source.split()
        if kind == "cgroup2" or (kind == "cgroup" and controller in options.split(",")):
            yield kind, top, root / folder.lstrip("/")
