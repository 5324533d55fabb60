"""The initramfs of a guest: busybox, the modules that it needs to read the host's files, and guest/init."""

from __future__ import annotations

import lzma
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from twinway_testing.machines.fetch import Unpacked, run

GUEST = Path(__file__).resolve().parent / "guest"
MODULES = ("virtio_pci", "9pnet_virtio", "9p", "overlay")


def make(kernel: Unpacked, target: Path) -> None:
    """Write the initramfs of a kernel to `target`."""
    with tempfile.TemporaryDirectory(prefix="twinway-initramfs-") as name:
        top = Path(name)
        for folder in ("bin", "proc", "sys", "dev", "modules", "lower", "layer", "root"):
            (top / folder).mkdir()
        shutil.copy("/bin/busybox", top / "bin/busybox")
        shutil.copy(GUEST / "init", top / "init")
        (top / "init").chmod(0o755)
        settings = {"START": GUEST / "start", "MODULES": kernel.root / "lib/modules"}
        (top / "settings").write_text("".join(f"{k}={shlex.quote(str(v))}\n" for k, v in settings.items()))
        for number, module in enumerate(_in_order(kernel)):
            (top / "modules" / f"{number:02}-{module.name.split('.')[0]}").write_bytes(_content(module))
        files = "\n".join(str(file.relative_to(top)) for file in sorted(top.rglob("*")))
        packed = subprocess.run(
            ["/bin/busybox", "cpio", "-o", "-H", "newc"],
            cwd=top,
            input=files.encode(),
            capture_output=True,
            check=True,
        )
        target.write_bytes(packed.stdout)


def _in_order(kernel: Unpacked) -> list[Path]:
    """The modules to insert, each after those that it needs. Built-in ones are left out."""
    found: dict[Path, None] = {}
    for name in MODULES:
        for line in run(
            "modprobe", "-d", str(kernel.root), "-S", kernel.release, "--show-depends", name
        ).splitlines():
            word, path, *_ = line.split()
            if word == "insmod":
                found[Path(path)] = None
    return list(found)


def _content(module: Path) -> bytes:
    if module.suffix == ".xz":
        return lzma.decompress(module.read_bytes())
    if module.suffix == ".zst":
        return subprocess.run(["zstd", "-qdc", str(module)], capture_output=True, check=True).stdout
    return module.read_bytes()
