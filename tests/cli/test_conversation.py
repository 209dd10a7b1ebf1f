from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from edgespec.chat import ChatFormat, Message
from edgespec.cli.plain.conversation import Conversation
from edgespec.errors import InvalidInput
from edgespec.events import Request
from edgespec.sampling.params import SamplingParams
from edgespec.store.store import Store
from edgespec.store.talk import Talk


class Words(ChatFormat):
    """One token per word, so that a prompt can be read back."""

    def __init__(self) -> None:
        self.stop = ("\nUser:",)

    def tokens(
        self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] = ()
    ) -> list[int]:
        return [int(word) for message in messages for word in message.content.split()]

    def continuation(self, text: str) -> list[int]:
        return [int(word) for word in text.split()]


STORE = Store(Path(":memory:"))


def conversation(n_ctx: int = 100, seed: int = 7, system: str = "") -> Conversation:
    settings = Request(prompt=(), sampling=SamplingParams(seed=seed), max_tokens=8, stop=("END",))
    chat = Conversation(settings, Talk(STORE, system=system))
    chat.use(Words(), n_ctx)
    return chat


def record(chat: Conversation, answer: str) -> None:
    """Answer what was asked last."""
    chat.write(answer)
    chat.end()


def test_a_request_holds_all_that_was_said() -> None:
    chat = conversation(system="1")
    assert chat.ask("2").prompt == (1, 2)
    record(chat, "3")
    assert chat.ask("4").prompt == (1, 2, 3, 4)


def test_a_request_keeps_the_settings_and_adds_the_format_s_stop_strings() -> None:
    request = conversation().ask("1")
    assert request.max_tokens == 8
    assert request.stop == ("END", "\nUser:")


def test_every_answer_has_its_own_seed() -> None:
    chat = conversation(seed=2**64 - 1)
    seeds = [chat.ask("1").sampling.seed, chat.ask("1").sampling.seed]
    assert seeds == [2**64 - 1, 0]


def test_a_question_without_an_answer_is_not_part_of_the_conversation() -> None:
    chat = conversation()
    chat.ask("1")
    record(chat, "")
    assert chat.messages == []
    assert chat.ask_again().prompt == (1,)


def test_another_answer_replaces_the_last_one() -> None:
    chat = conversation()
    chat.ask("1")
    record(chat, "2")
    assert chat.ask_again().prompt == (1,)
    record(chat, "3")
    assert [message.content for message in chat.messages] == ["1", "3"]


def test_an_answer_stays_until_another_one_came() -> None:
    chat = conversation()
    chat.ask("1")
    record(chat, "2")
    chat.ask_again()
    record(chat, "")
    assert [message.content for message in chat.messages] == ["1", "2"]


def test_there_is_nothing_to_answer_again_at_the_beginning() -> None:
    chat = conversation()
    with pytest.raises(InvalidInput):
        chat.ask_again()
    chat.ask("1")
    record(chat, "2")
    chat.talk = Talk(STORE)
    with pytest.raises(InvalidInput):
        chat.ask_again()
    with pytest.raises(InvalidInput):
        chat.go_on()


def test_an_answer_can_be_gone_on_with() -> None:
    chat = conversation()
    chat.ask("1")
    record(chat, "2 ")
    assert chat.go_on().prompt == (1, 2)
    record(chat, "3")
    assert [message.content for message in chat.messages] == ["1", "2 3"]
    chat.ask("4")
    with pytest.raises(InvalidInput):
        chat.go_on()


def test_a_question_can_be_put_anew() -> None:
    chat = conversation()
    for number in ("1", "3"):
        chat.ask(number)
        record(chat, str(int(number) + 1))
    assert chat.ask_anew("9").prompt == (1, 2, 9)
    record(chat, "8")
    assert [message.content for message in chat.messages] == ["1", "2", "9", "8"]
    assert len(chat.talk.tree) == 6


def test_the_system_message_can_be_replaced_and_removed() -> None:
    chat = conversation(system="1")
    chat.ask("2")
    record(chat, "3")
    chat.talk.set_system("9")
    assert chat.ask("4").prompt == (9, 2, 3, 4)
    chat.talk.set_system("")
    assert chat.ask("4").prompt == (2, 3, 4)


def test_the_oldest_exchanges_leave_a_full_context() -> None:
    chat = conversation(n_ctx=20)
    dropped = 0
    for number in range(8):
        assert len(chat.ask(str(number)).prompt) <= 12
        dropped += chat.dropped
        record(chat, str(number))
    assert dropped > 0
    assert len(chat.messages) == 16
    first, second = chat.ask("8").prompt[0], chat.ask("9").prompt[0]
    assert first == second


def test_a_question_that_is_too_long_costs_nothing_that_was_said() -> None:
    chat = conversation(n_ctx=20)
    chat.ask("1")
    record(chat, "2")
    assert chat.ask("3 " * 30).prompt == (3,) * 30
    record(chat, "")
    assert chat.ask("4").prompt == (1, 2, 4)
