import pytest

from edgespec import template
from edgespec.errors import ExitCode, ModelFileError
from edgespec.template import ChatTemplate

CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
HELLO = [{"role": "user", "content": "Hello"}]
WITH_SYSTEM = [{"role": "system", "content": "Be brief."}, *HELLO]


def test_renders_up_to_where_the_assistant_begins() -> None:
    assert ChatTemplate(CHATML).render(WITH_SYSTEM) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n"
        "<|im_start|>user\nHello<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ bos_token }}|{{ eos_token }}", "<s>|</s>"),
        ("{% if tools is not none %}tools{% endif %}", ""),
        ("{% for i in [1, 2] %}{{ i }}{% break %}{% endfor %}", "1"),
        ("  {% if true %}\n  x\n  {% endif %}\n", "  x\n"),
        ("{% generation %}{{ messages[0].content }}{% endgeneration %}", "Hello"),
        ("{{ {'a': '<é>'} | tojson }}", '{"a": "<é>"}'),
        ("{{ [1] | tojson(indent=1) }}", "[\n 1\n]"),
        ("{{ strftime_now('%%') }}", "%"),
        ("{% set ns = namespace(n=2) %}{% set ns.n = ns.n * 3 %}{{ ns.n }}", "6"),
        ("{{ missing }}", ""),
        ("{{ '{0.__class__}'.format(1) }}", ""),
    ],
)
def test_gives_templates_what_they_expect(source: str, text: str) -> None:
    assert ChatTemplate(source, "<s>", "</s>").render(HELLO) == text


@pytest.mark.parametrize(
    "source",
    [
        "{% if %}",
        "{{ missing.attribute }}",
        "{{ 1 / 0 }}",
        "{{ raise_exception('not like that') }}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ namespace.__init__.__globals__ }}",
        "{{ messages.append(1) }}",
        "{% include 'other' %}",
        "{{ 'x' * 10 ** 9 }}",
        "{{ 'x' * 1000000000 }}",
        "{{ [0] * 1000000000 }}",
        "{{ range(1000000000) }}",
    ],
)
def test_a_template_that_fails_is_one_error(source: str) -> None:
    with pytest.raises(ModelFileError) as caught:
        ChatTemplate(source).render(HELLO)
    assert caught.value.exit_code is ExitCode.UNAVAILABLE
    assert "chat template" in caught.value.what
    assert "--raw" in caught.value.hint


def test_the_error_carries_the_template_s_own_words() -> None:
    with pytest.raises(ModelFileError, match="not like that"):
        ChatTemplate("{{ raise_exception('not like that') }}").render(HELLO)


def test_a_template_that_does_not_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template, "MAX_SECONDS", 0.05)
    loops = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
    with pytest.raises(ModelFileError, match="longer than"):
        ChatTemplate(loops).render(HELLO)


def test_a_template_that_writes_without_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template, "MAX_CHARACTERS", 1000)
    with pytest.raises(ModelFileError, match="more than 1000 characters"):
        ChatTemplate("{% for i in range(99999) %}0123456789{% endfor %}").render(HELLO)


def test_a_template_without_a_system_role_gets_the_text_with_the_first_question() -> None:
    refusing = (
        "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
        "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    )
    assert ChatTemplate(refusing).render(WITH_SYSTEM) == "user: Be brief.\n\nHello\n"
