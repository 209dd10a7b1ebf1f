"""llama.cpp's own llama-bench and llama-server, from the sources inside the binding's sdist.

The same sources and, by default, the same compiler settings as the library that edgespec loads.
CMAKE_ARGS are taken over from the environment.
"""

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

CACHE = Path(__file__).resolve().parent.parent / "build" / "bench"
_SETTINGS = (
    "-DCMAKE_BUILD_TYPE=Release",
    "-DGGML_RPC=ON",
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
    "-DLLAMA_BUILD_UI=OFF",
    "-DLLAMA_CURL=OFF",
    "-DLLAMA_OPENSSL=OFF",
)


@dataclass(frozen=True, slots=True)
class Peer:
    """The two programs that edgespec is measured against."""

    bench: Path
    server: Path


def add_option(parser: argparse.ArgumentParser) -> None:
    """`--peer-dir`, for every script that needs the peer."""
    text = f"where llama-bench and llama-server are (default: built in {CACHE})"
    parser.add_argument("--peer-dir", type=Path, help=text)


def ensure(folder: Path | None = None) -> Peer:
    """The programs in `folder`; without one, those built here, now if need be (10 minutes)."""
    if folder:
        if peer := _find(folder):
            return peer
        raise SystemExit(f"{folder} has no llama-bench and llama-server")
    build = CACHE / f"peer-{version('llama-cpp-python')}"
    if not _find(build):
        _build(_sources(), build)
    peer = _find(build)
    assert peer
    return peer


def _find(folder: Path) -> Peer | None:
    places = os.pathsep.join(str(place) for place in (folder, folder / "bin"))
    found = [shutil.which(name, path=places) for name in ("llama-bench", "llama-server")]
    return Peer(*(Path(program).resolve() for program in found if program)) if all(found) else None


def _sources() -> Path:
    wanted = f"llama-cpp-python=={version('llama-cpp-python')}"
    folder = CACHE / "sdist"
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", str(folder)]
    _run([*pip, "--no-binary", "llama-cpp-python", wanted])
    archive = next(folder.glob(f"llama_cpp_python-{version('llama-cpp-python')}*.tar.gz"))
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    return folder / archive.name.removesuffix(".tar.gz") / "vendor" / "llama.cpp"


def _build(sources: Path, build: Path) -> None:
    path = _path_with_cmake()
    cmake = shutil.which("cmake", path=path) or "cmake"
    environment = {**os.environ, "PATH": path}
    settings = [*_SETTINGS, *shlex.split(os.environ.get("CMAKE_ARGS", ""))]
    configure = [cmake, "-S", str(sources), "-B", str(build), "-G", "Ninja", *settings]
    _run(configure, environment)
    jobs = str(os.cpu_count() or 1)
    targets = ["llama-bench", "llama-server"]
    _run([cmake, "--build", str(build), "-j", jobs, "--target", *targets], environment)


def _path_with_cmake() -> str:
    path = os.environ.get("PATH", "")
    if shutil.which("cmake", path=path) and shutil.which("ninja", path=path):
        return path
    tools = CACHE / "tools"
    commands = tools / ("Scripts" if os.name == "nt" else "bin")
    _run([sys.executable, "-m", "venv", str(tools)])
    _run([str(commands / "python"), "-m", "pip", "install", "--quiet", "cmake", "ninja"])
    return f"{commands}{os.pathsep}{path}"


def _run(command: list[str], environment: dict[str, str] | None = None) -> None:
    print(f"$ {shlex.join(command)}", file=sys.stderr, flush=True)
    if subprocess.run(command, env=environment, stdout=sys.stderr, check=False).returncode:
        raise SystemExit(f"{command[0]} failed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_option(parser)
    peer = ensure(parser.parse_args().peer_dir)
    print(peer.bench, peer.server, sep="\n")


if __name__ == "__main__":
    main()
