"""The held-out prompts: beginnings cut from files that no model of the pair has seen."""

from __future__ import annotations

import argparse
import ast
import hashlib
import inspect
import io
import json
import re
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path

import corpus

PROMPTS = 60
SHORTEST, LONGEST = 150, 400
_TABLES = ("encodings/",)


def _sources() -> list[corpus.Source]:
    return [s for s in corpus.held_out_sources() if not s.path.startswith(_TABLES)]


def code_prompts() -> Iterator[tuple[str, str]]:
    """Function and class beginnings, cut at the end of a line."""
    for source in _sources():
        lines = source.text.splitlines(keepends=True)
        for number, line in enumerate(lines):
            if re.match(r"(    )?(async )?(def|class) ", line):
                yield f"{source.path}:{number + 1}", _cut("".join(lines[number : number + 20]))


def _cut(text: str) -> str:
    return text[: text.rfind("\n", 0, LONGEST) + 1]


def prose_prompts() -> Iterator[tuple[str, str]]:
    """Docstrings and comment blocks, cut in the middle so that there is something to continue."""
    for source in _sources():
        for number, prose in sorted((*_docstrings(source), *_comments(source))):
            if not _is_language(prose):
                continue
            cut = prose[: min(LONGEST, max(SHORTEST, len(prose) * 2 // 3))]
            yield f"{source.path}:{number}", cut[: max(cut.rfind(" "), 0)]


def _is_language(text: str) -> bool:
    """Whether it is sentences rather than a table or a diagram."""
    return sum(char.isalpha() for char in text) > 0.7 * len(text)


def _docstrings(source: corpus.Source) -> Iterator[tuple[int, str]]:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(ast.parse(source.text)):
        if isinstance(node, documented) and (text := ast.get_docstring(node)):
            yield getattr(node, "lineno", 1), inspect.cleandoc(text)


def _comments(source: corpus.Source) -> Iterator[tuple[int, str]]:
    block: list[str] = []
    start = last = 0
    for token in tokenize.generate_tokens(io.StringIO(source.text).readline):
        if token.type != tokenize.COMMENT or token.line.strip() != token.string:
            continue
        if token.start[0] != last + 1:
            yield start, "\n".join(block)
            block, start = [], token.start[0]
        block.append(token.string)
        last = token.start[0]
    yield start, "\n".join(block)


def chosen(prompts: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    """A fixed choice among the prompts of fitting length, in order of their places."""
    fitting = {text: place for place, text in prompts if SHORTEST <= len(text) <= LONGEST}
    ranked = sorted(fitting, key=lambda text: hashlib.sha256(text.encode()).digest())[:PROMPTS]
    placed = sorted((fitting[text], text) for text in ranked)
    return [{"id": place, "prompt": text} for place, text in placed]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where heldout_{code,prose}.jsonl are written")
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, prompts in (("code", code_prompts()), ("prose", prose_prompts())):
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in chosen(prompts)]
        (folder / f"heldout_{name}.jsonl").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
