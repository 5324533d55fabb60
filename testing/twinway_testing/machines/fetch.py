"""Fetch kernels of other Debian suites with apt into a cache. The system's own package lists are not changed."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from twinway_testing.machines.table import HarnessError, Kernel, Mirror


@dataclass(frozen=True, slots=True)
class Unpacked:
    """A kernel that can be booted: `root` holds boot/ and lib/modules/."""

    kernel: Kernel
    root: Path
    release: str

    @property
    def image(self) -> Path:
        """The kernel itself."""
        return self.root / "boot" / f"vmlinuz-{self.release}"


def fetch(kernel: Kernel, cache: Path, mirror: Mirror) -> Unpacked:
    """The kernel of a row, from the cache or from the mirror. A cached kernel is not updated."""
    place = cache / kernel.name
    ready = place / "root"
    if not ready.is_dir():
        apt = _Apt(place / "apt", mirror.source(kernel.suite))
        archive = apt.download(kernel.package)
        unpacking = place / "unpacking"
        shutil.rmtree(unpacking, ignore_errors=True)
        run("dpkg", "-x", str(archive), str(unpacking))
        if not (unpacking / "lib").exists():
            (unpacking / "lib").symlink_to("usr/lib")  # newer suites; kmod here looks in lib
        run("depmod", "-b", str(unpacking), _release(unpacking))
        unpacking.rename(ready)
        shutil.rmtree(apt.place)
    return Unpacked(kernel, ready, _release(ready))


def _release(root: Path) -> str:
    images = list((root / "boot").glob("vmlinuz-*"))
    if len(images) != 1:
        raise HarnessError(f"{root}/boot holds {len(images)} kernels, not one: remove {root.parent} and try again")
    return images[0].name.removeprefix("vmlinuz-")


class _Apt:
    """apt with lists, cache and one source of its own, all below `place`."""

    def __init__(self, place: Path, source: str) -> None:
        self.place = place
        for folder in ("lists/partial", "cache/archives/partial"):
            (place / folder).mkdir(parents=True, exist_ok=True)
        (place / "sources.list").write_text(source)
        settings = {
            "Dir::Etc::sourcelist": place / "sources.list",
            "Dir::Etc::sourceparts": "-",
            "Dir::State::lists": place / "lists",
            "Dir::Cache": place / "cache",
            "APT::Sandbox::User": "root",  # the cache may be where apt's own user cannot go
            "Acquire::Languages": "none",
        }
        self._options = [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]

    def download(self, pattern: str) -> Path:
        """The newest package whose name matches, as a file."""
        run("apt-get", *self._options, "-qq", "update")
        names = run("apt-cache", *self._options, "pkgnames", "linux-image-").split()
        matching = sorted((n for n in names if re.fullmatch(pattern, n)), key=_numbers)
        if not matching:
            source = (self.place / "sources.list").read_text().strip()
            raise HarnessError(f"no package matches {pattern} in: {source}")
        run("apt-get", *self._options, "-qq", "download", matching[-1], cwd=self.place)
        (archive,) = self.place.glob("*.deb")
        return archive


def _numbers(name: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", name)]


def run(*command: str, cwd: Path | None = None) -> str:
    """The output of a command. A failure raises HarnessError with its last line."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines()
        raise HarnessError(f"{command[0]} failed: {words[-1] if words else f'exit {done.returncode}'}")
    return done.stdout
