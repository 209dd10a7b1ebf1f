"""The programs that people point at a server: their real clients, streaming and not."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam

from tests.cli.process import PATIENCE
from tests.server.process import KEY, Serving

pytestmark = pytest.mark.native

QUESTION: list[ChatCompletionMessageParam] = [
    {"role": "user", "content": "What does os.path.join do?"}
]
WEATHER: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a day.",
        "parameters": {
            "type": "object",
            "properties": {"day": {"enum": ["today", "tomorrow"]}},
            "required": ["day"],
            "additionalProperties": False,
        },
    },
}


def test_openai_streams_what_it_gets_whole(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model="nano", messages=QUESTION, seed=1, max_tokens=30)
    stream = client.chat.completions.create(
        model="nano",
        messages=QUESTION,
        seed=1,
        max_tokens=30,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(pieces) == whole.choices[0].message.content
    assert chunks[-1].usage
    assert whole.usage
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "length"


def test_openai_completes_text(client: openai.OpenAI) -> None:
    whole = client.completions.create(
        model="nano", prompt="def f(", seed=2, max_tokens=12, stop=")"
    )
    stream = client.completions.create(
        model="nano", prompt="def f(", seed=2, max_tokens=12, stop=")", stream=True
    )
    assert "".join(chunk.choices[0].text for chunk in stream) == whole.choices[0].text
    assert ")" not in whole.choices[0].text


def test_openai_gets_logprobs(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(
        model="nano",
        messages=QUESTION,
        temperature=0,
        max_tokens=8,
        logprobs=True,
        top_logprobs=3,
    )
    found = reply.choices[0].logprobs
    assert found
    assert found.content
    assert "".join(entry.token for entry in found.content) == reply.choices[0].message.content
    for entry in found.content:
        assert len(entry.top_logprobs) == 3
        assert entry.logprob == entry.top_logprobs[0].logprob <= 0
    old = client.completions.create(
        model="nano", prompt="import", temperature=0, max_tokens=3, logprobs=2
    )
    assert old.choices[0].logprobs
    assert old.choices[0].logprobs.tokens
    assert "".join(old.choices[0].logprobs.tokens) == old.choices[0].text


def test_openai_gets_several_choices(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(
        model="nano", messages=QUESTION, seed=4, n=3, max_tokens=30, temperature=2
    )
    texts = [choice.message.content for choice in reply.choices]
    assert [choice.index for choice in reply.choices] == [0, 1, 2]
    assert len(set(texts)) > 1


def test_openai_gets_json(client: openai.OpenAI) -> None:
    schema: dict[str, object] = {"properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
    reply = client.chat.completions.create(
        model="nano",
        messages=QUESTION,
        seed=1,
        response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": schema}},
    )
    assert json.loads(reply.choices[0].message.content or "")["ok"] in (True, False)


def test_openai_follows_a_grammar(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(
        model="nano", messages=QUESTION, extra_body={"grammar": 'root ::= "yes" | "no"'}
    )
    assert reply.choices[0].message.content in ("yes", "no")


def test_openai_has_tools_called(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(
        model="tooled", messages=QUESTION, tools=[WEATHER], tool_choice="required", seed=1
    )
    assert whole.choices[0].finish_reason == "tool_calls"
    calls = whole.choices[0].message.tool_calls
    assert calls
    assert calls[0].type == "function"
    assert calls[0].function.name == "weather"
    assert json.loads(calls[0].function.arguments)["day"] in ("today", "tomorrow")
    stream = client.chat.completions.create(
        model="tooled",
        messages=QUESTION,
        tools=[WEATHER],
        tool_choice={"type": "function", "function": {"name": "weather"}},
        seed=1,
        stream=True,
    )
    found = [c.choices[0].delta.tool_calls for c in stream if c.choices[0].delta.tool_calls]
    assert found[0]
    assert found[0][0].function
    assert found[0][0].function.arguments == calls[0].function.arguments
    answered: list[ChatCompletionMessageParam] = [
        *QUESTION,
        {
            "role": "assistant",
            "tool_calls": [
                {
                    "id": calls[0].id,
                    "type": "function",
                    "function": {"name": "weather", "arguments": calls[0].function.arguments},
                }
            ],
        },
        {"role": "tool", "tool_call_id": calls[0].id, "content": "Rain."},
    ]
    reply = client.chat.completions.create(
        model="tooled", messages=answered, tools=[WEATHER], seed=1, max_tokens=5
    )
    assert reply.usage
    assert reply.usage.completion_tokens <= 5


def test_openai_embeds_texts(client: openai.OpenAI) -> None:
    texts = ["one", "another text", "one"]
    encoded = client.embeddings.create(model="embedder", input=texts)
    plain = client.embeddings.create(
        model="embedder", input=texts, encoding_format="float", dimensions=64
    )
    assert [one.embedding for one in encoded.data] == [one.embedding for one in plain.data]
    assert [one.index for one in plain.data] == [0, 1, 2]
    vectors = np.array([one.embedding for one in plain.data])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    assert vectors[0] @ vectors[2] > 0.999 > vectors[0] @ vectors[1]
    tokens = client.embeddings.create(model="embedder", input=[[1, 2, 3], [4]])
    assert tokens.usage.prompt_tokens == tokens.usage.total_tokens == 4
    assert len(tokens.data) == 2


def test_openai_is_told_what_is_wrong(client: openai.OpenAI, server: Serving) -> None:
    names = [model.id for model in client.models.list()]
    assert names == ["nano", "tooled", "embedder"]
    with pytest.raises(openai.NotFoundError, match="there is nano, tooled, embedder"):
        client.chat.completions.create(model="gpt", messages=QUESTION)
    with pytest.raises(openai.BadRequestError, match="no embeddings") as refused:
        client.embeddings.create(model="nano", input="text")
    assert refused.value.param == "model"
    with pytest.raises(openai.BadRequestError, match="embedder makes embeddings"):
        client.chat.completions.create(model="embedder", messages=QUESTION)
    with pytest.raises(openai.BadRequestError, match="a text has 101 tokens, the model takes 64"):
        client.embeddings.create(model="embedder", input="x" * 101)
    with pytest.raises(openai.BadRequestError, match="vectors of 64 dimensions"):
        client.embeddings.create(model="embedder", input="text", dimensions=32)
    with pytest.raises(openai.BadRequestError, match="no tools"):
        client.chat.completions.create(model="nano", messages=QUESTION, tools=[WEATHER])
    with pytest.raises(openai.BadRequestError, match="temperature"):
        client.chat.completions.create(model="nano", messages=QUESTION, temperature=-1)
    with (
        openai.OpenAI(base_url=f"{server.url}/v1", api_key="wrong") as stranger,
        pytest.raises(openai.AuthenticationError),
    ):
        stranger.models.list()


def test_litellm_streams_what_it_gets_whole_and_embeds(server: Serving) -> None:
    code = """
import json, sys, warnings
warnings.simplefilter("ignore")
import litellm
asked = json.loads(sys.argv[1])
whole = litellm.completion(**asked)
chunks = litellm.completion(**asked, stream=True)
pieces = [chunk.choices[0].delta.content or "" for chunk in chunks]
where = {name: asked[name] for name in ("api_base", "api_key")}
found = litellm.embedding(model="openai/embedder", input=["one", "two"], **where)
sizes = [len(one["embedding"]) for one in found.data]
print(json.dumps([whole.choices[0].message.content, "".join(pieces), sizes]))
"""
    asked = {"model": "openai/nano", "messages": QUESTION, "seed": 3, "max_tokens": 20}
    asked |= {"api_base": f"{server.url}/v1", "api_key": KEY}
    done = _run(
        [sys.executable, "-c", code, json.dumps(asked)], LITELLM_LOCAL_MODEL_COST_MAP="True"
    )
    whole, streamed, sizes = json.loads(done.splitlines()[-1])
    assert whole == streamed
    assert sizes == [64, 64]
    assert (
        whole
        == server.chat(str(QUESTION[0]["content"]), seed=3, max_tokens=20)["choices"][0]["message"][
            "content"
        ]
    )


@pytest.mark.parametrize("flags", [[], ["--no-stream"]])
def test_llm_prompts(server: Serving, tmp_path: Path, flags: list[str]) -> None:
    (tmp_path / "extra-openai-models.yaml").write_text(
        f"- model_id: edgespec\n  model_name: nano\n  api_base: {server.url}/v1\n"
        "  api_key_name: edgespec\n"
    )
    options = [*flags, "-o", "seed", "3", "-o", "max_tokens", "20", "--key", KEY]
    command = [sys.executable, "-m", "llm", "-m", "edgespec", *options]
    said = _run([*command, str(QUESTION[0]["content"])], LLM_USER_PATH=str(tmp_path))
    reply = server.chat(str(QUESTION[0]["content"]), seed=3, max_tokens=20)
    assert said.strip() == reply["choices"][0]["message"]["content"].strip()


def _run(command: list[str], **variables: str) -> str:
    done = subprocess.run(
        command,
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
