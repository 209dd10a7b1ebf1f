"""The talk at hand, without a screen or a model."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from edgespec.messages import Message, Role
from edgespec.store.store import Store
from edgespec.store.talk import Talk


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "conversations.db") as opened:
        yield opened


def exchange(talk: Talk, question: str, answer: str) -> int:
    """Say something and have it answered; the id of what was said."""
    said = talk.say(question, talk.tree.leaf)
    talk.begin(said.id, {})
    talk.write(answer)
    talk.end({"reason": "eog"})
    return said.id


def texts(prompt: tuple[Message, ...]) -> list[str]:
    return [message.content for message in prompt]


def test_a_conversation_is_stored_from_its_first_message_on(store: Store) -> None:
    talk = Talk(store, system="Be brief.")
    assert store.summaries() == []
    exchange(talk, "One?\nTwo?", "Three.")
    assert talk.title == store.summaries()[0].title == "One? Two?"
    again = Talk(store, talk.id)
    assert texts(again.prompt(1)) == ["Be brief.", "One?\nTwo?"]
    assert [message.text for message in again.path()] == ["One?\nTwo?", "Three."]


def test_a_long_first_message_gives_a_short_title(store: Store) -> None:
    talk = Talk(store)
    talk.say("word " * 100, None)
    assert talk.title.endswith("…")
    assert len(talk.title) <= 60


def test_what_a_message_attaches_is_not_in_the_title(store: Store) -> None:
    talk = Talk(store)
    talk.say("See @notes.md\nplease\n\nnotes.md:\n\n```md\nRemember.\n```", None)
    assert talk.title == "See @notes.md please"


def test_what_is_written_is_on_disk_once_it_is_saved(store: Store) -> None:
    talk = Talk(store)
    said = talk.say("Question", None)
    talk.begin(said.id, {"model": "nano"})
    talk.write("one ")
    talk.write("two")
    assert store.load(1).path()[1].text == ""
    talk.save()
    assert store.load(1).path()[1].text == "one two"
    assert not store.load(1).path()[1].done


def test_what_a_killed_session_wrote_is_complete_when_it_is_opened(store: Store) -> None:
    talk = Talk(store)
    talk.begin(talk.say("Question", None).id, {"model": "nano"})
    talk.write("half")
    talk.save()
    path = Talk(store, talk.id).path()
    assert path[1].done
    assert path[1].facts == {"model": "nano", "reason": "stopped"}
    assert len(store.summaries("half")) == 1


def test_what_found_no_room_once_stays_left_out(store: Store) -> None:
    talk = Talk(store, system="System")
    for number in range(3):
        exchange(talk, f"q{number}", f"a{number}")
    question = talk.say("q3", talk.tree.leaf)
    talk.begin(question.id, {})
    talk.leave_out(question.id, 3)
    talk.write("a3")
    talk.end({})
    assert texts(talk.prompt(question.id)) == ["System", "q2", "a2", "q3"]
    following = exchange(talk, "q4", "a4")
    assert texts(talk.prompt(following)) == ["System", "q2", "a2", "q3", "a3", "q4"]
    assert talk.prompt(following)[0] == Message(Role.SYSTEM, "System")


def test_a_question_that_was_never_answered_is_no_part_of_the_next_prompt(store: Store) -> None:
    talk = Talk(store)
    exchange(talk, "q0", "a0")
    talk.ask("too long")
    question = talk.ask("short")
    assert talk.tree.siblings(question.id) == (2, 2)
    assert texts(talk.prompt(question.id)) == ["q0", "a0", "short"]
    first = Talk(store)
    first.ask("too long")
    assert texts(first.prompt(first.ask("short").id)) == ["short"]
