"""The recipes: name, version and checksums of the artefacts, as each package manager has them."""

import hashlib
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).resolve().parents[2]
METADATA = """Metadata-Version: 2.4
Name: edgespec
Version: 9.8.7
Summary: What it is
License-Expression: Apache-2.0
Requires-Python: >=3.11
"""


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    folder = tmp_path / "dist"
    folder.mkdir()
    with ZipFile(folder / "edgespec-9.8.7-py3-none-any.whl", "w") as wheel:
        wheel.writestr("edgespec-9.8.7.dist-info/METADATA", METADATA)
    (folder / "edgespec-9.8.7.tar.gz").write_bytes(b"sdist")
    return folder


def make(dist: Path) -> subprocess.CompletedProcess[str]:
    script = ROOT / "packaging" / "recipes.py"
    command = [sys.executable, str(script), str(dist), "--url", "https://example.org/dist/"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_recipes_name_the_sdist_and_its_checksum(dist: Path) -> None:
    assert make(dist).returncode == 0
    checksum = hashlib.sha256(b"sdist").hexdigest()
    formula = (dist / "recipes/homebrew/edgespec.rb").read_text()
    assert 'url "https://example.org/dist/edgespec-9.8.7.tar.gz"' in formula
    assert f'sha256 "{checksum}"' in formula
    assert 'depends_on "python@3.12"' in formula
    assert not (dist / "recipes/winget").exists()


def test_the_shell_reads_the_pkgbuild_as_meant(dist: Path) -> None:
    make(dist)
    pkgbuild = dist / "recipes/aur/PKGBUILD"
    script = f'. {pkgbuild}; echo "$pkgver|${{source[0]}}|${{sha256sums[0]}}|${{license[0]}}"'
    done = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, check=True)
    checksum = hashlib.sha256(b"sdist").hexdigest()
    source = "https://example.org/dist/edgespec-9.8.7.tar.gz"
    assert done.stdout == f"9.8.7|{source}|{checksum}|Apache-2.0\n"
    checker = Path(sys.executable).with_name("shellcheck")
    assert subprocess.run([checker, pkgbuild], check=False).returncode == 0


def test_winget_has_a_manifest_once_there_is_an_archive_for_windows(dist: Path) -> None:
    (dist / "edgespec-9.8.7-windows-x64.zip").write_bytes(b"windows")
    make(dist)
    installer = (dist / "recipes/winget/edgespec.installer.yaml").read_text()
    assert f"InstallerSha256: {hashlib.sha256(b'windows').hexdigest().upper()}" in installer
    assert "PackageVersion: 9.8.7" in installer


def test_two_wheels_are_one_line(dist: Path) -> None:
    (dist / "edgespec-1.0-py3-none-any.whl").touch()
    done = make(dist)
    assert done.returncode == 1
    assert done.stderr == f"error: {dist} has 2 files edgespec-*.whl, one is needed\n"
