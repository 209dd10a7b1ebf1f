"""What can be wrong around a process: each of these starts a command in such surroundings."""

import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from tests.cli.process import COMMAND, PATIENCE, environment

Done = subprocess.CompletedProcess[str]

CLOCK = """
import random, time

_now = time.time

def time_that_jumps():
    return _now() + random.choice((0.0, -3e8, 3e8))

time.time = time_that_jumps
"""


def run(
    *arguments: str,
    before: Callable[[], object] | None = None,
    around: tuple[str, ...] = (),
    without: tuple[str, ...] = (),
    stdin: bytes | None = None,
    variables: Mapping[str, str] = MappingProxyType({}),
) -> Done:
    """Run edgespec behind the command `around`, after the call `before` in the new process."""
    known = {k: v for k, v in environment(**variables).items() if k not in without}
    done = subprocess.run(
        [*around, *COMMAND, *arguments],
        env=known,
        input=b"" if stdin is None else stdin,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
        preexec_fn=before,
    )
    return Done(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def largest_file(size: int) -> Callable[[], None]:
    """The disk is full as soon as a file has `size` bytes."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def open_files(count: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))


def address_space(size: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_AS, (size, size))


def one_processor() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def mounted(script: str) -> tuple[str, ...]:
    """Behind it, a command sees the mounts that `script` makes, and nobody else does."""
    return ("unshare", "--map-root-user", "--mount", "sh", "-ec", f'{script}; exec "$@"', "sh")


def can_mount() -> bool:
    """Whether this system lets these tests make a namespace of their own."""
    if shutil.which("unshare") is None:
        return False
    command = [*mounted("mount -t tmpfs none /mnt"), "true"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def no_user() -> tuple[str, ...]:
    """Behind it, the user has a number that belongs to nobody."""
    return ("unshare", "--user", "--map-user=54321")


def read_only(folder: Path) -> tuple[str, ...]:
    return mounted(f"mount --bind '{folder}' '{folder}'; mount -o remount,ro,bind '{folder}'")


def small_disk(folder: Path) -> tuple[str, ...]:
    return mounted(f"mount -t tmpfs -o size=128k none '{folder}'")
