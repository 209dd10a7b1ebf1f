"""The parts of the chat that need no screen."""

from itertools import pairwise
from pathlib import Path

import pytest
from textual.binding import Binding

from edgespec.attachments import begun, completions, expand
from edgespec.clippings import code_blocks
from edgespec.config import FIELDS, TABLES
from edgespec.errors import InvalidInput
from edgespec.events import Finish, FinishReason, Round, Source, Stats, Token
from edgespec.live import Live, describe
from edgespec.thinking import Parts, divide
from edgespec.timeline import Timeline, busy, cells
from edgespec_tui.actions import ACTIONS
from edgespec_tui.bindings import message_bindings, screen_bindings
from edgespec_tui.keys import ON_MESSAGE, keymap
from edgespec_tui.pace import Pace
from edgespec_tui.widgets.origins import marked
from edgespec_tui.widgets.said import shortened

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("answer", Parts("", "answer")),
        ("<think>\nso\n</think>\n\nanswer", Parts("so", "answer")),
        ("so\n</think>\nanswer", Parts("so", "answer")),
        ("<think>so far", Parts("so far", "", open=True)),
        ("a < b and <thinking>", Parts("", "a < b and <thinking>")),
    ],
)
def test_thoughts_are_told_from_answers(text: str, parts: Parts) -> None:
    assert divide(text) == parts


def test_blocks_of_code_are_found() -> None:
    text = "a\n```python\nx = 1\n```\nb\n~~~~\n```\n~~~~\n   ```\nunclosed\n"
    assert code_blocks(text) == ["x = 1\n", "```\n", "unclosed\n"]


def token(n: int, piece: str, source: Source = Source.TARGET) -> Token:
    return Token(n, piece, source, position=100 + n, round=n, tie=False)


def test_live_numbers_become_facts() -> None:
    live = Live(begin=10.0)
    live.add(token(0, "a"), 10.5)
    assert (live.first, live.rate) == (0.5, None)
    live.add(token(1, "bc", Source.DRAFTER), 10.6)
    live.add(token(2, "d", Source.DRAFTER), 10.7)
    assert live.rate == pytest.approx(10)
    assert live.runs == [("target", 1), ("drafter", 3)]
    assert live.facts()["reason"] == "stopped"
    stats = Stats(5, 0, 3, 2, 4, 1, 0, 0.1, 0.4, 0.5, 0.2)
    live.add(Finish(FinishReason.EOG, "", stats), 10.8)
    facts = live.facts()
    assert (facts["rate"], facts["ttft"], facts["acceptance"]) == (4.0, 0.4, 0.25)
    assert facts["speedup"] == pytest.approx(0.8)
    assert live.position == 103
    assert describe(facts) == "3 tokens · 4.0 tok/s · 0.80× plain · TTFT 0.40 s · 25% accepted"


def test_nothing_is_said_of_a_speed_up_where_nothing_was_drafted() -> None:
    live = Live(begin=0.0)
    live.add(Finish(FinishReason.LENGTH, "", Stats(1, 0, 9, 8, 0, 0, 0, 0, 0, 1, 0.1)), 1.0)
    assert describe(live.facts()) == "0 tokens · 8.0 tok/s · TTFT 0.00 s · cut off at its length"


@pytest.mark.parametrize(
    ("cost", "interval"), [(0.0, 0.1), (0.01, 0.1), (0.06, 0.4), (0.12, 0.8), (5.0, 1.0)]
)
def test_the_screen_is_updated_less_often_where_it_takes_too_much(
    cost: float, interval: float
) -> None:
    used, dues = [0.0], []
    pace = Pace(10, lambda: used[0])
    for n in range(200):
        if pace.due(n / 50):
            dues.append(n / 50)
            used[0] += cost
    waits = [after - before for before, after in pairwise(dues)]
    assert waits == pytest.approx([interval] * len(waits), abs=0.021)
    assert len(waits) > 2
    pace.hurry()
    assert pace.due(n / 50 + 0.001)


def rounds(*counts: tuple[int, int]) -> Timeline:
    timeline = Timeline()
    for n, (drafted, accepted) in enumerate(counts):
        span = float(n), n + 0.5
        timeline.add(Round(n + 1, drafted, accepted, drafted, span, ((n + 0.25, n + 0.75),)))
    return timeline


def test_acceptance_by_position() -> None:
    timeline = rounds((3, 1), (2, 2), (0, 0), (3, 3))
    assert timeline.acceptance() == [(3, 1.0), (3, 2 / 3), (2, 0.5)]
    assert timeline.window == (0.0, 3.5)
    assert timeline.drafting[-1] == (3.25, 3.5)
    assert Timeline().window == (0.0, 0.0)


def test_in_a_tree_only_so_many_places_were_there_as_its_longest_branch_has() -> None:
    timeline = Timeline()
    timeline.add(Round(1, 5, 2, 2, (0.0, 1.0)))
    assert timeline.acceptance() == [(1, 1.0), (1, 1.0)]


def test_spans_become_cells() -> None:
    spans = [(0.0, 1.0), (2.0, 4.0)]
    assert busy(spans, (0.0, 4.0)) == 0.75
    assert cells(spans, (0.0, 4.0), 4) == [(1.0, 0), (0.0, 0), (1.0, 1), (1.0, 1)]
    assert cells(spans, (0.0, 4.0), 2)[0] == (0.5, 0)
    assert cells([], (0.0, 4.0), 2) == [(0.0, 0)] * 2
    assert cells(spans, (1.0, 1.0), 2) == [(0.0, 0)] * 2


def test_sources_are_marked_in_the_text() -> None:
    content = marked("one two", [("target", 4), ("drafter", 3)])
    assert content.plain.endswith("\n\none two")
    assert marked("x" * 9000, [("target", 9000)]).plain.count("x") == 8000 + 1
    assert any(str(span.style).startswith("underline") for span in content.spans)


def test_a_long_message_is_shortened() -> None:
    assert shortened("one\ntwo") == "one\ntwo"
    text = shortened("line\n" * 1000)
    assert text.count("line\n") == 40
    assert "4,801 more characters" in text


def test_every_action_has_a_key_or_a_command_and_none_twice() -> None:
    assert all(action.key or action.own_key or action.word for action in ACTIONS)
    for kind in ("id", "word", "key", "own_key"):
        values = [value for action in ACTIONS if (value := getattr(action, kind))]
        assert len(values) == len(set(values)), kind
    for bindings in (screen_bindings(), message_bindings()):
        assert all(isinstance(binding, Binding) and binding.id for binding in bindings)


def test_every_command_is_in_the_documentation() -> None:
    text = (DOCS / "chat.md").read_text()
    assert [action.word for action in ACTIONS if f"/{action.word}" not in text] == []


def test_every_setting_is_in_the_documentation() -> None:
    text = (DOCS / "settings.md").read_text()
    for name, item in FIELDS.items():
        assert name in TABLES or f"`{item.metadata['section']}.{name}`" in text
        assert name in TABLES or item.metadata["text"] in text
    assert all(f"`[{name}" in text for name in TABLES)
    assert [
        name
        for name in keymap({})
        if f"`{name}`" not in text and f"`{name.removesuffix(ON_MESSAGE)}`" not in text
    ] == []


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.md").write_text("Notes.\n```\ncode\n```\n")
    (tmp_path / "two words.txt").write_text("Words.")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "inner.py").write_text("x = 1\n")
    (tmp_path / ".hidden").write_text("")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    return tmp_path


def test_a_mentioned_file_goes_with_the_message(folder: Path) -> None:
    assert expand("See @notes.md please, me@notes.md @missing.md") == (
        "See @notes.md please, me@notes.md @missing.md\n\n"
        "notes.md:\n\n````md\nNotes.\n```\ncode\n```\n````"
    )
    assert expand('@"two words.txt"').endswith("```txt\nWords.\n```")
    assert expand("nothing") == "nothing"
    again = expand("See @notes.md")
    assert expand(again) == again


def test_a_file_that_is_no_text_is_no_attachment(folder: Path) -> None:
    with pytest.raises(InvalidInput, match="binary cannot be attached: it is not UTF-8 text"):
        expand("@binary")


@pytest.mark.parametrize(
    ("line", "mention"),
    [
        ("see @no", "@no"),
        ('see @"a b/c', '@"a b/c'),
        ('see @"a b/c.txt"', ""),
        ("me@no", ""),
        ("@no more", ""),
    ],
)
def test_what_is_typed_of_a_path(line: str, mention: str) -> None:
    assert begun(line) == mention


def test_paths_are_completed(folder: Path) -> None:
    assert completions("@") == ["@binary", "@notes.md", "@sub/", '@"two words.txt"']
    assert completions("@N") == ["@notes.md"]
    (folder / "a b").mkdir()
    (folder / "a b" / "c.txt").touch()
    assert completions("@a") == ['@"a b/']
    assert completions('@"a b/') == ['@"a b/c.txt"']
    assert completions("@sub/") == ["@sub/inner.py"]
    assert completions("@.h") == ["@.hidden"]
    assert completions("@missing/") == []
    assert completions(f"@{folder}/no") == [f"@{folder}/notes.md"]
