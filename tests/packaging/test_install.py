"""The installers: what they would do on systems made up of faked commands, and their syntax.

install.sh is run for real by `.ci/run`. install.ps1 is parsed; nothing here can run it.
"""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import tree_sitter
import tree_sitter_powershell

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "packaging" / "install.sh"
POWERSHELL = SCRIPT.with_suffix(".ps1")
NVIDIA = "| NVIDIA-SMI 550.54   Driver Version: 550.54   CUDA Version: {}     |"
TOOLS = ("awk", "basename", "cat", "dirname", "env", "grep", "head", "readlink", "rm", "sed", "sh")

pytestmark = pytest.mark.skipif(os.name == "nt", reason="a shell is needed")


@pytest.fixture
def system(tmp_path: Path) -> Path:
    """A folder for PATH: a few tools, this Python, and nothing that tells of a GPU."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in TOOLS:
        found = shutil.which(name)
        assert found
        (folder / name).symlink_to(found)
    (folder / "python3").symlink_to(sys.executable)
    fake(folder, "uname", "case $1 in -s) echo Linux;; -m) echo x86_64;; esac")
    return folder


def fake(folder: Path, name: str, body: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def install(path: Path, *options: str, script: Path = SCRIPT) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": str(path), "HOME": str(path.parent / "home")}
    command = [str(path / "sh"), str(script), *options]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def plan(path: Path, *options: str, script: Path = SCRIPT) -> str:
    done = install(path, "--dry-run", *options, script=script)
    assert (done.returncode, done.stderr) == (0, "")
    assert not (path.parent / "home").exists()
    return done.stdout


@pytest.mark.parametrize(
    ("driver", "wheels"),
    [("12.4", "cu124"), ("12.8", "cu125"), ("13.1", "cu130"), ("11.4", None), ("12.10", "cu125")],
)
def test_cuda_wheels_are_the_newest_that_the_driver_runs(
    system: Path, driver: str, wheels: str | None
) -> None:
    fake(system, "nvidia-smi", f"echo '{NVIDIA.format(driver)}'")
    (system / "python3").unlink()
    fake(system, "python3", "echo 3.12")
    text = plan(system)
    assert f"accelerator   cuda (driver for CUDA {driver})" in text
    assert "-DGGML_RPC=ON -DGGML_CUDA=ON" in text
    assert (f"/whl/{wheels} " in text) if wheels else ("/whl/" not in text)


def test_a_driver_that_fails_is_no_gpu(system: Path) -> None:
    fake(system, "nvidia-smi", "echo 'could not communicate with the driver'; exit 9")
    assert "accelerator   cpu\n" in plan(system)


@pytest.mark.parametrize(
    ("command", "body", "accelerator", "flag"),
    [
        ("uname", "case $1 in -s) echo Darwin;; -m) echo arm64;; esac", "metal", "METAL"),
        ("rocminfo", "echo '  Name:   gfx1100'", "rocm", "HIP"),
        ("vulkaninfo", "echo deviceType = PHYSICAL_DEVICE_TYPE_DISCRETE_GPU", "vulkan", "VULKAN"),
    ],
)
def test_other_accelerators(
    system: Path, command: str, body: str, accelerator: str, flag: str
) -> None:
    fake(system, command, body)
    text = plan(system)
    assert f"accelerator   {accelerator}\n" in text
    assert f"-DGGML_{flag}=ON" in text


def test_a_software_renderer_is_no_gpu(system: Path) -> None:
    fake(system, "vulkaninfo", "echo deviceType = PHYSICAL_DEVICE_TYPE_CPU")
    assert "accelerator   cpu\n" in plan(system)


def test_a_python_that_no_wheel_is_for_compiles(system: Path) -> None:
    (system / "python3").unlink()
    fake(system, "python3", "echo 3.13")
    assert "prebuilt" not in plan(system)


def test_options_win_over_what_is_found(system: Path) -> None:
    fake(system, "nvidia-smi", f"echo '{NVIDIA.format('12.4')}'")
    text = plan(system, "--accelerator", "cpu", "--compile", "--prefix", "/opt/here")
    assert "CUDA=ON" not in text
    assert "prebuilt" not in text
    assert "command       /opt/here/bin/edgespec" in text


def test_a_bundle_needs_no_network(system: Path, tmp_path: Path) -> None:
    (tmp_path / "bundle" / "wheels").mkdir(parents=True)
    script = Path(shutil.copy(SCRIPT, tmp_path / "bundle"))
    text = plan(system, script=script)
    assert f"from {script.parent}/wheels, without a network" in text
    assert "CMAKE_ARGS" not in text


def test_a_damaged_bundle_is_not_installed(system: Path, tmp_path: Path) -> None:
    (tmp_path / "bundle" / "wheels").mkdir(parents=True)
    script = Path(shutil.copy(SCRIPT, tmp_path / "bundle"))
    (script.parent / "SHA256SUMS").write_text(f"{'0' * 64}  install.sh\n")
    (system / "sha256sum").symlink_to(shutil.which("sha256sum") or "")
    done = install(system, script=script)
    assert (done.returncode, "is damaged" in done.stderr) == (1, True)
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--accelerator", "tpu"), "unknown accelerator 'tpu'"),
        (("--prefix", "here"), "not an absolute path"),
        (("--from",), "--from needs a value"),
        (("--fast",), "unknown option --fast"),
        (("--uninstall",), "nothing that this script installed"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    system: Path, options: tuple[str, ...], message: str
) -> None:
    done = install(system, *options)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_windows_and_an_old_python_are_told_what_to_do(system: Path) -> None:
    (system / "python3").unlink()
    assert "no Python 3.11 or newer" in install(system).stderr
    fake(system, "uname", "echo MINGW64_NT")
    assert "use install.ps1" in install(system).stderr


def test_uninstalling_takes_its_own_things_only(system: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    venv, link = home / ".local/lib/edgespec", home / ".local/bin/edgespec"
    venv.mkdir(parents=True)
    link.parent.mkdir()
    link.symlink_to("/elsewhere/edgespec")
    assert install(system, "--uninstall").returncode == 1
    (venv / "installed-by-install.sh").touch()
    install(system, "--uninstall", "--dry-run")
    assert venv.exists()
    assert install(system, "--uninstall").returncode == 0
    assert (venv.exists(), link.is_symlink()) == (False, True)


def test_both_ask_for_the_engine_that_the_package_needs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    [engine] = [name for name in project["dependencies"] if name.startswith("llama-cpp-python")]
    for script in (SCRIPT, POWERSHELL):
        assert f"'{engine}'" in script.read_text()


def test_shellcheck_finds_nothing() -> None:
    checker = Path(sys.executable).with_name("shellcheck")
    files = [SCRIPT, ROOT / ".ci" / "run"]
    done = subprocess.run([checker, *files], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_powershell_parses() -> None:
    parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_powershell.language()))
    assert not parser.parse(POWERSHELL.read_bytes()).root_node.has_error
