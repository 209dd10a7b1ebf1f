"""Every parser on what is kept of former runs, and on some hundred inputs made from it."""

import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from tests.cli.process import PATIENCE, environment
from tests.fuzz.mutations import mutated
from tests.fuzz.targets import TARGETS, corpus

CASES = 300
RUN = Path(__file__).parent / "run.py"

PURE = [name for name, target in TARGETS.items() if not target.native]
NATIVE = [name for name, target in TARGETS.items() if target.native]


@pytest.mark.parametrize("name", PURE)
def test_a_parser_does_nothing_but_refuse(name: str) -> None:
    target, inputs, dice = TARGETS[name], corpus(name), Random(name)
    assert inputs
    for data in inputs:
        target.parse(data)
    for _ in range(CASES):
        data = mutated(inputs, target.words, dice)
        try:
            target.parse(data)
        except Exception as error:
            pytest.fail(f"{error!r} for {data!r}")


@pytest.mark.native
@pytest.mark.parametrize("name", NATIVE)
def test_a_parser_that_could_end_the_process_does_not(name: str) -> None:
    command = [sys.executable, str(RUN), name, "--cases", str(CASES)]
    done = subprocess.run(
        command, env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
