"""Clients that misbehave, that are many, or that go away; and how a server ends."""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from tests.cli.process import COMMAND, ENDLESS, PATIENCE, environment
from tests.server.process import KEY, Serving, serving

pytestmark = pytest.mark.native

CHAT = "/v1/chat/completions"
UNKNOWN_SCHEMA = {"type": "json_schema", "json_schema": {"schema": {"type": 1}}}


def endless(**options: object) -> dict[str, object]:
    """A request whose answer ends only where the context does."""
    messages = [{"role": "user", "content": "Go on."}]
    return {"model": "nano", "messages": messages, "grammar": ENDLESS, **options}


def test_a_client_that_goes_away_is_answered_no_further(server: Serving) -> None:
    with server.client.stream("POST", CHAT, json=endless(stream=True)) as response:
        lines = response.iter_lines()
        while "content" not in next(lines):
            pass
        assert server.metric("active") == 1
    server.idle()
    with pytest.raises(httpx2.ReadTimeout):
        server.client.post(CHAT, json=endless(), timeout=0.5)
    server.idle()
    assert server.chat("Hello", max_tokens=2)["usage"]["completion_tokens"] <= 2


def test_two_hundred_streams_at_once_lose_nothing(server: Serving) -> None:
    def stream(number: int) -> str:
        body = {"model": "nano", "stream": True, "seed": number % 5, "max_tokens": 12}
        body["messages"] = [{"role": "user", "content": f"What is {number % 5}?"}]
        begun.wait()
        with server.client.stream("POST", CHAT, json=body) as response:
            assert response.status_code == 200
            events = [line[6:] for line in response.iter_lines() if line]
        assert events[-1] == "[DONE]"
        deltas = [json.loads(event)["choices"][0]["delta"] for event in events[:-1]]
        return "".join(delta.get("content", "") for delta in deltas)

    begun = threading.Barrier(200)
    with ThreadPoolExecutor(200) as clients:
        texts = list(clients.map(stream, range(200)))
    server.idle()
    assert len({(number % 5, text) for number, text in enumerate(texts)}) <= 6  # One tie, perhaps.
    assert all(texts)


def test_many_short_requests_leave_memory_as_it_was(server: Serving) -> None:
    process = psutil.Process(server.process.pid)

    def ask(count: int) -> None:
        for number in range(count):
            body = {"model": "nano", "prompt": "def", "max_tokens": 1, "seed": number}
            assert server.ask("/v1/completions", body)[0] == 200

    with ThreadPoolExecutor(4) as clients:
        list(clients.map(ask, [25] * 4))
        before = process.memory_info().rss
        list(clients.map(ask, [75] * 4))
    assert process.memory_info().rss - before < 8 * 2**20


def test_slow_and_silent_clients_hold_up_nobody(server: Serving) -> None:
    """Some connect and say nothing, some send half a request, some read no answer."""
    silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(20)]
    head = f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n"
    head += "Content-Type: application/json\r\n"
    for half in silent[:10]:
        half.sendall(f"{head}Content-Length: 1000\r\n\r\n{{".encode())
    body = json.dumps(endless(stream=True, logprobs=True, top_logprobs=20)).encode()
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    deaf.connect(("127.0.0.1", server.port))
    deaf.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    try:
        assert server.chat("Hello", max_tokens=3)["usage"]["completion_tokens"] <= 3
    finally:
        for connection in (*silent, deaf):
            connection.close()
    server.idle()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 403),
        ({"Host": "localhost.evil.example:80"}, 403),
        ({"Host": "["}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://198.51.100.7"}, 403),
        ({"Origin": "null"}, 403),
        ({"Authorization": ""}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": f"Bearer {KEY}é".encode()}, 401),
        ({"Host": "localhost", "Origin": "http://localhost:3000"}, 200),
        ({"Host": "[::1]:1"}, 200),
    ],
)
def test_strangers_are_not_let_in(server: Serving, headers: dict[str, str], status: int) -> None:
    response = server.client.get("/v1/models", headers=headers)
    assert response.status_code == status
    assert not [name for name in response.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    ("data", "kind", "status"),
    [
        (b" " * (8 * 2**20 + 1), "application/json", 413),
        (b"{}", "text/plain", 415),
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b"\xff", "application/json", 400),
        (b'{"model": "nano", "messages": []}', "application/json", 400),
        (
            b'{"model": "nano", "messages": [{"role": "user", "content": 1}]}',
            "application/json",
            400,
        ),
        (b"[" * 100_000, "application/json", 400),
    ],
)
def test_unusable_bodies_are_refused(server: Serving, data: bytes, kind: str, status: int) -> None:
    response = server.client.post(CHAT, content=data, headers={"Content-Type": kind})
    assert response.status_code == status
    assert response.json()["error"]["message"]


def test_a_body_without_a_length_is_limited_too(server: Serving) -> None:
    chunks = (b" " * 2**20 for _ in range(12))
    headers = {"Content-Type": "application/json"}
    with suppress(httpx2.WriteError):  # It may hang up before all is sent.
        assert server.client.post(CHAT, content=chunks, headers=headers).status_code == 413
    assert server.client.get("/health").status_code == 200


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"grammar": "root ::= " + '"a" ' * 20_000}, "grammar"),
        ({"grammar": "root ::= ("}, "grammar"),
        ({"response_format": {"type": "json_object"}}, "grammar"),
        ({"grammar": None, "response_format": UNKNOWN_SCHEMA}, "response_format"),
        ({"stop": ["x"] * 17}, "stop"),
        ({"n": 17}, "n"),
        ({"messages": [{"role": "user", "content": "word " * 3000}]}, "messages"),
        ({"messages": [{"role": "user", "content": "x" * (4 * 2**20 + 1)}]}, "messages"),
        ({"logit_bias": {"9999": 1}}, ""),
    ],
)
def test_what_asks_for_too_much_is_refused(
    server: Serving, options: dict[str, object], param: str
) -> None:
    status, reply = server.ask(CHAT, endless(**options))
    assert status == 400
    assert (reply["error"]["param"] or "").startswith(param)


def test_an_answer_that_cannot_go_on_is_the_requests_fault(server: Serving) -> None:
    banned = {str(token): -100 for token in range(8192)}
    status, reply = server.ask(CHAT, endless(logit_bias=banned))
    assert (status, reply["error"]["type"]) == (400, "invalid_request_error")


def test_chat_goes_before_batch_and_too_many_are_turned_away(
    tmp_path: Path, kept_home: Path
) -> None:
    options = ("--api-key", KEY, "--parallel", "1", "--queue", "3")
    with serving(tmp_path, kept_home, *options) as busy, ThreadPoolExecutor(4) as clients:
        order: list[str] = []

        def ask(name: str, **more: object) -> None:
            body = endless(max_tokens=20, user=name, **more)
            assert busy.ask(CHAT, body)[0] == 200
            order.append(name)

        with busy.client.stream("POST", CHAT, json=endless(stream=True)) as first:
            lines = first.iter_lines()
            next(lines)
            later = [clients.submit(ask, "batch", service_tier="flex")]
            busy.until(lambda: busy.metric("queue") == 1)
            later += [clients.submit(ask, "one"), clients.submit(ask, "other")]
            busy.until(lambda: busy.metric("queue") == 3)
            refused = busy.client.post(CHAT, json=endless())
            assert refused.status_code == 429
            assert int(refused.headers["Retry-After"]) > 0
        for one in later:
            one.result()
        assert order[2] == "batch"
        assert busy.stop() == 0


def test_who_asks_for_another_model_gets_it(server: Serving) -> None:
    def ask(number: int) -> str:
        body = {"model": ("nano", "tooled")[number % 2], "prompt": "import", "seed": number}
        status, reply = server.ask("/v1/completions", {**body, "max_tokens": 5})
        assert status == 200
        return str(reply["model"])

    with ThreadPoolExecutor(6) as clients:
        assert list(clients.map(ask, range(6))) == ["nano", "tooled"] * 3
    assert server.ask("/health")[1]["model"] in ("nano", "tooled")


def test_embedding_goes_on_beside_an_answer_and_does_not_change_it(server: Serving) -> None:
    def embed() -> int:
        body = {"model": "embedder", "input": ["x" * 64] * 64}
        status, reply = server.ask("/v1/embeddings", body)
        assert status == 200
        return len(reply["data"])

    alone = server.chat("Hello", seed=5, max_tokens=120)
    with ThreadPoolExecutor(2) as clients:
        answering = clients.submit(server.chat, "Hello", seed=5, max_tokens=120)
        embedded = [embed()]
        while not answering.done():
            embedded.append(embed())
    assert set(embedded) == {64}
    both = (alone, answering.result())
    ties = any(reply["edgespec"]["stats"][0]["ties"] for reply in both)
    assert both[0]["choices"] == both[1]["choices"] or ties


def test_a_server_of_embeddings_alone(tmp_path: Path, kept_home: Path, embedder: Path) -> None:
    with serving(tmp_path, kept_home, "--api-key", KEY, "-m", str(embedder)) as only:
        body = {"model": "embedder", "input": "text"}
        assert only.ask("/v1/embeddings", body)[0] == 200
        assert only.ask("/health")[1] == {"status": "ok", "model": None}
        status, reply = only.ask(CHAT, endless())
        assert (status, reply["error"]["param"]) == (404, "model")
        assert only.stop() == 0


def test_a_server_makes_a_key_and_keeps_it_for_its_owner(tmp_path: Path, kept_home: Path) -> None:
    with serving(tmp_path, kept_home) as first:
        said = first.log.read_text()
        found = re.search(r"API key (\S+) \(kept in (.*)\)", said)
        assert found
        key, file = found.groups()
        assert Path(file).read_text().strip() == key
        assert stat.S_IMODE(os.stat(file).st_mode) == 0o600
        headers = {"Authorization": f"Bearer {key}"}
        assert first.client.get("/v1/models", headers=headers).status_code == 200
        assert first.client.get("/v1/models").status_code == 401
        second = _run("--port", str(first.port))
        assert second.returncode == 1
        assert "cannot be listened on: Address already in use" in second.stderr
        assert first.stop() == 0


def test_sigterm_lets_answers_be_finished(tmp_path: Path, kept_home: Path) -> None:
    with (
        serving(tmp_path, kept_home, "--no-api-key") as ending,
        ending.client.stream("POST", CHAT, json=endless(stream=True, max_tokens=300)) as response,
    ):
        lines = response.iter_lines()
        while "content" not in next(lines):
            pass
        ending.process.send_signal(signal.SIGTERM)
        said = [line for line in lines if line]
        assert said[-1] == "data: [DONE]"
        assert ending.process.wait(PATIENCE) == 0


def test_ctrl_c_ends_it(tmp_path: Path, kept_home: Path) -> None:
    with serving(tmp_path, kept_home, "--no-api-key") as ending:
        ending.process.send_signal(signal.SIGINT)
        assert ending.process.wait(PATIENCE) == 130
        assert "Traceback" not in ending.log.read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "what"),
    [
        (["--host", "0.0.0.0", "--no-api-key"], 2, "--no-api-key goes with a loopback"),
        (["--also", "nanoo"], 3, "there is no model 'nanoo'"),
        (["--host", "no.such.host.invalid"], 1, "cannot be listened on"),
    ],
)
def test_what_cannot_be_served_is_one_line(arguments: list[str], code: int, what: str) -> None:
    done = _run("--port", "0", *arguments)
    assert done.returncode == code
    assert what in done.stderr.splitlines()[-1]


def test_nothing_drafts_for_embeddings(embedder: Path) -> None:
    done = _run("--port", "0", "-m", str(embedder), "--drafter", "nano", "--no-api-key")
    assert done.returncode == 2
    assert "embedder makes embeddings, for which nothing is drafted" in done.stderr


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, "serve", *arguments],
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_conversations_in_turns_are_not_read_again(server: Serving) -> None:
    def ask(number: int) -> dict[str, Any]:
        text = f"# {number}\n" + "import os\n" * 60
        return server.chat(text, seed=number, max_tokens=16, temperature=0.8)

    def cached(reply: dict[str, Any]) -> int:
        return int(reply["usage"]["prompt_tokens_details"]["cached_tokens"])

    cold = [ask(number) for number in range(3)]
    in_turns = [ask(number) for number in range(3)]
    with ThreadPoolExecutor(3) as clients:
        at_once = list(clients.map(ask, range(3)))
    for replies in zip(cold, in_turns, at_once, strict=True):
        again = [min(cached(reply), 128) for reply in replies[1:]]
        assert again == [128, 128], "most of a conversation was read again"
        ties = any(reply["edgespec"]["stats"][0]["ties"] for reply in replies)
        assert ties or len({reply["choices"][0]["message"]["content"] for reply in replies}) == 1
