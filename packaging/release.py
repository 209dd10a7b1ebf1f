"""All that a release consists of, in one folder: `python packaging/release.py DIST --url URL`.

Wheel and sdist, built twice and compared byte by byte; an offline bundle; the SBOM and the licences
of everything in it; recipes for other package managers; checksums.
"""

import argparse
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path

import recipes
import venv_setup

ROOT = Path(__file__).resolve().parent.parent
EPOCH = "SOURCE_DATE_EPOCH"
BUNDLED = ("packaging/install.sh", "packaging/install.ps1", "LICENSE")
LICENCE = "vendor/llama.cpp/LICENSE"
LLAMA_CPP = {
    "type": "library",
    "bom-ref": "llama.cpp",
    "name": "llama.cpp",
    "description": "compiled from the sources in llama-cpp-python",
    "licenses": [{"license": {"id": "MIT"}}],
}
"""What pip does not know of, as the SBOM has it."""


def build_twice(dist: Path) -> None:
    """The wheel and the sdist in `dist`, proved to depend on nothing but the sources."""
    with tempfile.TemporaryDirectory() as folder:
        for out in (dist, Path(folder)):
            _run(sys.executable, "-m", "build", "--outdir", out, ROOT)
        for second in Path(folder).iterdir():
            if second.read_bytes() != (dist / second.name).read_bytes():
                sys.exit(f"error: {second.name} differs from one build to the next")
    print("both builds are the same, byte by byte", flush=True)


def collect_wheels(wheel: Path, folder: Path) -> None:
    """`wheel` and all that it needs here, llama.cpp compiled, in `folder`."""
    # pip does not know with which flags what it cached was compiled.
    fresh = ("--no-cache-dir",) if os.environ.get("CMAKE_ARGS") else ()
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", *fresh, "--wheel-dir", folder, wheel)
    _run(*pip, settings=venv_setup.build_settings())


def describe(wheels: Path, version: str, sbom: Path, licences: Path) -> None:
    """SBOM and licences of what the wheels in `wheels` install, without an index."""
    with tempfile.TemporaryDirectory() as folder:
        _run(sys.executable, "-m", "venv", folder)
        python = Path(folder, "Scripts" if os.name == "nt" else "bin", "python")
        pip = (python, "-m", "pip")
        _run(*pip, "install", "--quiet", "--no-index", "--find-links", wheels, "edgespec")
        # Tools of making environments are no part of the program.
        _run(*pip, "uninstall", "--quiet", "--yes", "setuptools", "pip")
        tools = Path(sys.executable).parent
        project = ("--pyproject", ROOT / "pyproject.toml")
        reproducible = ("environment", "--output-reproducible", *project, "--output-file", sbom)
        _run(tools / "cyclonedx-py", *reproducible, python)
        found = json.loads(sbom.read_text(encoding="utf-8"))
        found["metadata"]["component"]["version"] = version  # Which pyproject.toml does not say.
        found["components"].append(LLAMA_CPP)
        sbom.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        texts = engine_licence(wheels), third_parties(tools, python)
        licences.write_text("\n\n".join(texts), encoding="utf-8")


def engine_licence(wheels: Path) -> str:
    """llama.cpp's own licence, which the wheel that it is compiled into does not hold."""
    [wheel] = wheels.glob("llama_cpp_python-*.whl")
    package, version = "llama-cpp-python", wheel.name.split("-")[1]
    with tempfile.TemporaryDirectory() as folder:
        pip = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps")
        _run(*pip, "--no-binary", package, "--dest", folder, f"{package}=={version}")
        [archive] = Path(folder).glob("*.tar.gz")
        with tarfile.open(archive) as tar:
            file = tar.extractfile(f"{archive.name.removesuffix('.tar.gz')}/{LICENCE}")
            assert file
            text = file.read().decode()
    return _notice(f"llama.cpp, as compiled into {package} {version}: MIT License", text)


def third_parties(tools: Path, python: Path) -> str:
    """Names, versions, licences and notices of all packages but edgespec."""
    texts = ("--with-license-file", "--with-notice-file", "--no-license-path")
    form = ("--format", "json", *texts)
    command = (tools / "pip-licenses", "--python", python, *form)
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    parts = []
    for package in json.loads(done.stdout):
        if package["Name"] == "edgespec":
            continue
        told = [package[key].strip() for key in ("LicenseText", "NoticeText")]
        text = "\n\n".join(part for part in told if part != "UNKNOWN")
        head = f"{package['Name']} {package['Version']}: {package['License']}"
        parts.append(_notice(head, text or "Its package has no licence text."))
    return "\n\n".join(parts)


def _notice(head: str, text: str) -> str:
    return f"{head}\n{'=' * len(head)}\n\n{text.strip()}\n"


def bundle(dist: Path, name: str, wheels: Path, extra: Iterable[Path]) -> Path:
    """The archive of an installer, its wheels and `extra` files, with their checksums."""
    folder = wheels.parent
    for path in (*(ROOT / name for name in BUNDLED), *extra):
        shutil.copy(path, folder)
    write_sums(folder)
    archive = dist / f"{name}.tar.gz"
    _pack(folder, archive, name)
    return archive


def write_sums(folder: Path) -> None:
    """SHA256SUMS of every file below `folder`."""
    sums = folder / "SHA256SUMS"
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path != sums)
    lines = (f"{recipes.sha256(path)}  {path.relative_to(folder).as_posix()}\n" for path in files)
    sums.write_text("".join(lines), encoding="utf-8", newline="\n")


def _pack(folder: Path, archive: Path, name: str) -> None:
    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        member.mtime = int(os.environ[EPOCH])
        return member

    with tarfile.open(archive, "w:gz", compresslevel=6) as tar:
        for path in sorted(folder.rglob("*")):
            tar.add(path, f"{name}/{path.relative_to(folder).as_posix()}", False, filter=plain)


def _commit_time() -> str:
    """Of the last commit; outside a repository, the date that a fresh sdist has."""
    command = ["git", "-C", str(ROOT), "log", "-1", "--format=%ct"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "1580601600"
    return done.stdout.strip()


def _run(*command: str | Path, settings: dict[str, str] | None = None) -> None:
    print(f"$ {shlex.join(map(str, command))}", flush=True)
    parts = [str(part) for part in command]
    if status := subprocess.run(parts, env=settings, check=False).returncode:
        sys.exit(f"error: {Path(command[0]).name} failed with status {status}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dist", type=Path, help="the folder to make")
    parser.add_argument(
        "--url", required=True, help="the folder on the web that will have the artefacts"
    )
    options = parser.parse_args()
    dist = options.dist.absolute()
    if dist.exists() and any(dist.iterdir()):
        sys.exit(f"error: {dist} is not empty")
    os.environ.setdefault(EPOCH, _commit_time())
    build_twice(dist)
    release = recipes.read(dist)
    recipes.write(release, options.url, dist / "recipes")
    with tempfile.TemporaryDirectory() as folder:
        wheels = Path(folder, "wheels")
        collect_wheels(release.wheel, wheels)
        described = dist / "sbom.cdx.json", dist / "THIRD-PARTY-LICENCES.txt"
        describe(wheels, release.version, *described)
        system = f"{platform.system()}-{platform.machine()}".lower()
        python = "".join(platform.python_version_tuple()[:2])
        name = f"edgespec-offline-{release.version}-{system}-py{python}"
        print(bundle(dist, name, wheels, described))
    write_sums(dist)


if __name__ == "__main__":
    main()
