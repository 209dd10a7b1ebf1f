"""`edgespec plan`: what it prints, and what it refuses."""

import json
from pathlib import Path

import pytest

from tests.cli.process import edgespec
from tests.ggufs import llama_gguf
from tests.hubserver import HubServer, Repo

BIG = """
name = "A desktop"
memory = "64 GiB"
bandwidth = "80 GB/s"
cores = [{count = 8, threads = 2}]
devices = [{name = "CUDA0", memory = "8 GiB", bandwidth = "300 GB/s"}]
"""
SMALL = BIG.replace('"64 GiB"', '"20 MiB"').replace("devices", "#")


@pytest.mark.native
def test_the_plan_for_this_machine() -> None:
    done = edgespec("plan", "nano")
    assert (done.returncode, done.stderr) == (0, "")
    rows = [line.split()[0] for line in done.stdout.splitlines() if not line.startswith(" ")]
    assert rows == [
        "machine", "model", "target", "drafter", "threads", "attention", "memory", "speed",
        "limit", "reason", "instead",
    ]  # fmt: skip
    assert "tokens/s" in done.stdout


@pytest.mark.native
def test_json_is_one_object() -> None:
    done = edgespec("plan", "--json", "--context", "512")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found["model"] == "nano"
    assert found["plan"]["context"] == 512
    assert found["plan"]["memory"]["CPU"]["target weights"] > 8e6
    assert found["plan"]["tokens_per_second"] > 0
    assert found["machine"]["basis"] == "measured"
    assert max(found["machine"]["core_speeds"].values()) == 1


def test_another_machine(tmp_path: Path) -> None:
    file = tmp_path / "machine.toml"
    file.write_text(BIG)
    done = edgespec("plan", "--for-machine", str(file), "--explain")
    assert (done.returncode, done.stderr) == (0, "")
    assert "A desktop, 8 cores, 16 processors" in done.stdout
    assert "CUDA0" in done.stdout
    assert "described" in done.stdout
    found = json.loads(edgespec("plan", "--for-machine", str(file), "--json").stdout)
    assert [device["name"] for device in found["machine"]["devices"]] == ["CUDA0"]
    assert not found["plan"]["calibrated"]
    pinned = edgespec("plan", "--for-machine", str(file), "--json", "--gpu-layers", "3")
    assert json.loads(pinned.stdout)["plan"]["target"]["layers"] == 3


def test_pinned_processors(tmp_path: Path) -> None:
    file = tmp_path / "machine.toml"
    file.write_text(BIG)
    pins = ("--cpus", "0-3,8", "--drafter-cpus", "9", "--device", "CPU")
    done = edgespec("plan", "--for-machine", str(file), "--json", *pins)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert (found["threads"]["cpus"], found["threads"]["pinned"]) == ([0, 1, 2, 3, 8], True)
    assert (found["drafter_threads"]["cpus"], found["drafter_threads"]["count"]) == ([9], 1)
    words = edgespec("plan", "--for-machine", str(file), "--explain", *pins).stdout
    assert "5 on 0-3,8 (pinned): pinned by you" in words
    assert "CPU, 1 on 9 (pinned): pinned by you" in words


def test_a_model_that_was_not_pulled(
    tmp_path: Path, server: HubServer, variables: dict[str, str], data: bytes, edgespec_home: Path
) -> None:
    """The quantization that would fit there, from the beginnings of the files alone."""
    big = llama_gguf(tmp_path / "big.gguf", d=256, ff=1024, n_layer=4).read_bytes()
    server.repos["me/tiny-GGUF"].files["tiny-Q9_0.gguf"] = big
    server.repos["me/draft-GGUF"] = Repo({"draft-Q8_0.gguf": data})
    config = edgespec_home / "config"
    config.mkdir(parents=True)
    (config / "models.toml").write_text(
        '[pairs.mine]\ndescription = "x"\nlicence = "y"\n'
        'target = "hf:me/tiny-GGUF"\ndrafter = "hf:me/draft-GGUF"\n'
    )
    file = tmp_path / "machine.toml"
    file.write_text(BIG)
    ask = ("plan", "mine", "--json", "--for-machine", str(file))
    for description, name in ((BIG, "Q9_0"), (SMALL.replace("20", "26"), "Q8_0")):
        file.write_text(description)
        done = edgespec(*ask, stdin=None, **variables)
        assert (done.returncode, done.stderr) == (0, "")
        found = json.loads(done.stdout)
        assert found["model"] == f"hf:me/tiny-GGUF:{name}"
        assert any("drafter weights" in parts for parts in found["plan"]["memory"].values())
    assert server.total_sent < len(big) / 2
    file.write_text(SMALL.replace("20 MiB", "1 MiB"))
    for more, part in (
        ({}, "models may take 0.00 GiB here; what fits is a smaller --context"),
        ({"HF_HUB_OFFLINE": "1"}, "is not on this machine, and HF_HUB_OFFLINE forbids"),
    ):
        done = edgespec(*ask, stdin=None, **variables, **more)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (3, "", 1)
        assert part in done.stderr


@pytest.mark.parametrize(
    ("arguments", "text", "code", "part"),
    [
        ("", "memory = 3", 2, "machine.toml: "),
        ("", "memory", 2, "is not TOML"),
        ("--device CUDA7", BIG, 2, "there is no device 'CUDA7'"),
        ("", SMALL, 3, "is available; what fits: "),
        ("nano --model nano", BIG, 2, "name the model once"),
        ("--gpu-layers -2", BIG, 2, "--gpu-layers"),
        ("--kv-type q3", BIG, 2, "--kv-type"),
        ("absent.gguf", BIG, 3, "absent.gguf does not exist"),
        ("--cpus 0,99", BIG, 2, "processor 99 of --cpus does not exist; what is there is 0-15"),
        ("--cpus all", BIG, 2, "--cpus 'all' is no list of processors; write it as in 0-3,8"),
        ("--cpus 0-1 --threads 3", BIG, 2, "--threads 3 on the 2 processors of --cpus"),
        ("--drafter-cpus 16", BIG, 2, "processor 16 of --drafter-cpus does not exist"),
        ("--cpu-experts -1", BIG, 2, "this model has no experts"),
        ("--cpu-experts -2", BIG, 2, "--cpu-experts"),
    ],
)
def test_refusals_are_one_line(
    tmp_path: Path, arguments: str, text: str, code: int, part: str
) -> None:
    file = tmp_path / "machine.toml"
    file.write_text(text)
    done = edgespec("plan", "--for-machine", str(file), *arguments.split())
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith("edgespec: error: ")
    assert done.stderr.count("\n") == 1
    assert part in done.stderr
