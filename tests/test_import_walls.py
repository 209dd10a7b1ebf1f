"""Walls beyond import-linter's contracts: what is loaded at run time, and by whom."""

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("edgespec", "backends/edgespec_backends", "tui/edgespec_tui")
HEAVY = (
    "httpx2",
    "huggingface_hub",
    "jinja2",
    "llama_cpp",
    "numpy",
    "onnxruntime",
    "pyarrow",
    "rich",
    "starlette",
    "textual",
    "tokenizers",
    "uvicorn",
)
RUN_CLI = f"""
import json, sys
from edgespec.cli import main

sys.argv = ["edgespec", *sys.argv[1:]]
try:
    main()
finally:
    print(json.dumps([name for name in {HEAVY} if name in sys.modules]), file=sys.stderr)
"""
IMPORT_ALL = """
import importlib, json, pkgutil, sys

package = importlib.import_module(sys.argv[1])
for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    if not module.name.endswith(".__main__"):
        importlib.import_module(module.name)
print(json.dumps(list(sys.modules)))
"""


def run_python(code: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(str(ROOT / folder) for folder in (".", "backends", "tui"))
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": path, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def sources(*packages: str) -> Iterator[Path]:
    for package in packages:
        yield from (ROOT / package).rglob("*.py")


def imported_modules(file: Path) -> Iterator[str]:
    """Every module that `file` imports, anywhere in it; `from a import b` counts as `a.b`."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def importers(library: str, *packages: str) -> set[str]:
    return {
        file.relative_to(ROOT).as_posix()
        for file in sources(*packages)
        if any(module.split(".")[0] == library for module in imported_modules(file))
    }


@pytest.mark.parametrize(
    ("arguments", "variables"),
    [
        (["--version"], {}),
        (["--help"], {}),
        ([], {"_EDGESPEC_COMPLETE": "bash_source"}),
        ([], {"_EDGESPEC_COMPLETE": "bash_complete", "COMP_WORDS": "edgespec ", "COMP_CWORD": "1"}),
    ],
    ids=["version", "help", "completion-script", "completion"],
)
def test_command_line_starts_light(arguments: list[str], variables: dict[str, str]) -> None:
    done = run_python(RUN_CLI, *arguments, **variables)
    *_, loaded = done.stderr.splitlines()
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert json.loads(loaded) == []


def test_import_edgespec_loads_no_third_party_module() -> None:
    done = run_python(
        "import sys; before = set(sys.modules); import edgespec; print(set(sys.modules) - before)"
    )
    assert done.stdout == "{'edgespec'}\n"


def test_llama_cpp_has_one_importer() -> None:
    assert importers("llama_cpp", *PACKAGES) == {"backends/edgespec_backends/llamacpp/lib.py"}


@pytest.mark.parametrize(("library", "file"), [("onnxruntime", "lib"), ("tokenizers", "tokenizer")])
def test_the_onnx_libraries_have_one_importer_each(library: str, file: str) -> None:
    assert importers(library, *PACKAGES) == {f"backends/edgespec_backends/onnx/{file}.py"}


@pytest.mark.parametrize(
    ("package", "strangers"),
    [
        ("edgespec", {"edgespec_backends", "edgespec_tui", "llama_cpp", "onnxruntime", "textual"}),
        ("edgespec_tui", {"edgespec_backends", "llama_cpp", "onnxruntime"}),
    ],
)
def test_importing_every_module_loads_no_stranger(package: str, strangers: set[str]) -> None:
    done = run_python(IMPORT_ALL, package)
    assert done.returncode == 0, done.stderr
    assert strangers.isdisjoint(json.loads(done.stdout))


def test_packaging_folder_is_no_package() -> None:
    assert not (ROOT / "packaging" / "__init__.py").exists()


def test_the_real_packaging_library_wins_in_the_checkout() -> None:
    done = run_python("import packaging.version")
    assert done.returncode == 0, done.stderr
