"""Pairs: chosen together, pulled together, used together."""

from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest
from gguf import PoolingType

from edgespec import catalog, machines, matchmaking, pulling
from edgespec.catalog import Pair
from edgespec.embedder import look_at
from edgespec.errors import InvalidInput, ModelUnavailable, VocabularyMismatch
from edgespec.headers import Header
from edgespec.hub.choice import Chooser
from edgespec.hub.client import Hub
from edgespec.hub.names import parse
from edgespec.hub.progress import Progress
from edgespec.inventory import details
from edgespec.library import Installed, Library
from edgespec.matchmaking import best_pair, find_target, suggestions
from edgespec.pulling import Plan, PullOptions, pull
from edgespec.ranking import Fit
from tests.ggufs import Vocabulary, bert_gguf, llama_gguf
from tests.hubserver import HubServer, Repo
from tests.unit.hub.conftest import TINY, room

OWN = """
[pairs.tiny]
description = "a pair"
licence = "none"
target = "hf:me/tiny-GGUF"
drafter = "hf:me/draft-GGUF:Q8_0"
"""
TARGET, DRAFTER = "hf:me/tiny-GGUF:Q8_0", "hf:me/draft-GGUF:Q8_0"


@pytest.fixture(autouse=True)
def own_catalogue(edgespec_home: Path) -> Path:
    """A catalogue with one more pair."""
    config = edgespec_home / "config"
    config.mkdir(parents=True)
    (config / "models.toml").write_text(OWN)
    return config / "models.toml"


@pytest.fixture
def server(server: HubServer, tmp_path: Path) -> HubServer:
    """One more repository, with a model of the same vocabulary and one of another."""
    same = llama_gguf(tmp_path / "same.gguf", n_layer=1, d=32, heads=2, kv_heads=1, ff=32)
    other = llama_gguf(tmp_path / "other.gguf", n_layer=1, d=32, heads=2, kv_heads=1, variant=1)
    server.repos["me/draft-GGUF"] = Repo({"draft-Q8_0.gguf": same.read_bytes()})
    server.repos["me/other-GGUF"] = Repo({"other-Q8_0.gguf": other.read_bytes()})
    return server


class Puller:
    """What a front end does."""

    def __init__(self, hub: Hub, library: Library) -> None:
        self._hub = hub
        self._library = library
        self.plans: list[Plan] = []
        self.told: list[Progress] = []

    def pull(self, name: str, options: PullOptions | None = None) -> list[str]:
        installed = pull(
            name,
            options or PullOptions(),
            self.plans.append,
            self.told.append,
            Event(),
            hub=self._hub,
            library=self._library,
        )
        return [model.name for model in installed]

    def read_remote(self, name: str) -> tuple[str, Header]:
        chooser = Chooser(self._hub, self._library, Event())
        chosen = chooser.choose(parse(name), room(1 << 40))
        return chosen.model.name, chooser.compared(chosen)


@pytest.fixture
def puller(hub: Hub, library: Library) -> Puller:
    return Puller(hub, library)


def path_of(library: Library, name: str) -> Path:
    model = library.best(name)
    assert isinstance(model, Installed)
    return model.path


@pytest.mark.parametrize("name", ["tiny", "hf:me/tiny-GGUF", "hf:ME/tiny-gguf:Q8_0"])
def test_a_pair_is_pulled_whole(
    puller: Puller, library: Library, server: HubServer, name: str
) -> None:
    server.repos["ME/tiny-gguf"] = server.repos[TINY]
    drafter, target = puller.pull(name)
    assert drafter == DRAFTER
    assert target.lower() == TARGET.lower()
    (plan,) = puller.plans
    assert [chosen.model.name for chosen in plan.models] == [drafter, target]
    assert {record.model for record in puller.told} == {drafter, target}
    if name == "tiny":
        pair = Pair("tiny", path_of(library, TARGET), path_of(library, DRAFTER))
        assert catalog.resolve("tiny") == pair


def test_a_model_that_makes_embeddings(
    puller: Puller, library: Library, server: HubServer, tmp_path: Path
) -> None:
    for name, pooling in (("embed", PoolingType.MEAN), ("tokens", PoolingType.NONE)):
        file = bert_gguf(tmp_path / f"{name}.gguf", pooling=pooling)
        server.repos[f"me/{name}-GGUF"] = Repo({f"{name}-F32.gguf": file.read_bytes()})
    (pulled,) = puller.pull("hf:me/embed-GGUF")
    name, header = look_at(pulled)
    assert header
    assert header.path == path_of(library, pulled)
    assert details(pulled)["embeddings"] == "yes"
    assert puller.pull("hf:me/embed-GGUF") == [pulled]
    with pytest.raises(ModelUnavailable, match="cannot continue"):
        puller.pull("hf:me/tokens-GGUF")


def test_options(puller: Puller) -> None:
    assert puller.pull("tiny", PullOptions("Q4_0", drafter="none")) == ["hf:me/tiny-GGUF:Q4_0"]
    assert puller.pull("hf:me/draft-GGUF") == [DRAFTER]
    with pytest.raises(InvalidInput, match="nano needs no pulling"):
        puller.pull("nano")
    with pytest.raises(InvalidInput, match="x is not a model of the Hub"):
        puller.pull("tiny", PullOptions(drafter="x"))


def test_a_drafter_of_another_vocabulary(
    puller: Puller, library: Library, own_catalogue: Path, server: HubServer
) -> None:
    other = "hf:me/other-GGUF:Q8_0"
    own_catalogue.write_text(OWN.replace("draft-GGUF", "other-GGUF"))
    assert puller.pull("tiny") == [TARGET]
    note = f"{other} has another vocabulary and is left out"
    assert puller.plans[-1].notes[1:] == (note,)
    assert puller.pull("tiny", PullOptions(drafter="hf:me/other-GGUF")) == [other, TARGET]
    assert puller.plans[-1].notes[1] == f"{other}: another vocabulary, drafts go over a bridge"


def test_a_drafter_that_nothing_leads_to(
    puller: Puller, library: Library, server: HubServer, tmp_path: Path
) -> None:
    known = Vocabulary.of_size(320)
    strange = Vocabulary(known.tokens, known.merges, "bert")
    file = llama_gguf(tmp_path / "strange.gguf", vocabulary=strange, n_layer=1, d=32, heads=2)
    server.repos["me/strange-GGUF"] = Repo({"strange-Q8_0.gguf": file.read_bytes()})
    with pytest.raises(VocabularyMismatch, match="and hf:me/tiny-GGUF:Q8_0 have no vocabulary in"):
        puller.pull("tiny", PullOptions(drafter="hf:me/strange-GGUF"))
    assert library.installed() == []


def test_room_for_both(puller: Puller, monkeypatch: pytest.MonkeyPatch) -> None:
    puller.pull("tiny")
    drafter, target = (chosen.needs for chosen in puller.plans[0].models)
    monkeypatch.setattr(machines, "idle", lambda: room(drafter + target - 1).machine)
    assert puller.pull("tiny") == [DRAFTER, "hf:me/tiny-GGUF:Q4_0"]


def test_offline_what_is_here_is_enough(
    puller: Puller, server: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulling, "is_offline", lambda: True)
    puller.pull("hf:me/draft-GGUF")
    puller.pull("tiny")
    server.asked.clear()
    assert puller.pull("tiny") == [DRAFTER, TARGET]
    assert server.asked == []


def test_a_target_without_a_drafter_gets_the_best(
    puller: Puller, library: Library, own_catalogue: Path
) -> None:
    own_catalogue.write_text("")
    puller.pull("hf:me/tiny-GGUF")
    target = path_of(library, TARGET)
    assert best_pair(TARGET).drafter is None
    puller.pull("hf:me/draft-GGUF")
    puller.pull("hf:me/other-GGUF")
    assert best_pair(TARGET).drafter == path_of(library, DRAFTER)
    assert best_pair(TARGET, speculate=False).drafter is None
    assert best_pair(TARGET, "hf:me/other-GGUF").drafter == path_of(library, "hf:me/other-GGUF")
    assert best_pair(str(target)).drafter == path_of(library, DRAFTER)


def test_without_a_name_it_is_the_largest_that_was_pulled_and_fits(
    puller: Puller, own_catalogue: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert best_pair(None).name == "nano"
    puller.pull("tiny", PullOptions("Q4_0"))
    puller.pull("tiny", PullOptions("Q8_0"))
    assert best_pair(None) == best_pair("tiny")
    assert best_pair(TARGET) == replace(best_pair("tiny"), name=TARGET)
    need = puller.plans[0].models[1].needs
    monkeypatch.setattr(machines, "idle", lambda: room(need).machine)
    assert best_pair(None).name == "hf:me/tiny-GGUF:Q4_0"
    own_catalogue.write_text('default = "nano"\n' + OWN)
    assert best_pair(None).name == "nano"


def test_what_llama_cpp_does_not_know_is_not_fetched(
    puller: Puller, server: HubServer, tmp_path: Path
) -> None:
    data = llama_gguf(tmp_path / "new.gguf").read_bytes()
    new = data.replace(b"llama", b"lamma")
    server.repos["me/new-GGUF"] = Repo({"new-Q8_0.gguf": new})
    with pytest.raises(ModelUnavailable, match="of the architecture lamma, which"):
        puller.pull("hf:me/new-GGUF")
    assert puller.told == []


def test_a_pair_whose_drafter_was_not_pulled_runs_without(puller: Puller) -> None:
    puller.pull("tiny", PullOptions(drafter="none"))
    assert catalog.resolve("tiny").drafter is None


def test_suggestions_for_what_is_not_here_yet(puller: Puller) -> None:
    target = find_target("tiny", puller.read_remote)
    assert (target.name, target.file) == (TARGET, None)
    found = suggestions(target, puller.read_remote)
    assert [(one.name, one.here, one.fit) for one in found if one.fit.direct] == [
        (DRAFTER, False, Fit.IDENTICAL)
    ]
    assert not any(one.fit.direct for one in suggestions(target))
    puller.pull("tiny")
    target = find_target("tiny", puller.read_remote)
    assert target.file is not None
    best = suggestions(target, puller.read_remote)[0]
    assert (best.name, best.here, best.measured) == (DRAFTER, True, False)


def test_suggestions_without_a_network(puller: Puller, server: HubServer) -> None:
    puller.pull("tiny", PullOptions(drafter="none"))
    server.close()
    server.close = lambda: None  # type: ignore[method-assign]
    target = find_target("tiny", puller.read_remote)
    assert [one for one in suggestions(target, puller.read_remote) if one.fit.direct] == []
    with pytest.raises(ModelUnavailable):
        matchmaking.find_target(str(replace(target, name="x").name), puller.read_remote)
