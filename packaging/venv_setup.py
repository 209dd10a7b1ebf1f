"""The virtual environment behind try.py and check.py: what it takes, and how it is filled.

Standard library only, and it parses on Python 3.6, so that an old Python gets a clear message.
The project is installed editable: what runs, and what is checked, is the checkout itself, and a
second run installs nothing unless pyproject.toml changed.
"""

import hashlib
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
OLDEST_PYTHON = (3, 11)


class Compiler(NamedTuple):
    language: str
    variable: str
    names: "tuple[str, ...]"
    probe: str
    source: str


COMPILERS = (
    Compiler("C", "CC", ("cc", "gcc", "clang"), "probe.c", "#include <stdlib.h>\n"),
    Compiler("C++", "CXX", ("c++", "g++", "clang++"), "probe.cpp", "#include <thread>\n"),
)


class SetupError(Exception):
    """Why there is no environment, and what to do about it."""


def say(text: str, end: str = "\n") -> None:
    print(text, end=end, file=sys.stderr, flush=True)


def run_script(main: "Callable[[], int]") -> int:
    """Runs a script's `main` on a fit Python; what goes wrong becomes one line."""
    try:
        require_python()
        return main()
    except SetupError as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say("\ninterrupted; run the same command to go on")
        return 130


def ensure_environment(venv: Path, extra: str = "") -> Path:
    """Makes `venv` hold the project with its `extra`; returns the folder of its commands."""
    commands = venv / ("Scripts" if os.name == "nt" else "bin")
    python = commands / ("python.exe" if os.name == "nt" else "python")
    stamp = venv / "edgespec-setup.stamp"
    wanted = fingerprint(venv, extra)
    current = stamp.read_text() if stamp.exists() else ""
    if not python.exists() or current not in (wanted, fingerprint(venv, "dev")):
        create(venv)
        install(python, extra, venv / "edgespec-setup.log")
        stamp.write_text(wanted)
    return commands


def fingerprint(venv: Path, extra: str) -> str:
    """Differs when the dependencies do, or when the checkout or the environment was moved."""
    facts = [str(ROOT), str(venv), extra, (ROOT / "pyproject.toml").read_text(encoding="utf-8")]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()


def require_python() -> None:
    if sys.version_info < OLDEST_PYTHON:
        found, oldest = (".".join(map(str, v[:2])) for v in (sys.version_info, OLDEST_PYTHON))
        raise SetupError(f"this is Python {found}; run the script with Python {oldest} or newer")


def create(venv: Path) -> None:
    """Creates `venv`, or repairs what an interrupted creation left."""
    for module in ("venv", "ensurepip"):
        if importlib.util.find_spec(module) is None:
            version = ".".join(map(str, sys.version_info[:2]))
            raise SetupError(
                f"this Python lacks the module {module}; install it "
                f"(Debian, Ubuntu: apt install python{version}-venv)"
            )
    foreign = venv.is_file() or (venv.is_dir() and any(venv.iterdir()))
    if foreign and not (venv / "pyvenv.cfg").exists():
        raise SetupError(f"{venv} is there, but is no virtual environment; move it away")
    say(f"creating the virtual environment {venv}")
    done = subprocess.run([sys.executable, "-m", "venv", str(venv)], check=False)
    if done.returncode:
        raise SetupError(f"could not create {venv}; remove it and run again")


def install(python: Path, extra: str, log: Path) -> None:
    """Installs the checkout with pip, whose output goes to `log`."""
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--no-input", "-v", "install"]
    if not succeeds([str(python), "-c", "import llama_cpp"]):
        require_engine(pip)
    say(f"installing edgespec and what it needs (log: {log})")
    target = f"{ROOT}[{extra}]" if extra else str(ROOT)
    if run_logged([*pip, "--editable", target], build_settings(), log):
        say("\n".join(log.read_text(errors="replace").splitlines()[-30:]))
        raise SetupError(f"pip failed: its last lines are above, all of them in {log}")


def require_engine(pip: "Sequence[str]") -> None:
    """Finds out before minutes of building whether llama.cpp can be had here."""
    missing = [compiler.language for compiler in COMPILERS if not works(compiler)]
    if not missing:
        say("llama.cpp will be compiled for this machine: a few minutes on 2 cores")
    elif not succeeds([*pip, "--dry-run", "--only-binary=llama-cpp-python", str(ROOT)]):
        raise SetupError(
            f"no working {missing[0]} compiler, and llama.cpp has to be compiled; install one "
            "(Debian, Ubuntu: apt install build-essential; Fedora: dnf install gcc-c++; "
            "macOS: xcode-select --install)"
        )


def works(compiler: Compiler) -> bool:
    """Tries one include, because a compiler without its headers is common too."""
    if os.name == "nt":  # CMake finds Visual Studio where PATH does not show it.
        return True
    chosen = shlex.split(os.environ.get(compiler.variable, ""))
    command = chosen or [name for name in compiler.names if shutil.which(name)][:1]
    with tempfile.TemporaryDirectory() as folder:
        probe = Path(folder, compiler.probe)
        probe.write_text(compiler.source)
        return bool(command) and succeeds([*command, "-fsyntax-only", str(probe)])


def succeeds(command: "Sequence[str]") -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def build_settings() -> "dict[str, str]":
    """The environment of a llama.cpp build with what edgespec loads, RPC included, on all cores.

    The user's own CMAKE_ARGS come last, so that they win.
    """
    cmake = (ROOT / "packaging" / "llama_cpp.cmake").as_posix()
    include = shlex.quote(f"-DCMAKE_PROJECT_llama.cpp_INCLUDE={cmake}")
    # Remote devices cost a few seconds of the build, and spread models over several machines.
    ours = f"-DLLAVA_BUILD=OFF -DGGML_RPC=ON {include}"
    settings = {"CMAKE_BUILD_PARALLEL_LEVEL": str(os.cpu_count() or 1), **os.environ}
    settings["CMAKE_ARGS"] = f"{ours} {os.environ.get('CMAKE_ARGS', '')}".strip()
    return settings


def run_logged(command: "Sequence[str]", settings: "dict[str, str]", log: Path) -> int:
    """Runs `command` into `log`, with a sign of life; returns its exit status."""
    with log.open("w") as out:
        process = subprocess.Popen(command, env=settings, stdout=out, stderr=subprocess.STDOUT)
    try:
        return wait_for(process, log)
    finally:
        process.wait()


def wait_for(process: "subprocess.Popen[bytes]", log: Path) -> int:
    live = sys.stderr.isatty()
    start = time.monotonic()
    while True:
        try:
            status = process.wait(timeout=1 if live else 30)
        except subprocess.TimeoutExpired:
            minutes, seconds = divmod(int(time.monotonic() - start), 60)
            text = f"  {minutes}:{seconds:02} {build_progress(log)}"
            say(f"\r{text:<40}" if live else text, end="" if live else "\n")
        else:
            say("\r" + " " * 40 + "\r" if live else "", end="")
            return status


def build_progress(log: Path) -> str:
    """What pip is doing: the compilation's last `[12/83]`, if the log's tail has one."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 20000))
        steps = re.findall(rb"^\s*\[(\d+)/(\d+)\]", file.read(), re.MULTILINE)
    return f"compiling llama.cpp: {b' of '.join(steps[-1]).decode()}" if steps else "pip is at work"
