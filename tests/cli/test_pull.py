"""`edgespec pull` and `edgespec models` against a server that speaks the Hub's protocol."""

import json
import os
from pathlib import Path

import pytest

from tests import hubserver
from tests.cli.conftest import Run
from tests.cli.process import Terminal, environment
from tests.cli.process import edgespec as execute
from tests.ggufs import llama_gguf
from tests.hubserver import HubServer, Repo
from tests.onnx_graphs import Export, Weights
from tests.onnx_models import write_folder

TINY = "hf:me/tiny-GGUF:Q8_0"

# Imported by Python before anything else: whoever opens a connection dies of it.
GUARD = """
import os, socket

def refuse(*_):
    os.write(2, b"NETWORK\\n")
    os._exit(99)

socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
"""


@pytest.mark.native
def test_from_nothing_to_an_answer(edgespec: Run, data: bytes, edgespec_home: Path) -> None:
    done = edgespec("pull", "hf:me/tiny-GGUF")
    assert done.returncode == 0
    assert done.stdout == f"{TINY} is here: edgespec run -m {TINY}\n"
    first, note, *lines = done.stderr.splitlines()
    assert first.startswith(f"{TINY}: 2.1 MB, about 0.0 GiB of memory to run, about ")
    assert first.endswith(" tok/s by itself, licence apache-2.0")
    assert note == f"edgespec: note: {TINY} has no chat template: a chat is plain dialogue to it"
    assert lines.count("tiny-Q8_0.gguf: 100 %") == 1
    assert len(lines) <= 10
    done = edgespec("run", "-m", TINY, "-n", "3", "--threads", "1", "--no-speculate", "hi")
    assert (done.returncode, done.stderr.count("error")) == (0, 0)
    (listed,) = (
        item
        for item in json.loads(edgespec("models", "list", "--json").stdout)
        if item["name"] == TINY
    )
    assert (listed["present"], listed["size"]) == (True, len(data))
    path = Path(edgespec("models", "path", TINY).stdout.strip())
    assert path.read_bytes() == data
    shown = json.loads(edgespec("models", "show", TINY, "--json").stdout)
    assert (shown["architecture"], shown["context"]) == ("llama", 512)
    assert edgespec("models", "verify", TINY).stdout == f"{TINY} is as it was on the Hub\n"
    path.write_bytes(data[:-1] + b"?")
    done = edgespec("models", "verify", TINY)
    assert (done.returncode, done.stdout) == (3, "")
    assert f"{path} is damaged or missing; edgespec models rm {TINY}, then" in done.stderr
    assert edgespec("models", "rm", TINY).stdout.startswith(f"{TINY} is removed, ")
    assert not list(edgespec_home.rglob("*.gguf"))
    done = edgespec("models", "rm", TINY)
    assert done.returncode == 3
    assert "no model 'hf:me/tiny-GGUF:Q8_0' was pulled" in done.stderr


def test_events(edgespec: Run, data: bytes) -> None:
    events = [json.loads(line) for line in edgespec("pull", TINY, "--json").stdout.splitlines()]
    assert [event["event"] for event in events][:3] == ["chosen", "note", "progress"]
    assert events[0]["size"] == len(data)
    assert events[0]["rate"] > 0
    assert events[-2] == {
        "event": "progress",
        "model": TINY,
        "file": "tiny-Q8_0.gguf",
        "state": "done",
        "done": len(data),
        "total": len(data),
        "note": "",
    }
    assert events[-1]["event"] == "done"
    assert Path(events[-1]["path"]).read_bytes() == data


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (["me/tiny-GGUF"], 2, "me/tiny-GGUF is not a model of the Hub; did you mean hf:me/tiny-"),
        (["hf:../../etc"], 2, "hf:../../etc is not a model of the Hub; write hf:owner/repository"),
        (["hf:me/a\x1b[2J"], 2, "hf:me/a\N{REPLACEMENT CHARACTER}[2J is not a model of the Hub"),
        (["hf:me/none"], 3, "the Hub has no repository me/none, or none for you; check the spel"),
        (["hf:me/tiny-GGUF@old"], 3, "the Hub has no repository me/tiny-GGUF at old; check the"),
        (["hf:me/tiny-GGUF:Q2_K"], 3, "me/tiny-GGUF has no Q2_K; it has Q8_0"),
        (["hf:me/tiny-GGUF", "--quant", "Q3"], 3, "me/tiny-GGUF has no Q3; it has Q8_0"),
    ],
)
def test_what_cannot_be_pulled(edgespec: Run, arguments: list[str], code: int, line: str) -> None:
    done = edgespec("pull", *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith(f"edgespec: error: {line}")
    assert done.stderr.count("\n") == 1


def test_no_server_at_all(edgespec: Run, variables: dict[str, str]) -> None:
    variables["HF_ENDPOINT"] = "http://127.0.0.1:9"
    done = edgespec("pull", TINY)
    assert done.returncode == 1
    assert "repository me/tiny-GGUF: the connection failed" in done.stderr
    assert done.stderr.count("\n") == 1


def test_bars_in_a_terminal(server: HubServer, variables: dict[str, str], data: bytes) -> None:
    server.repos["me/evil"] = Repo({"x\x1b]0;owned\x07.gguf": data, "y-Q8_0.gguf": data})
    with Terminal("pull", "hf:me/evil", TERM="xterm", COLUMNS="100", **variables) as terminal:
        code, screen = terminal.finish()
    assert code == 0
    assert "y-Q8_0.gguf" in screen
    assert "hf:me/evil:Q8_0 is here" in screen
    assert "\x1b]0" not in screen
    assert "\x07" not in screen


def test_a_gated_repository_tells_what_to_do(
    server: HubServer, edgespec: Run, variables: dict[str, str]
) -> None:
    server.repos["me/tiny-GGUF"].gated = True
    server.token = "hf_x"
    done = edgespec("pull", TINY)
    assert done.returncode == 3
    assert "accept its conditions on its page of the Hub, then set HF_TOKEN" in done.stderr
    variables["HF_TOKEN"] = "hf_wrong"
    assert edgespec("pull", TINY).returncode == 3
    variables["HF_TOKEN"] = "hf_x"
    assert edgespec("pull", TINY).returncode == 0


def test_offline_nothing_is_asked_of_the_network(
    edgespec: Run, variables: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert edgespec("pull", TINY).returncode == 0
    guard = tmp_path / "guard"
    guard.mkdir()
    (guard / "sitecustomize.py").write_text(GUARD)
    path = os.pathsep.join([str(guard), environment()["PYTHONPATH"]])
    guarded = {"PYTHONPATH": path, **variables}
    assert execute("pull", "hf:me/other", stdin=None, **guarded).returncode == 99
    guarded["HF_HUB_OFFLINE"] = "1"
    done = execute("pull", "hf:me/other", stdin=None, **guarded)
    assert done.returncode == 3
    assert "repository me/other is not on this machine, and HF_HUB_OFFLINE forbids" in done.stderr
    done = execute("pull", TINY, stdin=None, **guarded)
    assert (done.returncode, done.stdout) == (0, f"{TINY} is here: edgespec run -m {TINY}\n")
    for command in (["models", "list"], ["models", "show", TINY], ["models", "path", "nano"]):
        assert execute(*command, stdin=None, **guarded).returncode == 0


@pytest.mark.native
def test_without_a_network_the_nano_pair_answers(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(GUARD)
    path = os.pathsep.join([str(tmp_path), environment()["PYTHONPATH"]])
    done = execute("run", "-n", "2", "--threads", "1", "def", PYTHONPATH=path)
    assert done.returncode == 0
    assert done.stdout


def test_the_drafter_of_run_is_not_pulled(edgespec: Run) -> None:
    done = edgespec("pull", TINY, EDGESPEC_DRAFTER="small.gguf")
    assert (done.returncode, done.stdout.count("is here")) == (0, 1)


def test_a_catalogue_with_a_mistake_is_one_line(edgespec: Run, edgespec_home: Path) -> None:
    own = edgespec_home / "config/models.toml"
    own.parent.mkdir(parents=True)
    own.write_text('[pairs.mine]\ndescription = "x"\nlicense = "y"\ntarget = "z.gguf"\n')
    for command in (["models", "list"], ["run", "hi"], ["pull", "mine"], ["pair", "mine"]):
        done = edgespec(*command)
        assert (done.returncode, done.stdout) == (2, "")
        line = f"{own}, line 3: pairs.mine.license is not a known key; did you mean licence?\n"
        assert done.stderr == f"edgespec: error: {line}"


def test_search(edgespec: Run, server: HubServer, variables: dict[str, str]) -> None:
    server.repos["me/tiny-evil\x1b[2J"] = Repo({})
    server.repos["me/other"] = Repo({})
    server.repos["you/TINY-b"] = Repo({}, gated=True, downloads=3)
    done = edgespec("models", "search", "tiny")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == [
        *("NAME", "DOWNLOADS", "DESCRIPTION", "hf:me/tiny-GGUF", "7"),
        *("hf:you/TINY-b", "3", "gated:", "needs", "a", "token"),
    ]
    found = json.loads(edgespec("models", "search", "qwen3.6", "--json").stdout)
    assert [one["name"] for one in found] == ["qwen3.6-27b", "qwen3.6-35b-a3b"]
    assert "search=qwen3.6" in server.asked[-1]
    variables["HF_HUB_OFFLINE"] = "1"
    server.asked.clear()
    done = edgespec("models", "search", "nano")
    assert done.stdout.splitlines()[1].startswith("nano ")
    assert done.stderr == (
        "edgespec: note: HF_HUB_OFFLINE is set: only the catalogue was searched\n"
    )
    assert server.asked == []
    server.api_faults = [hubserver.web_page]
    del variables["HF_HUB_OFFLINE"]
    done = edgespec("models", "search", "nano")
    assert done.stdout.splitlines()[1].startswith("nano ")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "the answer about list of models is not the Hub's" in done.stderr
    server.api_faults = [hubserver.web_page]
    done = edgespec("models", "search", "nano", "--json")
    assert [one["name"] for one in json.loads(done.stdout)] == ["nano"]
    server.api_faults = [hubserver.web_page]
    done = edgespec("models", "search", "tiny")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)


def test_pair(edgespec: Run, server: HubServer, tmp_path: Path, data: bytes) -> None:
    small = llama_gguf(tmp_path / "small.gguf", n_layer=1, d=32, heads=2, kv_heads=1, ff=32)
    server.repos["me/draft-GGUF"] = Repo({"draft-Q8_0.gguf": small.read_bytes()})
    done = edgespec("pull", "hf:me/tiny-GGUF", "--drafter", "hf:me/draft-GGUF")
    assert done.returncode == 0
    assert done.stdout.splitlines()[0] == "hf:me/draft-GGUF:Q8_0 is here"
    done = edgespec("pair", TINY)
    assert (done.returncode, done.stderr) == (0, "")
    head, best, nano = done.stdout.splitlines()
    assert head.split() == ["DRAFTER", "VOCABULARY", "ACCEPTANCE", "STEP", "SPEED"]
    assert best.startswith("hf:me/draft-GGUF:Q8_0  same ")
    assert best.endswith("x  estimated")
    assert nano.startswith("nano ")
    assert " by bytes " in nano
    assert "another vocabulary, drafts go over a bridge" in nano
    record = json.loads(edgespec("pair", TINY, "--json").stdout)
    assert record["target"] == TINY
    assert [one["fit"] for one in record["drafters"]] == ["identical", "bytes"]
    done = edgespec("pair", str(small))
    assert (done.returncode, done.stdout) == (0, "no drafter for " + f"{small} is known\n")
    done = edgespec("pair", "nowhere")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (3, "", 1)


@pytest.mark.native
def test_an_onnx_export_from_nothing_to_a_draft(
    server: HubServer, edgespec: Run, tmp_path: Path
) -> None:
    folder = write_folder(tmp_path / "nano", Weights(), Export(bits=4))
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    small = tuple(path for path, data in files.items() if len(data) < 10_000)
    server.repos["me/nano-ONNX"] = Repo(files, plain=small)
    pulled = edgespec("pull", "hf:me/nano-ONNX")
    assert pulled.returncode == 0, pulled.stderr
    prompt = ("--threads", "1", "-t", "0", "-n", "20", "--raw", "def main():", "--json", "-k", "4")
    done = edgespec("run", "--drafter", "hf:me/nano-ONNX", *prompt)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["stats"]["accepted"] > 3
    assert "hf:me/nano-ONNX:model" in edgespec("models", "list").stdout
    assert edgespec("models", "verify", "hf:me/nano-ONNX").returncode == 0
    assert edgespec("models", "rm", "hf:me/nano-ONNX").returncode == 0
