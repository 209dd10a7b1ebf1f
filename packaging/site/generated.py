"""What the site has beyond docs/: READMEs of other folders, and references made from the code.

A hook of mkdocs. Links between these pages are written as GitHub resolves them, from file to file
in the repository, and turned into links between pages here.
"""

import json
import posixpath
import re
import tomllib
from collections.abc import Iterator
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

import http_page
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

import edgespec
from edgespec import config
from edgespec.catalog_file import Record

ROOT = Path(__file__).resolve().parent.parent.parent
MOVED = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "bench/README.md": "benchmarking.md",
    "packaging/nano/README.md": "nano.md",
    "edgespec/nano/LICENSE-weights.md": "licences.md",
    "models.toml": "reference/catalogue.md",
}
"""Files of the repository that are pages of the site."""
_LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)#\s]+)(?=[)#])")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not in docs/."""
    for path, page in MOVED.items():
        if path.endswith(".md"):
            text = (ROOT / path).read_text(encoding="utf-8")
            files.append(File.generated(config, page, content=text))
    for page, text in references():
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Make links of repository files links of pages."""
    readmes = {name: path for path, name in MOVED.items() if path.endswith(".md")}
    origin = readmes.get(page.file.src_uri, f"docs/{page.file.src_uri}")

    def moved(link: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(origin), link[1]))
        target = MOVED.get(path, path.removeprefix("docs/"))
        return posixpath.relpath(target, posixpath.dirname(page.file.src_uri) or ".")

    return _LINK.sub(moved, markdown)


def references() -> Iterator[tuple[str, str]]:
    """Name and text of each page that is made from the code."""
    yield "reference/commands.md", _COMMANDS
    yield "reference/catalogue.md", _catalogue()
    yield "reference/settings.md", _settings()
    yield "reference/python.md", _python()
    yield "reference/http.md", http_page.page(_api())


_COMMANDS = """# Commands and options

Made from the program's own help. What goes in and comes out: [the command line](../cli.md).

::: mkdocs-click
    :module: edgespec.cli.app
    :command: cli
    :prog_name: edgespec
    :style: table
    :depth: 1
"""


def _settings() -> str:
    """The settings by section, each with its default, its range and its meaning."""
    parts = [
        "# The settings' keys",
        "\nMade from the code. Where they are, what wins over them: [settings](../settings.md).",
    ]
    section = ""
    for name, item in config.FIELDS.items():
        if name in config.TABLES:
            parts.append(f"\n## `[{name}]`\n\n{item.metadata['text']}")
            continue
        if item.metadata["section"] != section:
            section = item.metadata["section"]
            parts += [
                f"\n## `[{section}]`\n",
                "| key | default | range | means |",
                "|---|---|---|---|",
            ]
        parts.append(_setting(name, item))
    return "\n".join(parts) + "\n"


def _setting(name: str, item: Field[Any]) -> str:
    least, most = item.metadata["least"], item.metadata["most"]
    between = f"{least:,} to {most:,}" if most > least else ""
    default = json.dumps(item.default)
    return f"| `{name}` | `{default}` | {between} | {item.metadata['text']} |"


def _api() -> dict[str, Any]:
    text = (ROOT / "edgespec" / "server" / "openapi.json").read_text(encoding="utf-8")
    api: dict[str, Any] = json.loads(text)
    return api


def _python() -> str:
    names = (getattr(edgespec, name) for name in dir(edgespec) if not name.startswith("_"))
    public = [one for one in names if hasattr(one, "__qualname__")]
    places = "\n".join(f"::: {one.__module__}.{one.__qualname__}\n" for one in public)
    return f"""# Python names

Made from the code. How they go together: [the Python API](../api.md).

{places}"""


def _catalogue() -> str:
    text = (ROOT / "models.toml").read_text(encoding="utf-8")
    comment = [line[2:] for line in text.splitlines() if line.startswith("# ")]
    pairs = tomllib.loads(text)["pairs"]
    keys = "\n".join(
        f"| `{item.name}` | {getattr(item.type, '__name__', item.type)} |"
        for item in fields(Record)
        if item.name not in ("name", "folder")
    )
    rows = "\n".join(_row(name, pair) for name, pair in pairs.items())
    head = "\n".join(comment)
    return f"""# The catalogue

Made from `models.toml`. [How to write one of your own](../models.md#a-catalogue-of-your-own).

| name | what it is | parameters, 10^9 | target | drafter | licence |
|---|---|---|---|---|---|
{rows}

## Keys of a pair

| key | type |
|---|---|
{keys}

`description`, `licence` and `target` are needed.

```text
{head}
```
"""


def _row(name: str, pair: dict[str, object]) -> str:
    places = (f"`{pair[key]}`" if key in pair else "-" for key in ("target", "drafter"))
    cells = (f"`{name}`", pair["description"], pair.get("parameters", "-"), *places)
    return f"| {' | '.join(map(str, cells))} | {pair['licence']} |"
