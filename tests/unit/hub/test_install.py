"""Whole models: what is chosen, fetched, noted and used again."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import gguf
import pytest

from edgespec import catalog
from edgespec.devices import Device, DeviceKind
from edgespec.errors import Cancelled, DownloadFailed, ModelUnavailable, NotEnoughMemory
from edgespec.gguf_header import GgufHeader
from edgespec.hub.choice import Chooser, Chosen, Room
from edgespec.hub.client import Hub
from edgespec.hub.install import install
from edgespec.hub.names import parse
from edgespec.hub.part import part_path
from edgespec.hub.progress import Progress, State
from edgespec.library import Installed, Library, is_damaged
from tests import hubserver
from tests.ggufs import llama_gguf
from tests.hubserver import HubServer, Repo
from tests.unit.hub.conftest import TINY, room

ROOM = room(1 << 40)
LARGE, SMALL = "hf:me/tiny-GGUF:Q8_0", "hf:me/tiny-GGUF:Q4_0"


class Puller:
    """What a front end does."""

    def __init__(self, hub: Hub, library: Library) -> None:
        self.hub = hub
        self.library = library
        self.told: list[Progress] = []
        self.stop = Event()

    def choose(self, text: str, room: Room = ROOM) -> Chosen:
        return Chooser(self.hub, self.library, self.stop).choose(parse(text), room)

    def pull(self, *texts: str) -> list[Installed]:
        chosen = [self.choose(text) for text in texts]
        return install(self.hub, self.library, chosen, self.told.append, self.stop)


@pytest.fixture
def puller(hub: Hub, library: Library) -> Puller:
    return Puller(hub, library)


@pytest.fixture
def split(server: HubServer, tmp_path: Path) -> Iterator[str]:
    """A repository with a model of several parts in a folder."""
    whole = llama_gguf(tmp_path / "split.gguf", n_layer=4, split=10)
    parts = sorted(whole.parent.glob("split-*.gguf"))
    assert len(parts) > 2
    server.repos["me/split-GGUF"] = Repo({f"Q8_0/{part.name}": part.read_bytes() for part in parts})
    yield "hf:me/split-GGUF"
    for part in parts:
        part.unlink()


def requests(server: HubServer) -> list[tuple[str, int]]:
    """The files that content was asked of, and from where, headers not counted."""
    asked = [(sent.path.rpartition("/")[2], sent.start) for sent in server.sent]
    server.sent.clear()
    return asked


def test_a_pull(puller: Puller, server: HubServer) -> None:
    (model,) = puller.pull(SMALL)
    data = server.repos[TINY].files["tiny-Q4_0.gguf"]
    assert model.path.read_bytes() == data
    assert puller.library.installed() == [model]
    assert (model.complete, model.size, model.licence) == (True, len(data), "apache-2.0")
    assert catalog.resolve(SMALL).target == catalog.resolve("hf:me/tiny-GGUF").target == model.path
    assert [record.state for record in puller.told][:1] == [State.QUEUED]
    assert puller.told[-1].state is State.DONE
    assert not list(puller.library.folder.rglob("*.part"))


def test_several_models_at_once(puller: Puller) -> None:
    small, large = puller.pull(SMALL, LARGE)
    assert small.complete
    assert large.complete
    assert {record.model for record in puller.told} == {SMALL, LARGE}
    assert catalog.resolve("hf:me/tiny-GGUF").target == large.path


def test_a_second_pull_fetches_nothing(puller: Puller, server: HubServer) -> None:
    puller.pull(LARGE)
    requests(server)
    puller.pull(LARGE)
    assert requests(server) == []


def test_the_largest_that_fits(puller: Puller) -> None:
    needs = [puller.choose(name).needs for name in (LARGE, SMALL)]
    assert needs[0] > needs[1]
    assert puller.choose("hf:me/tiny-GGUF", room(needs[0])).model.name == LARGE
    assert puller.choose("hf:me/tiny-GGUF", room(needs[0] - 1)).model.name == SMALL


def test_devices_have_room_as_well(puller: Puller) -> None:
    need = puller.choose(LARGE).needs
    gpu = Device("GPU0", "a GPU", DeviceKind.GPU, 1 << 30, 1 << 30)
    chosen = puller.choose("hf:me/tiny-GGUF", room(need - 1, gpu))
    assert (chosen.model.name, chosen.needs) == (LARGE, need)
    assert chosen.rate
    with pytest.raises(NotEnoughMemory, match=r"may take 0.00 GiB here, 1.00 GiB on GPU0; choose"):
        puller.choose(LARGE, room(1000, gpu))


def test_nothing_fits(puller: Puller) -> None:
    line = r"Q4_0 needs about .* with a context of 512 tokens, .*; choose a smaller --context"
    for name in ("hf:me/tiny-GGUF", SMALL):
        with pytest.raises(NotEnoughMemory, match=line):
            puller.choose(name, room(1000))
    assert puller.choose("hf:me/tiny-GGUF", Room()).model.name == LARGE


def test_unquantized_weights_are_the_last_choice(puller: Puller, server: HubServer) -> None:
    large, small = (server.repos[TINY].files[f"tiny-{q}.gguf"] for q in ("Q8_0", "Q4_0"))
    server.repos["me/b"] = Repo({"b-BF16.gguf": large, "b-Q4_0.gguf": small})
    assert puller.choose("hf:me/b").model.choice == "Q4_0"
    server.repos["me/b"] = Repo({"b-F16.gguf": large})
    assert puller.choose("hf:me/b").model.choice == "F16"


def test_headers_are_read_before_anything_is_fetched(puller: Puller, server: HubServer) -> None:
    chosen = puller.choose(LARGE)
    assert isinstance(chosen.header, GgufHeader)
    assert chosen.header.architecture == "llama"
    assert chosen.header.context_length == 512
    assert not puller.library.folder.exists()
    assert server.total_sent < chosen.model.size


@pytest.mark.parametrize("size", [0, 3, 100, 5000])
def test_a_broken_model_is_not_fetched(puller: Puller, server: HubServer, size: int) -> None:
    server.repos["me/b"] = Repo({"b.gguf": server.repos[TINY].files["tiny-Q4_0.gguf"][:size]})
    with pytest.raises(ModelUnavailable, match=r"me/b/b\.gguf is (empty|not a|cut|damaged)"):
        puller.pull("hf:me/b")
    assert not puller.library.folder.exists()


def test_parts_of_a_model(puller: Puller, split: str) -> None:
    (model,) = puller.pull(split)
    assert len(model.files) > 2
    assert catalog.resolve(split).target == model.files[0].path
    assert gguf.GGUFReader(model.path).fields


def test_a_pull_that_is_cut_off_goes_on(
    puller: Puller, server: HubServer, split: str, library: Library
) -> None:
    chosen = puller.choose(split)
    count = len(chosen.model.files)
    server.faults = [lambda *_: False, hubserver.cut_after(20_000), hubserver.status(404)]
    with pytest.raises(ModelUnavailable):
        install(puller.hub, library, [chosen], puller.told.append, puller.stop)
    (model,) = library.installed()
    assert not model.complete
    with pytest.raises(ModelUnavailable, match="is not all here; edgespec pull hf:me/split"):
        catalog.resolve(split)
    there = sum(file.present for file in model.files)
    assert 0 < there < count
    requests(server)
    (model,) = puller.pull(split)
    assert len(requests(server)) == count + count - there  # The headers, and what was missing.
    assert model.complete
    assert library.installed() == [model]


def test_what_was_begun_is_finished_at_its_commit(puller: Puller, server: HubServer) -> None:
    repo = server.repos[TINY]
    begun = puller.choose(LARGE)
    puller.stop.set()
    with pytest.raises(Cancelled):
        install(puller.hub, puller.library, [begun], puller.told.append, puller.stop)
    puller.stop.clear()
    new = Repo({**repo.files, "README.md": b"news"})
    server.repos[TINY] = new
    assert puller.choose(LARGE).model.commit == new.commit  # The old one is gone from this server.
    assert puller.library.installed()[0].commit == repo.commit
    server.repos[TINY] = repo
    assert puller.choose(LARGE).model.commit == repo.commit


def test_a_new_version_replaces_the_old_one(puller: Puller, server: HubServer) -> None:
    (old,) = puller.pull(SMALL)
    changed = server.repos[TINY].files["tiny-Q8_0.gguf"]
    server.repos[TINY] = Repo({"tiny-Q4_0.gguf": changed})
    (new,) = puller.pull(SMALL)
    assert new.path.read_bytes() == changed
    assert not old.path.exists()
    assert puller.library.installed() == [new]


def test_a_new_version_with_the_same_file_fetches_nothing(
    puller: Puller, server: HubServer
) -> None:
    (old,) = puller.pull(SMALL)
    server.repos[TINY] = Repo({**server.repos[TINY].files, "README.md": b"news"})
    requests(server)
    (new,) = puller.pull(SMALL)
    assert new.path == old.path
    assert new.commit != old.commit
    assert new.complete
    assert requests(server) == []


def test_the_old_version_serves_until_the_new_one_is_there(
    puller: Puller, server: HubServer
) -> None:
    (old,) = puller.pull(SMALL)
    server.repos[TINY] = Repo({"tiny-Q4_0.gguf": server.repos[TINY].files["tiny-Q8_0.gguf"]})
    server.faults = [lambda *_: False, *[hubserver.status(404)] * 3]
    with pytest.raises(ModelUnavailable):
        puller.pull(SMALL)
    assert catalog.resolve(SMALL).target == old.path
    assert puller.library.pending(SMALL) is not None


def test_removing(puller: Puller, server: HubServer) -> None:
    small, large = puller.pull(SMALL, LARGE)
    assert puller.library.remove(small) == small.size
    assert not small.path.exists()
    assert puller.library.installed() == [large]
    assert puller.library.remove(large) == large.size
    left = [path for path in puller.library.folder.rglob("*") if path.is_file()]
    assert left == []


def test_removing_what_is_half_fetched(puller: Puller, server: HubServer) -> None:
    server.faults = [lambda *_: False, hubserver.cut_after(70_000), hubserver.status(404)]
    with pytest.raises(ModelUnavailable):
        puller.pull(LARGE)
    (model,) = puller.library.installed()
    assert puller.library.remove(model) == 70_000
    assert puller.library.installed() == []


def test_verifying(puller: Puller) -> None:
    (model,) = puller.pull(SMALL)
    assert not is_damaged(model.files[0])
    model.path.write_bytes(model.path.read_bytes()[:-1] + b"?")
    assert is_damaged(model.files[0])
    model.path.unlink()
    assert is_damaged(model.files[0])


def test_a_disk_that_is_too_small(puller: Puller, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")._replace(free=1 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DownloadFailed, match=r"MB are missing and 1\.0 MB are free in"):
        puller.pull(LARGE)
    assert not puller.library.installed()


def test_the_hub_s_cache_is_used_in_place(
    puller: Puller, server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    repo = server.repos[TINY]
    blob = tmp_path / "models--me--tiny-GGUF/blobs" / repo.digest("tiny-Q8_0.gguf")
    blob.parent.mkdir(parents=True)
    blob.write_bytes(repo.files["tiny-Q8_0.gguf"])
    puller.choose(LARGE)
    requests(server)
    (model,) = puller.pull(LARGE)
    assert model.path == blob
    assert len(requests(server)) == 1  # The header.
    puller.library.remove(model)
    assert blob.exists()


def test_a_damaged_file_in_the_cache_is_not_used(
    puller: Puller, server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path))
    repo = server.repos[TINY]
    blob = tmp_path / "blobs" / f"sha256-{repo.digest('tiny-Q8_0.gguf')}"
    blob.parent.mkdir(parents=True)
    blob.write_bytes(repo.files["tiny-Q8_0.gguf"][::-1])
    (model,) = puller.pull(LARGE)
    assert model.path != blob
    assert not is_damaged(model.files[0])


def test_an_exception_in_the_front_end_ends_the_pull(puller: Puller, server: HubServer) -> None:
    chosen = puller.choose(LARGE)
    server.bytes_per_second = 1_000_000

    def fail(progress: Progress) -> None:
        if progress.done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        install(puller.hub, puller.library, [chosen], fail, puller.stop)
    assert puller.stop.is_set()
    assert part_path(puller.library.folder, chosen.model.files[0].sha256).stat().st_size > 0


def test_a_silent_server_does_not_keep_a_pull_from_stopping(
    hub: Hub, puller: Puller, server: HubServer
) -> None:
    chosen = puller.choose(LARGE)
    server.faults = [hubserver.drip(30)]
    slow = Hub(server.endpoint)
    told: list[Progress] = []

    def stop_soon(progress: Progress) -> None:
        told.append(progress)
        if progress.state is State.FETCHING:
            puller.stop.set()

    with pytest.raises(Cancelled):
        install(slow, puller.library, [chosen], stop_soon, puller.stop)
    assert told[-1].state is not State.DONE


def test_a_manifest_that_makes_no_sense_is_no_model(library: Library) -> None:
    folder = library.folder / "manifests"
    folder.mkdir(parents=True)
    for number, text in enumerate(("", "{", "[]", '{"format": 1}', '{"format": 9}', "9" * 5000)):
        (folder / f"{number}.json").write_text(text)
    assert library.installed() == []
