import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgespec.errors import EdgespecError, InvalidInput
from edgespec.messages import Message, Role
from edgespec.store.store import Store

DAY = 24 * 3600


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "conversations.db"


@pytest.fixture
def store(file: Path) -> Iterator[Store]:
    with Store(file, Clock()) as opened:
        yield opened


def talk(store: Store, *texts: str, title: str = "Talk") -> int:
    """A conversation in which user and assistant take turns."""
    conversation = store.create(title)
    parent = None
    for number, text in enumerate(texts):
        role = Role.ASSISTANT if number % 2 else Role.USER
        parent = store.add(conversation, parent, role, text).id
    return conversation


def test_what_was_written_is_there_after_opening_again(file: Path) -> None:
    with Store(file) as store:
        conversation = store.create("Sorting", "Be brief.")
        question = store.add(conversation, None, Role.USER, "How?")
        answer = store.add(conversation, question.id, Role.ASSISTANT, "", done=False)
        store.write(answer, text="sorted(", facts={"model": "nano"})
    with Store(file) as store:
        path = store.load(conversation).path()
        assert [message.text for message in path] == ["How?", "sorted("]
        assert path[0].message == Message(Role.USER, "How?")
        assert (path[1].done, path[1].facts) == (False, {"model": "nano"})
        assert store.system(conversation) == "Be brief."
        assert store.title(conversation) == "Sorting"


def test_the_last_used_conversation_comes_first(store: Store) -> None:
    first, second = talk(store, "a", title="First"), talk(store, "b", title="Second")
    assert [summary.id for summary in store.summaries()] == [second, first]
    store.add(first, None, Role.USER, "more")
    assert [summary.id for summary in store.summaries()] == [first, second]


def test_search_finds_words_and_beginnings_and_titles(store: Store) -> None:
    cats = talk(store, "Tell me of cats", "A cat purrs loudly in the évening.", title="Animals")
    dogs = talk(store, "Tell me of dogs", "A dog barks.", title="100% sure")
    assert [summary.id for summary in store.summaries("purr")] == [cats]
    assert [summary.id for summary in store.summaries("evening CAT")] == [cats]
    assert [summary.id for summary in store.summaries("cat barks")] == []
    assert [summary.id for summary in store.summaries("tell")] == [dogs, cats]
    assert [summary.id for summary in store.summaries("nimal")] == [cats]
    assert [summary.id for summary in store.summaries("0% s")] == [dogs]
    assert "cat purrs loudly" in store.summaries("purrs")[0].excerpt


def test_scripts_without_spaces_are_searched_within(store: Store) -> None:
    talk(store, "How wide is 日本語のテキスト?", "文字の幅は二つ分です。")
    thai = talk(store, "ข้อความภาษาไทย 100%")
    assert [summary.excerpt for summary in store.summaries("テキスト")] == ["…is 日本語のテキスト?"]
    assert len(store.summaries("日本 wide")) == 1
    assert store.summaries("日本 文字") == []
    assert [summary.id for summary in store.summaries("ภาษา 100")] == [thai]


@pytest.mark.parametrize("query", ['"', "*", "AND", "a OR", "NEAR(", "'; --", "\x00", "-x", "{a}"])
def test_no_query_breaks_the_search(store: Store, query: str) -> None:
    talk(store, "something else entirely")
    assert isinstance(store.summaries(query), list)


def test_only_complete_messages_are_searched_and_each_text_once(store: Store) -> None:
    conversation = talk(store, "question")
    answer = store.add(conversation, 1, Role.ASSISTANT, "", done=False)
    answer = store.write(answer, text="half an elephant")
    assert store.summaries("elephant") == []
    answer = store.write(answer, done=True)
    assert len(store.summaries("elephant")) == 1
    answer = store.write(answer, done=False)
    assert store.summaries("elephant") == []
    store.write(answer, text="a whole giraffe", done=True)
    assert store.summaries("elephant") == []
    assert len(store.summaries("giraffe")) == 1
    store.execute("INSERT INTO message_words (message_words) VALUES ('integrity-check')")


def test_a_deleted_conversation_can_be_restored_for_a_week(file: Path) -> None:
    clock = Clock()
    with Store(file, clock) as store:
        conversation = talk(store, "precious")
        store.delete(conversation)
        assert store.summaries() == store.summaries("precious") == []
        assert store.last_deleted() == conversation
        store.restore(conversation)
        assert store.last_deleted() is None
        assert len(store.summaries("precious")) == 1
        store.delete(conversation)
    clock.now += 6 * DAY
    with Store(file, clock) as store:
        assert store.last_deleted() == conversation
    clock.now += 2 * DAY
    with Store(file, clock) as store:
        assert store.last_deleted() is None
        assert len(store.load(conversation)) == 0
        store.execute("INSERT INTO message_words (message_words) VALUES ('integrity-check')")


def test_what_the_user_said_is_listed_once_and_the_newest_first(store: Store) -> None:
    talk(store, "one", "answer", "two", "answer", "one")
    assert store.said(10) == ["one", "two"]
    assert store.said(1) == ["one"]


def test_half_a_surrogate_pair_is_kept_as_a_question_mark(store: Store) -> None:
    conversation = talk(store, "caf\udce9")
    assert store.load(conversation).path()[0].text == "caf?"


def test_two_processes_write_into_one_file(file: Path, store: Store) -> None:
    with Store(file) as other:
        first, second = talk(store, "mine"), talk(other, "yours")
        assert {summary.id for summary in store.summaries()} == {first, second}


def test_a_file_of_a_later_version_is_left_alone(file: Path) -> None:
    Store(file).close()
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(InvalidInput, match=r"conversations\.db .* later version .*update edgespec"):
        Store(file)


def test_a_file_that_is_no_database_is_reported_and_kept(file: Path) -> None:
    file.parent.mkdir()
    file.write_text("My diary. " * 100)
    with pytest.raises(EdgespecError, match=r"conversations\.db cannot be used: file is not"):
        Store(file)
    assert file.read_text().startswith("My diary.")


def test_a_folder_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(EdgespecError, match="cannot be used"):
        Store(tmp_path / "data" / "conversations.db")
