"""`edgespec pull` from a server that misbehaves in every way that this project could think of."""

import random

import pytest

from edgespec.cli import app
from edgespec.hub.client import Hub
from edgespec.hub.patience import Patience
from edgespec.library import Library
from tests import hubserver
from tests.hubserver import Fault, HubServer, Repo

REPOSITORY, FILE = "me/tiny-GGUF", "tiny-Q8_0.gguf"
TINY = f"hf:{REPOSITORY}:Q8_0"
QUICK = Patience(tries=3, first_wait=0.01, longest_wait=0.02, longest_asked=2, silence=0.3)


@pytest.fixture(autouse=True)
def quick(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server of the tests is the Hub, and nobody waits long for it."""
    monkeypatch.setattr("edgespec.pulling.Hub", lambda: Hub(server.endpoint, QUICK))
    monkeypatch.setenv("HF_TOKEN", "")


def good(*_: object) -> bool:
    """No fault at all: what the header is read with."""
    return False


def cuts(count: int) -> list[Fault]:
    """Connections that end after random numbers of bytes, all of which bring the file forward."""
    dice = random.Random(0)
    return [hubserver.cut_after(dice.randrange(1 << 16, 200_000)) for _ in range(count)]


@pytest.mark.parametrize(
    "fault",
    [
        hubserver.status(429, retry_after="3600"),
        hubserver.status(503),
        hubserver.cut_after(10),
        hubserver.drip(0.05),
        hubserver.status(403),
        hubserver.status(404),
        hubserver.status(416),
        hubserver.status(418),
        hubserver.web_page,
        hubserver.wrong_range,
        hubserver.redirect("file:///etc/passwd"),
        hubserver.redirect("gopher://localhost/"),
        hubserver.circle,
    ],
)
def test_every_fault_is_one_line_and_loses_nothing(
    server: HubServer, fault: Fault, data: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    server.faults = [lambda *_: False, hubserver.cut_after(150_000), *[fault] * 20]
    assert app.run(["pull", TINY]) in (1, 3)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("edgespec: error: ") == 1
    assert "Traceback" not in err
    assert err.splitlines()[-1].startswith("edgespec: error: ")
    (model,) = Library().installed()
    assert not model.complete
    server.faults = []
    server.sent.clear()
    assert app.run(["pull", TINY]) == 0
    assert model.path.read_bytes() == data
    assert server.sent[-1].start >= 150_000


@pytest.mark.parametrize(
    "fault",
    [
        hubserver.status(503),
        hubserver.status(200),
        hubserver.web_page,
        hubserver.redirect("file:///etc/passwd"),
        hubserver.circle,
        lambda handler, _: bool(handler.reply(200, b'{"id": 3}', {})) or True,
        lambda handler, _: bool(handler.reply(200, b"[" * 100_000, {})) or True,
    ],
)
def test_an_api_that_makes_no_sense_is_one_line(
    server: HubServer, fault: Fault, capsys: pytest.CaptureFixture[str]
) -> None:
    server.api_faults = [fault] * 50
    assert app.run(["pull", TINY]) == 1
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("edgespec: error: ")


@pytest.mark.parametrize(
    "faults",
    [
        [hubserver.status(429, retry_after="0")],
        [hubserver.status(500), hubserver.status(503)],
        [hubserver.status(code) for code in (502, 504)] + [hubserver.cut_after(100_000)],
        cuts(6),
        [hubserver.cut_after(100_000), hubserver.drip(0.05), hubserver.no_ranges],
        [hubserver.cut_after(100_000), hubserver.wrong_range],
    ],
    ids=["429", "burst", "burst and cut", "cuts", "drip", "range"],
)
@pytest.mark.parametrize("first", [[], [good]], ids=["header", "file"])
def test_what_passes_ends_in_a_verified_file(
    server: HubServer,
    faults: list[Fault],
    first: list[Fault],
    data: bytes,
    capsys: pytest.CaptureFixture[str],
) -> None:
    server.faults = [*first, *(faults if first else faults[:2])]
    assert app.run(["pull", TINY]) == 0
    assert capsys.readouterr().out == f"{TINY} is here: edgespec run -m {TINY}\n"
    assert server.faults == []
    (model,) = Library().installed()
    assert model.path.read_bytes() == data


def test_an_api_that_recovers(server: HubServer) -> None:
    server.api_faults = [hubserver.status(429, retry_after="1"), hubserver.status(500)]
    assert app.run(["pull", TINY]) == 0
    assert server.api_faults == []


def test_a_wrong_checksum_is_one_line_and_no_model(
    server: HubServer, data: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    server.repos[REPOSITORY].claims[FILE] = "b" * 64
    assert app.run(["pull", TINY]) == 1
    *_, line = capsys.readouterr().err.splitlines()
    assert line.startswith(f"edgespec: error: {FILE} arrived damaged (SHA-256 ")
    (model,) = Library().installed()
    assert not model.complete
    assert not list(Library().folder.rglob("*.part"))
    server.repos[REPOSITORY].claims.clear()
    assert app.run(["pull", TINY]) == 0
    assert Library().installed()[0].path.read_bytes() == data


def test_names_and_metadata_are_data(
    server: HubServer, data: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    evil = (
        *("../../x-Q4_0.gguf", "/tmp/x-Q4_1.gguf", "a/../x-Q5_0.gguf", "..\\x-Q5_1.gguf"),
        *("x\0-Q6_K.gguf", "x\x1b[2J-Q3_K_M.gguf", "x\n-Q2_K.gguf", "C:x-IQ4_XS.gguf"),
        *("n" * 300 + "-IQ2_M.gguf", "CON.gguf", "\udcff-IQ3_S.gguf"),
        *("same-IQ1_S.gguf", "SAME-IQ1_S.gguf"),
    )
    files = dict.fromkeys(evil, data) | {"good-Q8_0.gguf": data}
    server.repos["me/evil"] = Repo(files, tags=("license:\x1b]0;owned\x07",))
    assert app.run(["pull", "hf:me/evil"]) == 0
    assert app.run(["models", "list"]) == 0
    assert app.run(["models", "show", "hf:me/evil"]) == 0
    out, err = capsys.readouterr()
    assert not any(mark in out + err for mark in "\x1b\x07\0")
    models = Library().folder
    (file,) = models.rglob("*.gguf")
    assert file.name == "good-Q8_0.gguf"
    assert {path.name for path in models.parent.rglob("*x-Q*")} == set()


def test_a_file_that_changes_between_two_ranges_is_one_line(
    server: HubServer, data: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = data[:-1] + b"?"

    def change(handler: hubserver.Handler, content: bytes) -> bool:
        server.repos[REPOSITORY].claims[FILE] = "c" * 64
        return hubserver.cut_after(150_000)(handler, content)

    server.faults = [good, change]
    assert app.run(["pull", TINY]) == 1
    *_, line = capsys.readouterr().err.splitlines()
    assert "is not what the Hub announced: it changed meanwhile; pull it again" in line
    server.repos[REPOSITORY] = Repo({FILE: changed})
    assert app.run(["pull", TINY]) == 0
    assert Library().installed()[0].path.read_bytes() == changed
