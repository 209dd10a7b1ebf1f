"""`edgespec batch` shared out: processes here, nodes of a Ray cluster; killed as they go."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.cli.process import COMMAND, PATIENCE, edgespec, environment, interrupt

pytestmark = [
    pytest.mark.native,
    pytest.mark.skipif(len(psutil.Process().cpu_affinity() or []) < 2, reason="takes two cores")
    if sys.platform == "linux"
    else pytest.mark.skip(reason="binds to cores"),
]
PLAIN = ("--threads", "1", "--no-speculate", "--seed", "5", "--nice", "0", "--parallel", "2")
ROWS = 40


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rows") / "in.jsonl"
    lines = [{"id": n, "prompt": f"def area_{n}(a):", "max_tokens": 20} for n in range(ROWS)]
    path.write_text("\n".join(map(json.dumps, lines)))
    return path


@pytest.fixture(scope="module")
def expected(rows: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """What one process answers."""
    output = tmp_path_factory.mktemp("alone") / "out.jsonl"
    assert edgespec("batch", str(rows), "-o", str(output), *PLAIN).returncode == 0
    return texts(output)


def texts(output: Path) -> list[Any]:
    lines = map(json.loads, output.read_text(encoding="utf-8").splitlines())
    return [(line["id"], line["text"], line["finish_reason"]) for line in lines]


def begun(rows: Path, output: Path, *options: str, **variables: str) -> "subprocess.Popen[bytes]":
    """A batch that has just answered its first rows."""
    before = output.stat().st_size if output.exists() else 0
    process = subprocess.Popen(
        [*COMMAND, "batch", str(rows), "-o", str(output), *PLAIN, *options],
        env=environment(**variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    end = time.monotonic() + PATIENCE
    while (output.stat().st_size if output.exists() else 0) == before and process.poll() is None:
        assert time.monotonic() < end
        time.sleep(0.02)
    return process


def workers(process: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    children = psutil.Process(process.pid).children()
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


def ended(processes: list[psutil.Process]) -> bool:
    return not psutil.wait_procs(processes, timeout=10)[1]


def test_a_killed_worker_s_rows_are_answered_by_the_other(
    rows: Path, expected: list[Any], tmp_path: Path
) -> None:
    output = tmp_path / "out.jsonl"
    with begun(rows, output, "--workers", "2") as process:
        found = workers(process)
        assert [len(worker.cpu_affinity()) for worker in found] == [1, 1]
        found[0].kill()
        stderr = process.communicate(timeout=PATIENCE)[1].decode()
    assert (process.returncode, texts(output)) == (0, expected)
    assert "has ended (killed by signal 9); its rows are answered by the others" in stderr


def test_workers_end_with_whoever_started_them(
    rows: Path, expected: list[Any], tmp_path: Path
) -> None:
    output = tmp_path / "out.jsonl"
    with begun(rows, output, "--workers", "2") as process:
        found = workers(process)
        process.kill()
    assert ended(found)
    with begun(rows, output, "--workers", "2") as process:
        found = workers(process)
        interrupt(process)
        stderr = process.communicate(timeout=PATIENCE)[1].decode()
    if process.returncode:
        assert process.returncode == 130
        assert "rows are done; the same command goes on from there" in stderr
    assert ended(found)
    assert edgespec("batch", str(rows), "-o", str(output), *PLAIN).returncode == 0
    assert texts(output) == expected


def test_an_answer_goes_first(rows: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    home = str(tmp_path / "home")
    options = ("--json", "--max-tokens", "2000")
    claim = "from edgespec.priority import claimed\nwith claimed():\n    print(); input()"
    with begun(rows, output, *options, EDGESPEC_HOME=home) as process:
        with subprocess.Popen(
            [sys.executable, "-c", claim],
            env=environment(EDGESPEC_HOME=home),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as other:
            assert other.stdout
            assert process.stdout
            other.stdout.readline()
            for line in process.stdout:
                event = json.loads(line)
                if event["resting"] or event["done"] == ROWS:
                    break
            other.communicate(b"\n")
        process.communicate(timeout=PATIENCE)
    assert event["resting"] == "another edgespec answers" or event["done"] == ROWS
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--workers", "2", "--ray", "auto"), "--workers and --ray exclude each other"),
        (("--workers", "64"), "64 workers on"),
    ],
)
def test_options_that_cannot_be(
    rows: Path, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    done = edgespec("batch", str(rows), "-o", str(tmp_path / "out.jsonl"), *PLAIN, *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, list[Any]]]:
    """A Ray cluster of three node processes on this machine, the first without processors."""
    monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])
    monkeypatch.setenv("RAY_agent_register_timeout_ms", "120000")
    monkeypatch.setenv("RAY_raylet_start_wait_time_s", "120")
    from ray.cluster_utils import Cluster

    made = Cluster()
    try:
        made.add_node(num_cpus=0)
        nodes = [made.add_node(num_cpus=1) for _ in range(2)]
        yield made, nodes
    finally:
        made.shutdown()


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_killed_node_s_rows_are_answered_by_the_other(
    cluster: tuple[Any, list[Any]], rows: Path, expected: list[Any], tmp_path: Path
) -> None:
    output = tmp_path / "out.jsonl"
    made, nodes = cluster
    with begun(rows, output, "--ray", made.address, "--json") as process:
        made.remove_node(nodes[0], allow_graceful=False)
        stdout, stderr = process.communicate(timeout=PATIENCE)
    assert (process.returncode, texts(output)) == (0, expected), stderr
    assert all(json.loads(line)["event"] == "progress" for line in stdout.splitlines())
    assert b"its rows are answered by the others" in stderr


def test_a_cluster_that_is_not_there(rows: Path, tmp_path: Path) -> None:
    output = str(tmp_path / "out.jsonl")
    done = edgespec("batch", str(rows), "-o", output, *PLAIN, "--ray", "127.0.0.1:1")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("edgespec: error: no Ray cluster at '127.0.0.1:1'")
    assert len(done.stderr.splitlines()) == 1


def test_without_ray(rows: Path, tmp_path: Path) -> None:
    (tmp_path / "ray.py").write_text("raise ImportError('not here')")
    path = os.pathsep.join((str(tmp_path), environment()["PYTHONPATH"]))
    done = subprocess.run(
        [*COMMAND, "batch", str(rows), *PLAIN, "--ray", "auto"],
        env=environment() | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stdout) == (3, "")
    hint = 'pip install "edgespec[cluster]"'
    assert done.stderr == f"edgespec: error: Ray is not installed; {hint}\n"
