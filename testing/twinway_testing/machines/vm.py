"""
Boot a kernel with this tree, run one command in it, and return its results.

qemu emulates the machine, without hardware virtualisation. The guest reads the host's files over 9p and writes to
memory only; one folder is shared in both directions and has the results. A guest that ends without a result is a
failure that shows the end of its console.
"""

from __future__ import annotations

import shlex
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from twinway_testing.machines import initramfs
from twinway_testing.machines.fetch import Unpacked
from twinway_testing.machines.table import HarnessError

CONSOLE_LINES = 60
MEMORY_MB = 3072
# These options turn off what is slow under emulation and not needed here: page tables that are switched at every
# system call (a third of the time of a run), a fifth level of page tables, and pages that are cleared twice.
KERNEL_OPTIONS = "loglevel=4 mitigations=off pti=off no5lvl init_on_alloc=0"
# One processor: with more, emulation races with kernels that patch their own code, and some boots
# end in a panic (seen on 6.12: an int3 in sched_clock_tick). Two guests at a time use two cores.
PROCESSORS = 1


class GuestFailure(HarnessError):  # noqa: N818 (what happened to a guest, not a mistake of ours)
    """A guest that did not boot, hung, or lost its result. The message ends with the last lines of its console."""

    def __init__(self, kernel: Unpacked, reason: str, folder: Path) -> None:
        """`folder` is that of `boot`."""
        parts = [f"kernel {kernel.kernel.name} ({kernel.release}): {reason}"]
        for title, file in (("output", "shared/output"), ("console", "console"), ("machine's own words", "qemu")):
            parts.append(f"--- end of the {title}\n{_tail(folder / file)}")
        super().__init__("\n".join(parts))


@dataclass(frozen=True, slots=True)
class Finished:
    """A command that has ended in a guest. `total` is in seconds of the host, other times are the guest's."""

    status: int
    output: str
    shared: Path
    boot: float
    command: float
    total: float


def boot(
    kernel: Unpacked, command: Sequence[str], *, folder: Path, timeout: float, counted: bool = False
) -> Finished:
    """
    Run `command` under a kernel, from the top of the tree.

    The guest's console is written to `console` in `folder`, and `shared` in it is the guest's /run/shared. With
    `counted`, the guest's clock advances one nanosecond per instruction, so that its measurements are repeatable.
    """
    shared = folder / "shared"
    shared.mkdir(parents=True, exist_ok=True)
    (shared / "command").write_text(shlex.join(command) + "\n")
    initramfs.make(kernel, folder / "initramfs")
    begin = time.monotonic()
    reason = _run(_qemu(kernel, folder, _COUNTED if counted else _FREE), folder / "qemu", timeout)
    total = time.monotonic() - begin
    if "Kernel panic" in _text(folder / "console"):
        reason = "the kernel panicked"
    if reason or not (shared / "status").is_file():
        raise GuestFailure(kernel, reason or _how_far(shared), folder)
    booted, ended = (float((shared / name).read_text()) for name in ("booted", "ended"))
    status = int((shared / "status").read_text())
    return Finished(status, (shared / "output").read_text(errors="replace"), shared, booted, ended - booted, total)


def with_bundles(folder: Path) -> list[str]:
    """The beginning of a command whose agents use the bundles in a folder of the host."""
    return ["sh", str(initramfs.GUEST / "with-bundles"), str(folder)]


def _how_far(shared: Path) -> str:
    if (shared / "booted").is_file():
        return "the guest went down in the middle of its command"
    return "the guest went down before it was up"


def _run(command: Sequence[str], words: Path, timeout: float) -> str:
    """Why the machine did not end by itself, or an empty string. Keeps qemu's output."""
    with (
        words.open("wb") as out,
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out) as qemu,
    ):
        try:
            status = qemu.wait(timeout)
        except subprocess.TimeoutExpired:
            return f"no end after {timeout:.0f} s"
        finally:
            qemu.kill()
    return f"qemu ended with status {status}" if status else ""


@dataclass(frozen=True, slots=True)
class _Clock:
    # Options for the guest's clock: of qemu, and of its kernel.
    words: tuple[str, ...]
    kernel: str


_FREE = _Clock(("-accel", "tcg,thread=multi"), "")
_COUNTED = _Clock(("-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off"), " clocksource=tsc tsc=reliable")


def _qemu(kernel: Unpacked, folder: Path, clock: _Clock) -> list[str]:
    shares = {
        "root": "path=/,readonly=on,multidevs=remap",
        "shared": f"path={folder / 'shared'}",
    }
    options = ["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"]
    options += [
        "-machine",
        "q35",
        *clock.words,
        "-cpu",
        "max",
        "-smp",
        str(PROCESSORS),
        "-m",
        str(MEMORY_MB),
    ]
    options += ["-kernel", str(kernel.image), "-initrd", str(folder / "initramfs")]
    options += ["-append", f"console=ttyS0 panic=-1 {KERNEL_OPTIONS}{clock.kernel}"]
    options += ["-serial", f"file:{folder / 'console'}"]
    for tag, where in shares.items():
        options += ["-fsdev", f"local,id={tag},security_model=none,{where}"]
        options += ["-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}"]
    return ["qemu-system-x86_64", *options]


def _text(file: Path) -> str:
    return file.read_text(errors="replace") if file.is_file() else ""


def _tail(file: Path) -> str:
    return "\n".join(_text(file).splitlines()[-CONSOLE_LINES:]) or "(nothing)"
