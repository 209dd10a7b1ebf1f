"""The Python API on the real nano pair."""

import asyncio
import json
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import aclosing, closing
from itertools import count
from pathlib import Path

import pytest

import edgespec
from edgespec import Finish, Message, Role, Token, cpus, memory
from edgespec.api.rows import Rows
from edgespec.errors import BackendError, InvalidInput, ModelUnavailable
from tests.cli.process import edgespec as command

pytestmark = pytest.mark.native

QUESTION = "What does os.path.join do?"
ENDLESS = "root ::= [a-z ] root\n"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[edgespec.Model]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGESPEC_HOME", str(tmp_path_factory.mktemp("home")))
        with edgespec.load(parallel=3, threads=1) as loaded:
            yield loaded


def test_a_stream_is_what_the_command_line_says(model: edgespec.Model) -> None:
    events = list(model.stream(QUESTION, seed=7, max_tokens=40))
    said = command("run", "--json", "--seed", "7", "-n", "40", "--threads", "1", QUESTION)
    expected = json.loads(said.stdout)
    assert "".join(event.piece for event in events) == expected["text"]
    *tokens, finish = events
    assert all(isinstance(token, Token) for token in tokens)
    assert isinstance(finish, Finish)
    assert (finish.reason, finish.stats.tokens) == (expected["finish_reason"], len(tokens))


def test_a_seed_is_drawn_and_told(model: edgespec.Model) -> None:
    first = model.complete(QUESTION, max_tokens=20)
    again = model.complete(QUESTION, max_tokens=20, seed=first.seed)
    assert again.text == first.text


def test_closing_a_stream_stops_the_answer(model: edgespec.Model) -> None:
    with closing(model.stream("x", grammar=ENDLESS, seed=1)) as events:
        next(events)
        with pytest.raises(BackendError, match="another answer"):
            model.complete("y")
    assert model.complete("y", max_tokens=2).stats.tokens <= 2


def test_an_answer_follows_its_schema(model: edgespec.Model) -> None:
    schema = '{"type": "object", "properties": {"n": {"type": "boolean"}}, "required": ["n"]}'
    answer = model.complete("A number.", json_schema=json.loads(schema), seed=1, max_tokens=60)
    assert answer.reason == "eog"
    assert answer.json()["n"] in (True, False)


def test_a_chat_remembers(model: edgespec.Model) -> None:
    chat = model.chat(system="Be brief.", seed=3, max_tokens=12)
    first, second = chat.say("One?"), chat.say("Two?")
    roles = [message.role for message in chat.messages]
    assert roles == [Role.SYSTEM, Role.USER, Role.ASSISTANT, Role.USER, Role.ASSISTANT]
    told = chat.messages[:-1]
    assert (first.seed, second.seed) == (3, 4)
    assert model.complete(told, seed=4, max_tokens=12).text == second.text


def test_a_stopped_answer_is_part_of_the_chat(model: edgespec.Model) -> None:
    chat = model.chat(seed=3, grammar=ENDLESS)
    with closing(chat.stream("Go on.")) as events:
        pieces = [next(events).piece for _ in range(5)]
    assert chat.messages[-1] == Message(Role.ASSISTANT, "".join(pieces))


def test_a_batch_says_what_each_row_says_alone(model: edgespec.Model) -> None:
    rows = [{"prompt": f"What is {n}?", "id": n, "n": 2} for n in range(7)]
    answers = {answer.row: answer for answer in model.batch(rows, seed=5, max_tokens=16)}
    assert sorted(answers) == list(range(7))
    for row, answer in answers.items():
        alone = model.complete(f"What is {row}?", seed=5 + row, max_tokens=16)
        assert (answer.id, answer.samples[0].seed) == (row, 5 + row)
        assert answer.text == alone.text or alone.stats.ties


def test_a_row_that_cannot_be_used_has_an_error(model: edgespec.Model) -> None:
    rows: Rows = ["", {"id": 2, "promt": "x"}, {"id": 3, "prompt": "x", "n": 0}, "What?"]
    answers = {answer.row: answer for answer in model.batch(rows, seed=1, max_tokens=3)}
    assert [bool(answers[row].error) for row in range(4)] == [True, True, True, False]
    with pytest.raises(ValueError, match="row 0 has no answer: the prompt is empty"):
        _ = answers[0].text


def test_an_endless_batch_can_be_left(model: edgespec.Model) -> None:
    with closing(model.batch((f"Row {n}" for n in count()), seed=1, max_tokens=4)) as answers:
        rows = [next(answers).row for _ in range(9)]
    assert len(set(rows)) == 9
    assert model.complete("x", max_tokens=1).stats.tokens == 1


def test_asyncio_answers_and_cancels(model: edgespec.Model) -> None:
    async def main() -> str:
        async with aclosing(model.astream("x", grammar=ENDLESS, seed=1)) as events:
            async for event in events:
                if event.piece:
                    break
        endless = asyncio.create_task(model.acomplete("x", grammar=ENDLESS))
        await asyncio.sleep(0.1)
        endless.cancel()
        with pytest.raises(asyncio.CancelledError):
            await endless
        return (await model.acomplete(QUESTION, seed=7, max_tokens=8)).text

    assert asyncio.run(main()) == model.complete(QUESTION, seed=7, max_tokens=8).text


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"temperature": -1}, "temperature"),
        ({"grammar": "root ::= ("}, "grammar"),
        ({"json_schema": "{"}, "schema"),
        ({"grammar": ENDLESS, "json_schema": {}}, "exclude"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"tempreature": 1}, "tempreature"),
        ({"logit_bias": {99999: 1}}, "99999"),
    ],
)
def test_what_cannot_be_used_is_told_at_once(
    model: edgespec.Model, options: edgespec.Options, what: str
) -> None:
    with pytest.raises(InvalidInput, match=what):
        model.stream("x", **options)


def test_a_prompt_can_be_too_long_or_missing(model: edgespec.Model) -> None:
    with pytest.raises(InvalidInput, match="empty"):
        model.complete("")
    with pytest.raises(InvalidInput, match="the context holds 2048"):
        model.complete("word " * 3000)


def test_an_unknown_model_is_told() -> None:
    with pytest.raises(ModelUnavailable, match="did you mean nano"):
        edgespec.load("nanoo")


def test_a_closed_model_answers_no_more() -> None:
    with edgespec.load(threads=1, speculate=False) as model:
        events = model.stream("x", grammar=ENDLESS)
        next(events)
    with pytest.raises(BackendError, match="closed"):
        model.complete("x")
    assert not any(isinstance(event, Finish) for event in events)


def test_every_example_of_the_documentation_runs(
    model: edgespec.Model, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
    examples = [block.split("```")[0] for block in text.split("```python\n")[1:]]
    namespace: dict[str, object] = {}
    for example in examples:
        exec(compile(example, "docs/api.md", "exec"), namespace)
        assert capsys.readouterr().out.strip()
    assert len(examples) == 7


def test_a_model_is_loaded_by_its_plan() -> None:
    plan = edgespec.plan(context=700, threads=1, kv_type="q8_0", speculate=False)
    placement = plan.chosen.option.placement
    assert (placement.n_ctx, placement.kv_type, placement.drafter) == (700, "q8_0", None)
    assert plan.chosen.option.forecast.plain_rate > 0
    with edgespec.load(plan=plan, threads=1, speculate=False) as model:
        assert model.n_ctx == memory.rounded(700)


def test_a_plan_takes_its_pinned_processors_along() -> None:
    cpu = str(max(cpus.allowed()))
    plan = edgespec.plan(context=700, cpus=cpu, drafter_cpus=cpu)
    assert plan.cpus.pinned
    assert plan.drafter_cpus
    assert plan.drafter_cpus.pinned
    with edgespec.load(plan=plan) as model:
        assert model.complete("Why?", seed=1, max_tokens=3).text
        if sys.platform == "linux":
            targets = [one for one in threading.enumerate() if "edgespec-target" in one.name]
            where = [os.sched_getaffinity(one.native_id or 0) for one in targets]
            assert {int(cpu)} in where
    with pytest.raises(InvalidInput, match="processor 4000 of --cpus does not exist"):
        edgespec.load(cpus="4000")
