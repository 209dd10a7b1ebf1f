"""The guard itself: nobody but this machine can be reached, from here or from a child."""

import socket
import subprocess
import sys

import pytest

from tests.cli.process import edgespec, environment
from tests.offline import sitecustomize

ELSEWHERE = "192.0.2.1"
"""An address that is nobody's."""


def test_another_machine_cannot_be_reached() -> None:
    with socket.socket() as one, pytest.raises(OSError, match="may not reach"):
        one.connect((ELSEWHERE, 80))
    with socket.socket(type=socket.SOCK_DGRAM) as one, pytest.raises(OSError, match="may not"):
        one.sendto(b"", (ELSEWHERE, 53))
    with pytest.raises(OSError, match="may not reach"):
        socket.getaddrinfo("huggingface.co", 443)
    assert sitecustomize.attempts == [ELSEWHERE, ELSEWHERE, "huggingface.co"]
    sitecustomize.attempts.clear()


def test_this_machine_can_be_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()).close()


@pytest.mark.parametrize("several", ["224.0.0.1", "255.255.255.255", "ff02::1"])
def test_others_cannot_be_reached_together(several: str) -> None:
    family = socket.AF_INET6 if ":" in several else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as one, pytest.raises(OSError, match="may not"):
        one.sendto(b"", (several, 53))
    sitecustomize.attempts.clear()


def test_nor_can_a_child() -> None:
    script = f"import socket; socket.create_connection(('{ELSEWHERE}', 80))"
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment(), capture_output=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith(b"NETWORK")


@pytest.mark.native
@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "--threads", "1", "--no-speculate", "-n", "2", "hi"),
        ("models", "list"),
        ("doctor",),
        ("plan",),
        ("simulate",),
        ("--version",),
    ],
    ids=lambda arguments: arguments[0],
)
def test_what_does_not_ask_for_the_network_does_not_use_it(arguments: tuple[str, ...]) -> None:
    done = edgespec(*arguments)
    assert done.returncode == 0
    assert "NETWORK" not in done.stderr


def test_what_asks_for_it_does() -> None:
    done = edgespec("pull", "hf:owner/model", HF_ENDPOINT=f"http://{ELSEWHERE}")
    assert done.returncode == 1
    assert f"NETWORK: '{ELSEWHERE}'" in done.stderr
