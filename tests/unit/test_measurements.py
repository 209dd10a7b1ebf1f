"""What was measured and kept: read back as it was, or taken as if it had never been there."""

import json
import os
import string
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgespec.acceptance import AcceptanceModel
from edgespec.costs import CostModel, CostTable
from edgespec.measurements import Measurements, MeasurementStore, identity, key

TABLE = CostTable(
    {0: {1: 0.015, 2: 0.025, 4: 0.029}, 1024: {1: 0.017, 4: 0.033}}, {0: 0.002}, 1.2, 1.4, 0.05
)
NAME = "pair"
on_files = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def acceptance() -> AcceptanceModel:
    model = AcceptanceModel()
    model.source("drafter", 2).learn((0.5, 1.0), True)
    model.source("suffix", 1).learn((0.5,), False)
    return model


def measured(when: float | None = None) -> Measurements:
    return Measurements(TABLE, acceptance(), time.time() if when is None else when)


@pytest.fixture
def store(tmp_path: Path) -> MeasurementStore:
    return MeasurementStore(tmp_path / "deep" / "measurements")


@pytest.fixture
def saved(store: MeasurementStore, tmp_path: Path) -> Path:
    store.save(NAME, measured())
    [file] = (tmp_path / "deep" / "measurements").iterdir()
    return file


def use(found: Measurements) -> None:
    """What the scheduler does with them; nothing in it may fail or be senseless."""
    costs = CostModel(found.costs)
    for n in (1, 4, 17):
        assert 0 < costs.verify(n, 300) < float("inf")
    assert 0 <= costs.draft(300, rows=3, contended=True) < float("inf")
    drafter = found.acceptance.source("drafter", 2)
    assert 0 < drafter.probability((0.1, 0.2)) < 1
    drafter.learn((0.1, 0.2), True)
    assert isinstance(found.old, bool)


def test_what_is_saved_is_loaded(store: MeasurementStore) -> None:
    before = measured(123.5)
    store.save(NAME, before)
    after = store.load(NAME)
    assert after is not None
    assert (after.costs, after.measured) == (before.costs, before.measured)
    assert after.acceptance.to_json() == before.acceptance.to_json()


def test_nothing_is_loaded_where_nothing_was_saved(store: MeasurementStore) -> None:
    assert store.load(NAME) is None
    store.save(NAME, measured())
    assert store.load("other") is None


def test_saving_again_replaces_and_leaves_no_litter(store: MeasurementStore, saved: Path) -> None:
    store.save(NAME, measured(5.0))
    found = store.load(NAME)
    assert found is not None
    assert found.measured == 5.0
    assert list(saved.parent.iterdir()) == [saved]


FOREIGN: dict[str, Callable[[dict[str, Any]], object]] = {
    "another format": lambda data: data | {"format": 99},
    "a list": lambda data: [data],
    "a number": lambda data: 3,
    "null": lambda data: None,
    "no costs": lambda data: {name: part for name, part in data.items() if name != "costs"},
    "costs as text": lambda data: data | {"costs": "cheap"},
    "verify without depths": lambda data: data | {"costs": data["costs"] | {"verify": {}}},
    "a depth without sizes": lambda data: data | {"costs": data["costs"] | {"verify": {"0": {}}}},
    "no single step": lambda data: data | {"costs": data["costs"] | {"verify": {"0": {"2": 1}}}},
    "sizes as text": lambda data: data | {"costs": data["costs"] | {"draft": {"x": 1.0}}},
    "no draft": lambda data: data | {"costs": data["costs"] | {"draft": {}}},
    "free steps": lambda data: data | {"costs": data["costs"] | {"verify": {"0": {"1": 0.0}}}},
    "negative": lambda data: data | {"costs": data["costs"] | {"draft_row": -1.0}},
    "not a number": lambda data: data | {"costs": data["costs"] | {"verify_contention": None}},
    "NaN": lambda data: data | {"costs": data["costs"] | {"draft_contention": float("nan")}},
    "infinite": lambda data: data | {"costs": data["costs"] | {"draft": {"0": float("inf")}}},
    "measured never": lambda data: data | {"measured": None},
    "acceptance as a list": lambda data: data | {"acceptance": [1]},
    "a source as text": lambda data: data | {"acceptance": {"drafter": "good"}},
    "weights as text": lambda data: with_drafter(data, weights="abcd"),
    "weights of text": lambda data: with_drafter(data, weights=["a", "b", "c", "d"]),
    "too few squares": lambda data: with_drafter(data, squares=[1.0]),
    "squares of nothing": lambda data: with_drafter(data, squares=[0.0, 0.0, 0.0, 0.0]),
    "recent as null": lambda data: with_drafter(data, recent=None),
    "recent above one": lambda data: with_drafter(data, recent=3.0),
    "an unknown field": lambda data: with_drafter(data, colour=1),
}


def with_drafter(data: dict[str, Any], **fields: object) -> dict[str, Any]:
    drafter = data["acceptance"]["drafter"] | fields
    return data | {"acceptance": data["acceptance"] | {"drafter": drafter}}


@pytest.mark.parametrize("change", FOREIGN)
def test_what_another_version_or_a_bug_wrote_is_not_there(
    change: str, store: MeasurementStore, saved: Path
) -> None:
    changed = FOREIGN[change](json.loads(saved.read_text()))
    saved.write_text(json.dumps(changed))
    assert store.load(NAME) is None


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"format": 1}'])
def test_what_is_no_measurement_at_all_is_not_there(
    data: bytes, store: MeasurementStore, saved: Path
) -> None:
    saved.write_bytes(data)
    assert store.load(NAME) is None


@on_files
@given(cut=st.floats(0, 1, exclude_max=True))
def test_what_was_cut_short_is_not_there(store: MeasurementStore, saved: Path, cut: float) -> None:
    store.save(NAME, measured())
    whole = saved.read_bytes()
    saved.write_bytes(whole[: int(cut * len(whole))])
    assert store.load(NAME) is None


@settings(on_files, max_examples=300)
@given(
    edits=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.sampled_from(string.printable)),
        min_size=1,
        max_size=4,
    )
)
def test_whatever_is_loaded_from_a_damaged_file_can_be_used(
    store: MeasurementStore, saved: Path, edits: list[tuple[float, str]]
) -> None:
    store.save(NAME, measured())
    text = bytearray(saved.read_bytes())
    for place, character in edits:
        text[int(place * len(text))] = ord(character)
    saved.write_bytes(text)
    if found := store.load(NAME):
        use(found)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) in a JSON value."""
    if not isinstance(value, dict | list):
        return []
    names: list[Any] = list(value) if isinstance(value, dict) else list(range(len(value)))
    return [
        *((value, name) for name in names),
        *(place for name in names for place in places(value[name])),
    ]


@settings(on_files, max_examples=300)
@given(data=st.data(), value=json_values)
def test_any_value_of_a_wrong_type_anywhere_is_refused_or_harmless(
    store: MeasurementStore, saved: Path, data: st.DataObject, value: object
) -> None:
    store.save(NAME, measured())
    content = json.loads(saved.read_text())
    container, name = data.draw(st.sampled_from(places(content)))
    container[name] = value
    saved.write_text(json.dumps(content))
    if found := store.load(NAME):
        use(found)


@pytest.mark.parametrize("blocked", ["folder", "file"])
def test_what_cannot_be_written_or_read_is_passed_over_in_silence(
    blocked: str, tmp_path: Path
) -> None:
    if blocked == "folder":
        (tmp_path / "store").write_text("a file where the folder should be")
    else:
        (tmp_path / "store" / f"{NAME}.json").mkdir(parents=True)
    store = MeasurementStore(tmp_path / "store")
    store.save(NAME, measured())
    assert store.load(NAME) is None


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_passed_over_in_silence(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    folder.mkdir()
    folder.chmod(0o500)
    store = MeasurementStore(folder)
    store.save(NAME, measured())
    assert store.load(NAME) is None


@pytest.mark.parametrize("size", [1, 1000, (1 << 16) + 7, 1 << 17, (1 << 18) + 5])
def test_a_model_file_is_known_by_its_size_and_both_ends(tmp_path: Path, size: int) -> None:
    path = tmp_path / "model.gguf"
    content = bytes(index * 7 % 251 for index in range(size))
    path.write_bytes(content)
    original = identity(path)
    assert identity(path) == original
    edge = min(size, 1 << 16)
    for place in {0, edge // 2, edge - 1, size - edge, size - 1}:
        changed = bytearray(content)
        changed[place] ^= 1
        path.write_bytes(changed)
        assert identity(path) != original, place
    path.write_bytes(content + b"\0")
    assert identity(path) != original
    path.write_bytes(content[:-1])
    assert identity(path) != original
    path.write_bytes(content)
    assert identity(path) == original


def test_a_longer_file_with_the_same_ends_is_another_file(tmp_path: Path) -> None:
    path, ids = tmp_path / "model.gguf", set()
    for size in range(1 << 18, (1 << 18) + 3):
        path.write_bytes(bytes(size))
        ids.add(identity(path))
    assert len(ids) == 3


@settings(deadline=None)
@given(parts=st.lists(st.text(alphabet="ab", max_size=3) | st.integers(0, 9), max_size=4))
def test_a_key_is_a_file_name_that_depends_on_every_part(parts: list[str | int]) -> None:
    name = key(*parts)
    assert name == key(*parts)
    assert set(name) <= set(string.hexdigits)
    assert name != key(*parts, "more")
    for index in range(len(parts)):
        assert name != key(*parts[:index], "other", *parts[index + 1 :])


@pytest.mark.parametrize(
    ("age", "old"),
    [(0.0, False), (29.0, False), (31.0, True), (-1.0, True)],
    ids=["now", "a month ago", "longer ago", "in the future"],
)
def test_a_table_is_old_after_a_month_or_if_the_clock_was_wrong(age: float, old: bool) -> None:
    assert measured(time.time() - age * 24 * 3600).old is old
