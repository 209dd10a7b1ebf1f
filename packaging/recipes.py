"""Recipes of other package managers, from the built artefacts: name, version and SHA-256.

`python packaging/recipes.py DIST --url URL [--out DIR]` reads the wheel and the sdist in DIST and
writes a Homebrew formula and an AUR PKGBUILD, and, if DIST has the Windows archive that it is
about, a winget manifest.
"""

import argparse
import hashlib
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path
from zipfile import ZipFile

TEMPLATES = Path(__file__).resolve().parent / "recipes"
PUBLISHER = "edgespec"


@dataclass(frozen=True, slots=True)
class Release:
    """The artefacts of one version."""

    wheel: Path
    sdist: Path
    windows: Path | None
    metadata: dict[str, str]

    @property
    def version(self) -> str:
        return self.metadata["Version"]


def read(dist: Path) -> Release:
    """The release in the folder `dist`."""
    wheel = _only(dist, "edgespec-*.whl")
    metadata = _metadata(wheel)
    version = metadata["Version"]
    windows = dist / f"edgespec-{version}-windows-x64.zip"
    sdist = _only(dist, f"edgespec-{version}.tar.gz")
    return Release(wheel, sdist, windows if windows.exists() else None, metadata)


def recipes(release: Release, url: str) -> Iterator[tuple[str, str]]:
    """Path and content of each recipe; `url` is the folder that the artefacts are served from."""
    values = {
        "version": release.version,
        "summary": release.metadata["Summary"],
        "licence": release.metadata["License-Expression"],
        "oldest_python": release.metadata["Requires-Python"].removeprefix(">="),
        "url": url.rstrip("/"),
        "sdist": release.sdist.name,
        "sdist_sha256": sha256(release.sdist),
        "publisher": PUBLISHER,
    }
    if release.windows:
        values["windows"] = release.windows.name
        values["windows_sha256"] = sha256(release.windows).upper()
    for template in sorted(TEMPLATES.rglob("*.in")):
        name = template.relative_to(TEMPLATES).with_suffix("").as_posix()
        if release.windows or not name.startswith("winget/"):
            text = template.read_text(encoding="utf-8")
            yield name, re.sub(r"@([a-z_0-9]+)@", lambda found: values[found[1]], text)


def write(release: Release, url: str, out: Path) -> None:
    """Write every recipe below `out`."""
    for name, text in recipes(release, url):
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
        print(path)


def sha256(path: Path) -> str:
    """The checksum that every recipe names."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _metadata(wheel: Path) -> dict[str, str]:
    with ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return dict(HeaderParser().parsestr(archive.read(name).decode()))


def _only(folder: Path, pattern: str) -> Path:
    found = list(folder.glob(pattern))
    if len(found) != 1:
        sys.exit(f"error: {folder} has {len(found)} files {pattern}, one is needed")
    return found[0]


def _url(text: str) -> str:
    if not re.match(r"(https|file)://", text):
        raise argparse.ArgumentTypeError("an https:// or file:// address is needed")
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dist", type=Path, help="where the wheel and the sdist are")
    parser.add_argument("--out", type=Path, help="default: DIST/recipes")
    parser.add_argument(
        "--url", type=_url, required=True, help="the folder on the web that has the artefacts"
    )
    options = parser.parse_args()
    write(read(options.dist), options.url, options.out or options.dist / "recipes")


if __name__ == "__main__":
    main()
