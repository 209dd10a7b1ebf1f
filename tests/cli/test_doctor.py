import json

import pytest

from tests.cli.process import edgespec


@pytest.mark.native
def test_doctor_tells_what_the_engine_says() -> None:
    done = edgespec("doctor", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert "CPU" in report["native"]["llamacpp"]
    assert report["edgespec"]


def test_doctor_for_people() -> None:
    done = edgespec("doctor")
    assert (done.returncode, done.stderr) == (0, "")
    assert "edgespec" in done.stdout


def test_an_engine_that_does_not_load_is_part_of_the_report() -> None:
    done = edgespec("doctor", "--json", LLAMA_CPP_LIB_PATH="/nonexistent")
    assert done.returncode == 0
    assert "does not load" in json.loads(done.stdout)["native"]["llamacpp"]
