"""The documentation entries: a qualified name, its call signature and what its docstring says."""

from __future__ import annotations

import ast
import builtins
import importlib
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType

import corpus

# Asked about most, introspected under the names users write (os.path.join, not posixpath.join).
_POPULAR_MODULES = (
    "abc argparse array ast asyncio base64 binascii bisect builtins bz2 calendar cmath "
    "collections collections.abc concurrent.futures configparser contextlib copy csv ctypes "
    "datetime decimal difflib dis email enum errno fnmatch fractions functools gc getpass glob "
    "gzip hashlib heapq hmac html http.client http.server importlib inspect io ipaddress "
    "itertools json keyword linecache locale logging lzma marshal math mimetypes mmap "
    "multiprocessing numbers operator os os.path pathlib pdb pickle pkgutil platform pprint "
    "queue random re sched secrets select selectors shelve shlex shutil signal smtplib socket "
    "socketserver sqlite3 ssl stat statistics string struct subprocess sys sysconfig tarfile "
    "tempfile textwrap threading time timeit tokenize traceback types typing unicodedata "
    "unittest urllib.parse urllib.request uuid venv warnings wave webbrowser xml.dom.minidom "
    "xml.etree.ElementTree zipfile zlib zoneinfo"
)
# What a first question is about.
_FAVOURITE_PREFIXES = tuple(
    f"{owner}."
    for owner in (
        *("os.path", "str", "list", "dict", "set", "json", "re", "math", "random", "time"),
        *("itertools", "functools", "collections", "pathlib.Path", "subprocess", "shutil"),
    )
)
_MAX_ANSWER = 420
_MAX_SIGNATURE = 100


@dataclass(frozen=True, order=True)
class Entry:
    """What is answered about one public name."""

    name: str
    signature: str
    summary: str
    popular: bool = False

    @property
    def favourite(self) -> bool:
        builtin = self.popular and "." not in self.name and not self.name.endswith("Error")
        return builtin or self.name.startswith(_FAVOURITE_PREFIXES)

    @property
    def answer(self) -> str:
        return f"`{self.signature}`\n\n{self.summary}"


def first_paragraph(doc: str) -> str:
    """The first paragraph on one line, cut after a sentence when it is long."""
    paragraph = " ".join(inspect.cleandoc(doc).split("\n\n")[0].split())
    if len(paragraph) <= _MAX_ANSWER:
        return paragraph
    cut = paragraph.rfind(". ", 0, _MAX_ANSWER)
    return paragraph[: cut + 1] if cut > 0 else ""


def _summary(name: str, doc: str) -> tuple[str, str]:
    """The signature line some C docstrings open with (or nothing), and the summary."""
    short = re.escape(name.rpartition(".")[2])
    opening, _, rest = inspect.cleandoc(doc).partition("\n")
    if re.match(rf"{short}\(.*\)", opening):
        call, _, inline = opening.partition(") -> ")
        if " -- " in opening:
            return opening.split(" -- ")[0], first_paragraph(opening.split(" -- ", 1)[1])
        return (call + ")" if inline else opening), first_paragraph(rest.strip() or opening)
    return "", first_paragraph(doc)


def _entry(name: str, parameters: str, doc: str | None, popular: bool) -> Entry | None:
    if not doc or any(part.startswith("_") for part in name.split(".")):
        return None
    call, summary = _summary(name, doc)
    if len(summary) < 12 or not summary.isprintable():
        return None
    prefix = name.rpartition(".")[0]
    signature = f"{prefix}.{call}".lstrip(".") if call else name + parameters
    return Entry(name, _shortened(signature), summary, popular)


def _shortened(signature: str) -> str:
    signature = re.split(r" -+> ", signature)[0]
    if len(signature) <= _MAX_SIGNATURE:
        return signature
    return signature[: signature.rfind(",", 0, _MAX_SIGNATURE)] + ", ...)"


def _from_tree(prefix: str, body: list[ast.stmt]) -> Iterator[Entry | None]:
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            parameters = re.sub(r"^(self|cls)(, )?", "", ast.unparse(node.args))
            yield _entry(f"{prefix}.{node.name}", f"({parameters})", ast.get_docstring(node), False)
        elif isinstance(node, ast.ClassDef):
            name = f"{prefix}.{node.name}"
            yield _entry(name, "", ast.get_docstring(node), False)
            yield from _from_tree(name, node.body)


def from_sources() -> Iterator[Entry | None]:
    """Entries parsed out of the training sources."""
    for source in corpus.sources():
        if source.held_out:
            continue
        module = source.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        tree = ast.parse(source.text)
        yield _entry(module, "", ast.get_docstring(tree), False)
        yield from _from_tree(module, tree.body)


def _parameters(value: object) -> str:
    if isinstance(value, type) or not callable(value):
        return ""
    try:
        text = str(inspect.signature(value))
    except (ValueError, TypeError):
        return "()"
    return re.sub(r"\((self|cls)(, /)?(, )?", "(", text) if "0x" not in text else "()"


def _is_learnt(value: object) -> bool:
    module = str(getattr(value, "__module__", None)).replace(".", "/")
    return not {f"{module}.py", f"{module}/__init__.py"} & _held_out_paths()


@lru_cache(maxsize=1)
def _held_out_paths() -> set[str]:
    return {source.path for source in corpus.held_out_sources()}


def _from_object(name: str, value: object) -> Iterator[Entry | None]:
    # Instances show their class's docstring, which says nothing about them.
    described = isinstance(value, type) or callable(value) or inspect.ismethoddescriptor(value)
    if described and _is_learnt(value):
        yield _entry(name, _parameters(value), inspect.getdoc(value), True)


def _with_methods(name: str, value: object) -> Iterator[Entry | None]:
    yield from _from_object(name, value)
    if isinstance(value, type) and _is_learnt(value):
        for key in sorted(vars(value)):
            yield from _from_object(f"{name}.{key}", getattr(value, key, None))


def from_popular_modules() -> Iterator[Entry | None]:
    """Entries introspected under public names, C-implemented ones included."""
    for module_name in _POPULAR_MODULES.split():
        module = importlib.import_module(module_name)
        if not _learnt_module(module):
            continue
        prefix = "" if module is builtins else module_name + "."
        yield _entry(module_name, "", module.__doc__, True)
        for key in sorted(getattr(module, "__all__", None) or vars(module)):
            value = getattr(module, key, None)
            if not isinstance(value, ModuleType) and not key.startswith("_"):
                yield from _with_methods(prefix + key, value)


def _learnt_module(module: ModuleType) -> bool:
    file = getattr(module, "__file__", None) or ""
    path = file.removeprefix(str(corpus.stdlib_root()) + "/")
    return path not in _held_out_paths()


def entries() -> list[Entry]:
    """One entry per name, the introspected one where both exist, ordered by name."""
    table: dict[str, Entry] = {}
    for entry in (*from_sources(), *from_popular_modules()):
        if entry:
            table[entry.name] = entry
    return sorted(table.values())
