"""Boots an emulated machine with two memory nodes and runs inside.py on it; see README.md."""

import argparse
import gzip
import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[2]
MODULES = (
    "virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci",
    "netfs", "fscache", "9pnet", "9pnet_virtio", "9p",
)  # fmt: skip
"""In the order in which they need each other; those that a kernel has built in are left out."""
INIT = """\
#!/bin/busybox sh
/bin/busybox mkdir -p /proc /host
/bin/busybox mount -t proc proc /proc
for module in {modules}; do /bin/busybox insmod /modules/$module.ko; done
/bin/busybox mount -t 9p -o ro,trans=virtio,version=9p2000.L,cache=loose,msize=524288 host /host
/bin/busybox mount -t proc proc /host/proc
/bin/busybox mount -t sysfs sys /host/sys
/bin/busybox mount -t devtmpfs dev /host/dev
/bin/busybox mount -t tmpfs tmp /host{scratch}
/bin/busybox chroot /host /usr/bin/env {environment} {python} {script}
echo "exit code $?"
/bin/busybox poweroff -f
"""
SCRATCH = "/var/tmp"
DONE = "exit code 0"


def main() -> int:
    """Boot, show what the machine says, and tell whether all held."""
    options = _options()
    with TemporaryDirectory() as folder:
        archive = Path(folder) / "initramfs.gz"
        _pack(Path(folder) / "root", archive, options.modules, options.lib)
        done = subprocess.run(
            _qemu(options.kernel, archive), stdout=subprocess.PIPE, text=True, timeout=options.limit
        )
    print(done.stdout)
    return 0 if DONE in done.stdout else 1


def _pack(root: Path, archive: Path, modules: Path, lib: Path | None) -> None:
    """The first file system: busybox, the modules that reach the host's, and what to run there."""
    (root / "bin").mkdir(parents=True)
    (root / "modules").mkdir()
    shutil.copy(shutil.which("busybox") or "/bin/busybox", root / "bin/busybox")
    present = []
    for name in MODULES:
        for file in modules.rglob(f"{name}.ko"):
            shutil.copy(file, root / "modules" / file.name)
            present.append(name)
    paths = ":".join(str(ROOT / part) for part in (".", "backends", "tui"))
    environment = [
        f"PYTHONPATH={paths}",
        f"EDGESPEC_HOME={SCRATCH}/home",
        "OMP_WAIT_POLICY=passive",
    ]
    environment += ["OMP_WAIT_POLICY=passive", "PYTHONDONTWRITEBYTECODE=1", f"TMPDIR={SCRATCH}"]
    if lib:
        environment += [
            f"{name}={lib.resolve()}" for name in ("LLAMA_CPP_LIB_PATH", "LD_LIBRARY_PATH")
        ]
    text = INIT.format(
        modules=" ".join(present),
        scratch=SCRATCH,
        environment=" ".join(environment),
        python=sys.executable,
        script=ROOT / "tests/numa/inside.py",
    )
    (root / "init").write_text(text)
    (root / "init").chmod(0o755)
    names = "\n".join(str(path.relative_to(root)) for path in [root, *root.rglob("*")])
    packed = subprocess.run(
        ["cpio", "-o", "-H", "newc", "--quiet"], input=names.encode(), cwd=root,
        stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    archive.write_bytes(gzip.compress(packed.stdout, 1))


def _qemu(kernel: Path, archive: Path) -> list[str]:
    node = "memory-backend-ram,size=1G,id=m"
    return [
        "qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "2G",
        "-object", f"{node}0", "-object", f"{node}1",
        "-numa", "node,nodeid=0,cpus=0,memdev=m0", "-numa", "node,nodeid=1,cpus=1,memdev=m1",
        "-numa", "dist,src=0,dst=1,val=21",
        "-virtfs", "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap",
        "-kernel", os.fspath(kernel), "-initrd", os.fspath(archive),
        "-append", "console=ttyS0 quiet panic=-1", "-nographic", "-no-reboot",
    ]  # fmt: skip


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kernel", type=Path, required=True)
    parser.add_argument("--modules", type=Path, required=True, help="lib/modules/VERSION")
    parser.add_argument("--lib", type=Path, help="a libllama that the emulated processor can run")
    parser.add_argument("--limit", type=float, default=900, help="seconds")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
