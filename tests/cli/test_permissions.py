"""A system that forbids binding threads and placing memory: everything runs, doctor says so."""

import ctypes
import errno
import os
import platform
import struct
import subprocess
import sys

import pytest

from tests.cli.process import edgespec, environment

_FORBIDDEN = {"sched_setaffinity": 203, "mbind": 237, "set_mempolicy": 238}
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _FAIL = 0x7FFF0000, 0x00050000 | errno.EPERM
_NO_NEW_PRIVILEGES, _SECCOMP, _FILTER = 38, 22, 2

pytestmark = [
    pytest.mark.native,
    pytest.mark.skipif(
        sys.platform != "linux" or platform.machine() != "x86_64", reason="numbers of its calls"
    ),
]


def forbid() -> None:
    """Let the calls fail in this process, as a container's filter does."""
    program = [(_LOAD, 0, 0, 0)]
    for left, call in zip(range(len(_FORBIDDEN), 0, -1), _FORBIDDEN.values(), strict=True):
        program.append((_JUMP_IF_EQUAL, left, 0, call))
    program += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _FAIL)]
    code = b"".join(struct.pack("HBBI", *line) for line in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    described = struct.pack("HxxxxxxP", len(program), ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) == 0
    assert libc.prctl(_SECCOMP, _FILTER, described, 0, 0) == 0
    with pytest.raises(PermissionError):
        os.sched_setaffinity(0, os.sched_getaffinity(0))


def confined(*arguments: str) -> subprocess.CompletedProcess[str]:
    """edgespec in a process that may not."""
    program = (
        "import sys; from tests.cli.test_permissions import forbid; forbid(); "
        "from edgespec.cli import main; sys.argv[0] = 'edgespec'; main()"
    )
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_answer_is_the_same() -> None:
    ask = ("run", "-t", "0", "-n", "12", "--raw", "def main():")
    done = confined(*ask)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == edgespec(*ask).stdout


def test_doctor_tells_it_in_one_line() -> None:
    done = confined("doctor")
    assert done.returncode == 0
    lines = [line for line in done.stdout.splitlines() if "cannot be bound" in line]
    assert [line.split()[0] for line in lines] == ["slow"]
    assert "cannot be bound" not in edgespec("doctor").stdout
