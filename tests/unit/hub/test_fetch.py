"""One file, through everything that a network and a server can do to it."""

import errno
import time
from pathlib import Path
from threading import Event, Thread, Timer

import pytest
from filelock import FileLock

from edgespec.errors import Cancelled, DownloadFailed, EdgespecError, ModelUnavailable
from edgespec.hub.client import Hub, RemoteFile
from edgespec.hub.fetch import Fetch, Job
from edgespec.hub.part import Part, lock_path, part_path
from edgespec.hub.patience import KEPT
from edgespec.hub.progress import State
from edgespec.hub.stream import _check_redirect
from tests import hubserver
from tests.hubserver import Fault, HubServer, Repo
from tests.unit.hub.conftest import TINY

FILE = "tiny-Q8_0.gguf"


class Fetching:
    """A fetch of the larger file, what it told, and where everything is."""

    def __init__(self, hub: Hub, server: HubServer, models: Path) -> None:
        repo = server.repos[TINY]
        self.data = repo.files[FILE]
        self.models = models
        self.target = models / "me/there.gguf"
        self.told: list[tuple[State, int, str]] = []
        self.stop = Event()
        self._hub = hub
        self._file = RemoteFile(FILE, len(self.data), repo.digest(FILE))
        self._commit = repo.commit

    @property
    def part(self) -> bytes:
        path = part_path(self.models, self._file.sha256)
        return path.read_bytes() if path.exists() else b""

    def leave(self, data: bytes) -> None:
        """As if an earlier process had fetched `data`."""
        path = part_path(self.models, self._file.sha256)
        path.parent.mkdir(parents=True)
        path.write_bytes(data)

    def run(self) -> None:
        source = self._hub.source(TINY, self._commit, self._file)
        job = Job("tiny", TINY, self._commit, self._file, self.target)
        Fetch(self._hub, source, job, self.models, self._tell, self.stop).run()

    def check(self) -> None:
        assert self.target.read_bytes() == self.data
        assert self.part == b""
        assert self.told[-1] == (State.DONE, len(self.data), "")

    def fails(self, kind: type[EdgespecError]) -> str:
        """Run, and see that it failed in one line, keeping what it had. Returns the line."""
        with pytest.raises(kind) as caught:
            self.run()
        assert not self.target.exists()
        assert self.data.startswith(self.part)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    def _tell(self, state: State, done: int, note: str) -> None:
        self.told.append((state, done, note))


@pytest.fixture
def fetching(hub: Hub, server: HubServer, edgespec_home: Path) -> Fetching:
    return Fetching(hub, server, edgespec_home / "models")


def test_a_file_arrives(fetching: Fetching, server: HubServer) -> None:
    fetching.run()
    fetching.check()
    assert server.total_sent == len(fetching.data)


@pytest.mark.parametrize(
    "faults",
    [
        [hubserver.status(429, retry_after="0")],
        [hubserver.status(500), hubserver.status(502), hubserver.status(503)],
        [hubserver.status(503, retry_after="nonsense")],
        [hubserver.cut_after(0)],
        [hubserver.cut_after(1)],
        [hubserver.cut_after(size) for size in (70_000, 100_001, 65_536, 99_999, 400_000)],
        [hubserver.cut_after(200_000), hubserver.status(503), hubserver.cut_after(5)],
        [hubserver.cut_after(100_000), hubserver.no_ranges],
        [hubserver.cut_after(100_000), hubserver.wrong_range],
        [hubserver.drip(0.02)],
    ],
)
def test_what_passes(fetching: Fetching, server: HubServer, faults: list[Fault]) -> None:
    server.faults = list(faults)
    fetching.run()
    fetching.check()
    assert any(state is State.WAITING and note for state, _, note in fetching.told)


def test_nothing_is_fetched_twice_after_a_cut(fetching: Fetching, server: HubServer) -> None:
    server.faults = [hubserver.cut_after(100_000), hubserver.cut_after(100_000)]
    fetching.run()
    assert [sent.start for sent in server.sent] == [0, 100_000, 200_000]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (hubserver.status(503), "the server answers 503, 4 times in a row"),
        (hubserver.cut_after(10), "the connection was cut, 4 times in a row"),
        (hubserver.drip(0.02), "the server sends less than 1 KiB/s, 4 times in a row"),
        (hubserver.status(429, retry_after="3600"), "and asks to wait for 3600 seconds"),
        (hubserver.status(418), "the server answers 418 for tiny-Q8_0.gguf of me/tiny-GGUF"),
        (hubserver.status(403), "the Hub refuses tiny-Q8_0.gguf of me/tiny-GGUF: access is forb"),
        (hubserver.status(404), "the Hub has no tiny-Q8_0.gguf of me/tiny-GGUF"),
        (hubserver.status(416), "it changed meanwhile"),
        (hubserver.web_page, "the server sent a web page in place of tiny-Q8_0.gguf"),
        (hubserver.redirect("file:///etc/passwd"), "redirects tiny-Q8_0.gguf of me/tiny-GGUF to"),
        (hubserver.redirect("ftp://localhost/x"), "to 'ftp://localhost/x'"),
        (hubserver.redirect("javascript:alert(1)"), "to 'javascript:alert(1)'"),
        (hubserver.redirect("//[bad"), "the server redirects"),
        (hubserver.circle, "in a circle"),
    ],
)
def test_what_does_not_pass(
    fetching: Fetching, server: HubServer, fault: Fault, expected: str
) -> None:
    fetching.leave(fetching.data[:50_000])
    server.faults = [fault] * 50
    assert expected in fetching.fails(EdgespecError)
    assert len(fetching.part) >= 50_000
    server.faults = []
    fetching.run()
    fetching.check()


def test_a_wrong_checksum(hub: Hub, server: HubServer, edgespec_home: Path) -> None:
    server.repos[TINY].claims[FILE] = "b" * 64
    fetching = Fetching(hub, server, edgespec_home / "models")
    assert "arrived damaged (SHA-256" in fetching.fails(DownloadFailed)
    assert fetching.part == b""


def test_a_part_that_was_damaged_on_the_disk(fetching: Fetching) -> None:
    fetching.leave(b"x" * 1000)
    with pytest.raises(DownloadFailed, match="arrived damaged"):
        fetching.run()
    fetching.run()
    fetching.check()


def test_a_part_that_is_too_long(fetching: Fetching) -> None:
    fetching.leave(fetching.data + b"x")
    fetching.run()
    fetching.check()


def test_a_part_that_is_complete(fetching: Fetching, server: HubServer) -> None:
    fetching.leave(fetching.data)
    fetching.run()
    fetching.check()
    assert server.total_sent == 0


def test_a_file_that_changes_between_two_ranges(fetching: Fetching, server: HubServer) -> None:
    repo = server.repos[TINY]

    def change(handler: hubserver.Handler, data: bytes) -> bool:
        old = repo.commit
        server.repos[TINY] = new = Repo({**repo.files, FILE: data[::-1]})
        type(new).commit = property(lambda _: old)  # type: ignore[assignment]
        return hubserver.cut_after(100_000)(handler, data)

    original = Repo.commit
    server.faults = [change]
    try:
        assert "is not what the Hub announced" in fetching.fails(DownloadFailed)
    finally:
        Repo.commit = original  # type: ignore[method-assign]
    assert len(fetching.part) == 100_000


def test_a_gated_repository(fetching: Fetching, server: HubServer) -> None:
    server.repos[TINY].gated = True
    line = fetching.fails(ModelUnavailable)
    assert "only to those it has let in; accept its conditions on its page" in line


def test_the_token_goes_to_the_hub_and_not_to_the_cdn(
    fetching: Fetching, server: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.repos[TINY].gated = True
    server.token = "hf_secret"
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    fetching.run()
    assert [sent.authorization for sent in server.sent] == [None]


def test_stopping(fetching: Fetching, server: HubServer) -> None:
    server.bytes_per_second = 2_000_000
    Timer(0.3, fetching.stop.set).start()
    assert "stopped; what was fetched is kept" in fetching.fails(Cancelled)
    assert 0 < len(fetching.part) < len(fetching.data)


def test_stopping_while_it_waits(fetching: Fetching, server: HubServer) -> None:
    server.faults = [hubserver.status(503, retry_after="2")]
    Timer(0.2, fetching.stop.set).start()
    begin = time.monotonic()
    fetching.fails(Cancelled)
    assert time.monotonic() - begin < 1.5


def test_a_folder_that_cannot_be_written(fetching: Fetching) -> None:
    fetching.models.parent.mkdir(parents=True, exist_ok=True)
    fetching.models.write_text("a file is in the way")
    with pytest.raises(DownloadFailed, match="cannot be kept in"):
        fetching.run()


def test_two_at_once_cooperate(fetching: Fetching, server: HubServer, hub: Hub) -> None:
    server.bytes_per_second = 8_000_000
    other = Fetching(hub, server, fetching.models)
    thread = Thread(target=other.run)
    thread.start()
    fetching.run()
    thread.join()
    fetching.check()
    other.check()
    assert server.total_sent == len(fetching.data)
    waits = [note for state, _, note in fetching.told + other.told if state is State.WAITING]
    assert set(waits) == {"another edgespec is fetching it"}


def test_https_does_not_become_http() -> None:
    with pytest.raises(DownloadFailed, match="redirects the file to 'http://elsewhere/x'"):
        _check_redirect("http://elsewhere/x", "the file", secure=True)
    _check_redirect("https://elsewhere/x", "the file", secure=True)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left"), "there is no room for {}: No space left; free"),
        (OSError(errno.EACCES, "Permission denied"), "{} cannot be kept in {}: Permission denied"),
        (OSError("odd"), "{} cannot be kept in {}: odd"),
    ],
)
def test_what_cannot_be_written_is_told_with_its_place(
    fetching: Fetching, monkeypatch: pytest.MonkeyPatch, error: OSError, words: str
) -> None:
    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr(Part, "append", refuse)
    said = fetching.fails(DownloadFailed)
    what = f"{FILE} of {TINY}"
    if "room" in words:
        assert said.startswith(words.format(f"{what} in {fetching.models}"))
        assert said.endswith(f"some and pull it again; {KEPT}")
    else:
        assert said == words.format(what, fetching.models)


def test_what_is_told_while_a_file_comes(
    fetching: Fetching, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgespec.hub.fetch._INTERVAL", 0.0)
    fetching.run()
    *coming, last = fetching.told
    assert {(state, note) for state, _, note in coming} == {(State.FETCHING, "")}
    counts = [done for _, done, _ in coming]
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (0, len(fetching.data))
    assert last == (State.DONE, len(fetching.data), "")


def test_who_is_to_stop_stops_also_while_another_one_fetches(fetching: Fetching) -> None:
    fetching.stop.set()
    assert fetching.fails(Cancelled) == f"stopped; {KEPT}"
    fetching.told.clear()
    with FileLock(lock_path(fetching.models, fetching._file.sha256)):
        assert fetching.fails(Cancelled) == f"stopped; {KEPT}"
    assert fetching.told == [(State.WAITING, 0, "another edgespec is fetching it")]
