"""/v1/responses, asked by the real client."""

import json
from typing import Any

import openai
import pytest
from openai.types.responses import (
    FunctionToolParam,
    Response,
    ResponseFunctionToolCall,
    ResponseInputItemParam,
    ResponseStreamEvent,
    ResponseTextDeltaEvent,
)

from tests.server.process import Serving

pytestmark = pytest.mark.native

QUESTION = "What does os.path.join do?"
SEED = {"seed": 1}
WEATHER: FunctionToolParam = {
    "type": "function",
    "name": "weather",
    "description": "The weather of a day.",
    "parameters": {
        "type": "object",
        "properties": {"day": {"enum": ["today", "tomorrow"]}},
        "required": ["day"],
        "additionalProperties": False,
    },
    "strict": True,
}


def last_of(events: list[ResponseStreamEvent]) -> Response:
    """The response that a stream ended with; its events are numbered without a gap."""
    assert [event.sequence_number for event in events] == list(range(len(events)))
    *_, last = events
    assert last.type in ("response.completed", "response.incomplete")
    return last.response


def said(response: Response) -> list[Any]:
    """The output without what is drawn for each."""
    return [item.to_dict() | {"id": "", "call_id": ""} for item in response.output]


def test_it_says_what_a_chat_says(client: openai.OpenAI, server: Serving) -> None:
    response = client.responses.create(
        model="nano", input=QUESTION, max_output_tokens=20, extra_body=SEED, store=False
    )
    reply = server.chat(QUESTION, seed=1, max_tokens=20)
    assert response.output_text == reply["choices"][0]["message"]["content"]
    assert (response.status, response.to_dict()["store"]) == ("incomplete", False)
    assert response.incomplete_details
    assert response.incomplete_details.reason == "max_output_tokens"
    assert response.usage
    assert response.usage.input_tokens == reply["usage"]["prompt_tokens"]
    assert response.usage.output_tokens == reply["usage"]["completion_tokens"] == 20


def test_a_conversation_with_instructions_is_a_chat_with_a_system_message(
    client: openai.OpenAI, server: Serving
) -> None:
    talk: list[ResponseInputItemParam] = [
        {"role": "user", "content": [{"type": "input_text", "text": "Hello"}]},
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "Hello!", "annotations": []}],
        },
        {"role": "user", "content": QUESTION},
    ]
    response = client.responses.create(
        model="nano", instructions="Be brief.", input=talk, max_output_tokens=9, extra_body=SEED
    )
    body = {
        "model": "nano",
        "seed": 1,
        "max_tokens": 9,
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": "Hello!"},
            {"role": "user", "content": QUESTION},
        ],
    }
    _, reply = server.ask("/v1/chat/completions", body)
    assert response.output_text == reply["choices"][0]["message"]["content"]
    assert response.instructions == "Be brief."


@pytest.mark.parametrize("most", [3, 100])
def test_a_stream_is_what_comes_whole(client: openai.OpenAI, most: int) -> None:
    grammar = {"seed": 1, "grammar": 'root ::= [a-z ]{30} "."'}
    whole = client.responses.create(
        model="nano", input=QUESTION, max_output_tokens=most, extra_body=grammar
    )
    stream = client.responses.create(
        model="nano", input=QUESTION, max_output_tokens=most, extra_body=grammar, stream=True
    )
    events = list(stream)
    deltas = [event.delta for event in events if isinstance(event, ResponseTextDeltaEvent)]
    assert deltas
    assert "".join(deltas) == whole.output_text
    last = last_of(events)
    assert said(last) == said(whole)
    assert last.usage
    assert whole.usage
    assert last.usage.output_tokens == whole.usage.output_tokens
    assert [event.type for event in events if event.type != "response.output_text.delta"] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        f"response.{whole.status}",
    ]
    assert whole.status == ("completed" if most > 3 else "incomplete")


def test_the_clients_own_stream_puts_it_together(client: openai.OpenAI) -> None:
    short = {"grammar": 'root ::= "yes" | "no"'}
    with client.responses.stream(model="nano", input=QUESTION, extra_body=short) as stream:
        response = stream.get_final_response()
    assert response.output_text in ("yes", "no")


def test_json_follows_its_schema(client: openai.OpenAI) -> None:
    schema: dict[str, object] = {"properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
    response = client.responses.create(
        model="nano",
        input=QUESTION,
        extra_body=SEED,
        text={"format": {"type": "json_schema", "name": "a", "schema": schema}},
    )
    assert json.loads(response.output_text)["ok"] in (True, False)


def test_logprobs_are_those_of_the_text(client: openai.OpenAI) -> None:
    response = client.responses.create(
        model="nano",
        input=QUESTION,
        temperature=0,
        max_output_tokens=6,
        include=["message.output_text.logprobs"],
        top_logprobs=2,
    )
    [message] = response.output
    assert message.type == "message"
    [part] = message.content
    assert part.type == "output_text"
    assert part.logprobs
    assert "".join(entry.token for entry in part.logprobs) == part.text
    assert all(len(entry.top_logprobs) == 2 for entry in part.logprobs)


def test_tools_are_called_and_answered(client: openai.OpenAI) -> None:
    whole = client.responses.create(
        model="tooled", input=QUESTION, tools=[WEATHER], tool_choice="required", extra_body=SEED
    )
    [call] = whole.output
    assert isinstance(call, ResponseFunctionToolCall)
    assert call.name == "weather"
    assert json.loads(call.arguments)["day"] in ("today", "tomorrow")
    stream = client.responses.create(
        model="tooled",
        input=QUESTION,
        tools=[WEATHER],
        tool_choice={"type": "function", "name": "weather"},
        extra_body=SEED,
        stream=True,
    )
    assert said(last_of(list(stream))) == said(whole)
    answered = client.responses.create(
        model="tooled",
        input=[
            {"role": "user", "content": QUESTION},
            {
                "type": "function_call",
                "id": call.id or "",
                "call_id": call.call_id,
                "name": call.name,
                "arguments": call.arguments,
                "status": "completed",
            },
            {"type": "function_call_output", "call_id": call.call_id, "output": "Rain."},
        ],
        tools=[WEATHER],
        max_output_tokens=5,
    )
    assert answered.usage
    assert answered.usage.output_tokens <= 5


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"store": True}, "store"),
        ({"background": True}, "background"),
        ({"truncation": "auto"}, "truncation"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"top_logprobs": 1}, "top_logprobs"),
        ({"include": ["file_search_call.results"]}, "include"),
        ({"input": []}, "input"),
        ({"input": [{"type": "reasoning", "summary": []}]}, "input.0.type"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input.0.content.0"),
        ({"input": "x" * (4 * 2**20 + 1)}, "input"),
        ({"input": [{"type": "function_call", "name": "f"}]}, "input.0"),
        ({"tools": [WEATHER]}, "tools"),
        ({"tools": [{"type": "web_search"}]}, "tools.0.type"),
        ({"tool_choice": {"type": "function"}}, "tool_choice"),
        ({"text": {"format": {"type": "json_schema", "schema": {"type": 1}}}}, "text"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"text": {"format": {"type": "json_object"}}, "grammar": "root ::= [a]"}, "grammar"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"temperature": -1}, "temperature"),
        ({"metadata": 1}, "metadata"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_what_cannot_be_done_is_refused(server: Serving, body: dict[str, Any], param: str) -> None:
    status, reply = server.ask("/v1/responses", {"model": "nano", "input": "Hello", **body})
    assert (status, reply["error"]["param"]) == (400, param), reply
