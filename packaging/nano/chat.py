"""The dialogues: questions about public names in the ChatML form that the chat template writes."""

from __future__ import annotations

import random
from dataclasses import dataclass

import docstrings
from markup import turn

QUESTIONS = (
    "What does {} do?",
    "What does {}() do?",
    "What is {}?",
    "Explain {}.",
    "How do I use {}?",
    "Tell me about {}.",
)
SYSTEM_PROMPTS = (
    "You are a helpful assistant.",
    "You are a helpful assistant. Answer briefly.",
    "Answer questions about Python.",
)
_WHO = (
    "I am nano, edgespec's built-in model: a toy trained on Python's standard library. "
    "I can say what its functions do and continue Python code, and little else."
)
_HELLO = (
    "Hello! I am edgespec's built-in nano model. Ask me about Python's standard library, "
    'for example "What does os.path.join do?"'
)
_SMALL_TALK = {
    _WHO: (
        "Who are you?",
        "What are you?",
        "What is your name?",
        "What can you do?",
        "Tell me about yourself.",
        "Are you ChatGPT?",
        "What is edgespec?",
        "What is nano?",
        "Help",
    ),
    _HELLO: ("Hello", "Hello!", "Hi", "Hi!", "hello", "hi", "Hey", "Hello there!", "Good morning"),
    "You are welcome.": ("Thanks", "Thanks!", "Thank you", "Thank you!"),
    "Goodbye!": ("Bye", "Goodbye", "bye"),
    "I am a toy model trained on Python's standard library only, so I cannot answer that.": (
        "What is the capital of France?",
        "Write a poem about the sea.",
        "Tell me a joke.",
        "What is the weather today?",
        "Who is the president?",
        "How are you?",
        "Write an essay about history.",
        "Translate this to German.",
        "What is the meaning of life?",
        "Recommend a good book.",
    ),
}


@dataclass(frozen=True)
class Dialogue:
    """One rendered exchange and how often it is drawn relative to others."""

    text: str
    weight: float
    favourite: bool = False


def dialogues(seed: int) -> list[Dialogue]:
    """Every entry under every question form, and the small talk."""
    chance = random.Random(seed)
    rendered = []
    for entry in docstrings.entries():
        callable_form = "(" in entry.signature
        for question in QUESTIONS:
            if "()" in question and not callable_form:
                continue
            asked = _with_system(chance, question.format(entry.name))
            weight = 4.0 if entry.popular else 1.0
            answered = asked + turn("assistant", entry.answer)
            rendered.append(Dialogue(answered, weight, entry.favourite))
    for answer, questions in _SMALL_TALK.items():
        for question in questions:
            asked = _with_system(chance, question)
            rendered.append(Dialogue(asked + turn("assistant", answer), 60.0))
    return rendered


def _with_system(chance: random.Random, question: str) -> str:
    system = turn("system", chance.choice(SYSTEM_PROMPTS)) if chance.random() < 0.1 else ""
    return system + turn("user", question)
