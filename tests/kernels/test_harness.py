"""The harness itself: what a guest can do, and the failure of every guest that is lost."""

from __future__ import annotations

import os
import platform
import signal
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest

from twinway_testing.machines.fetch import Unpacked
from twinway_testing.machines.table import Kernel
from twinway_testing.machines.vm import GuestFailure, boot

pytestmark = [pytest.mark.vm, pytest.mark.timeout(300)]

IPVLAN = """
uname -r
set -e
modprobe ipvlan
ip link add parent0 type dummy
ip link add link parent0 name pod0 type ipvlan mode l2
ip -o link show pod0
grep -E ' (cgroup2|bpf) ' /proc/mounts
"""


def shell(script: str) -> list[str]:
    """A command that runs the script."""
    return ["sh", "-c", script]


def test_a_guest_is_a_node(kernel: Unpacked, tmp_path: Path):
    """The guest runs the kernel that was asked for, and has ipvlan devices, cgroup v2 and a BPF file system."""
    done = boot(kernel, shell(IPVLAN), folder=tmp_path, timeout=120)
    assert done.status == 0, done.output
    assert done.output.splitlines()[0] == kernel.release != platform.release()
    assert "pod0@parent0" in done.output
    assert all(f" {kind} " in done.output for kind in ("cgroup2", "bpf"))


def test_a_guest_has_no_compiler(any_kernel: Unpacked, tmp_path: Path):
    """BCC cannot be imported in a guest, so programs are loaded there from bundles."""
    done = boot(any_kernel, [".venv/bin/python", "-c", "import bcc"], folder=tmp_path, timeout=120)
    assert done.status == 1
    assert "No module named 'bcc'" in done.output


def test_status_and_output_come_back(any_kernel: Unpacked, tmp_path: Path):
    """The exit status and output of a command reach the host, and so do files in the shared folder."""
    done = boot(
        any_kernel, shell("echo words; echo kept > /run/shared/kept; exit 7"), folder=tmp_path, timeout=120
    )
    assert (done.status, done.output) == (7, "words\n")
    assert (done.shared / "kept").read_text() == "kept\n"
    assert 0 < done.boot < done.total


def test_the_host_is_out_of_reach(any_kernel: Unpacked, tmp_path: Path):
    """Files that a guest writes outside the shared folder do not reach the host."""
    target = tmp_path / "written-by-guest"
    done = boot(any_kernel, shell(f"echo x > {target} && cat {target}"), folder=tmp_path, timeout=120)
    assert (done.status, done.output) == (0, "x\n")
    assert not target.exists()


def test_a_guest_that_hangs_is_a_failure(any_kernel: Unpacked, tmp_path: Path):
    """A command that does not end is stopped, and the failure shows its last output and the console's."""
    script = "echo still going; echo on the console > /dev/console; sleep 1000"
    with pytest.raises(GuestFailure, match=r"(?s)no end after 60 s.*still going.*on the console"):
        boot(any_kernel, shell(script), folder=tmp_path, timeout=60)


def test_a_guest_that_panics_is_a_failure(any_kernel: Unpacked, tmp_path: Path):
    """A kernel panic ends the run at once, and the failure shows it."""
    with pytest.raises(GuestFailure, match=r"(?s)the kernel panicked.*sysrq triggered crash"):
        boot(any_kernel, shell("echo c > /proc/sysrq-trigger"), folder=tmp_path, timeout=120)


def test_a_lost_result_is_a_failure(any_kernel: Unpacked, tmp_path: Path):
    """A guest that powers off before its command has ended is a failure."""
    with pytest.raises(GuestFailure, match=r"(?s)in the middle of its command.*Power"):
        boot(any_kernel, shell("echo o > /proc/sysrq-trigger; sleep 60"), folder=tmp_path, timeout=120)


def test_a_kernel_that_does_not_boot_is_a_failure(any_kernel: Unpacked, tmp_path: Path):
    """The failure of an image that does not boot differs from that of a command that fails."""
    broken = tmp_path / "broken"
    (broken / "boot").mkdir(parents=True)
    (broken / "lib").symlink_to(any_kernel.root / "lib")
    (broken / f"boot/vmlinuz-{any_kernel.release}").write_bytes(b"no kernel" * 4096)
    unbootable = Unpacked(Kernel("broken", "none", "none"), broken, any_kernel.release)
    with pytest.raises(GuestFailure, match=r"(?s)kernel broken .*: qemu ended with status 1.*too old"):
        boot(unbootable, shell("true"), folder=tmp_path, timeout=60)


def test_a_machine_that_is_ended_from_outside_says_so(any_kernel: Unpacked, tmp_path: Path):
    """A guest whose qemu gets SIGTERM is a failure, although qemu ends with status 0."""
    with ThreadPoolExecutor(1) as pool:
        guest = pool.submit(boot, any_kernel, shell("sleep 1000"), folder=tmp_path, timeout=120)
        while not (tmp_path / "shared/booted").exists() and not wait([guest], timeout=0.1).done:
            pass
        for machine in machines():
            os.kill(machine, signal.SIGTERM)
        with pytest.raises(GuestFailure, match=r"(?s)in the middle of its command.*terminating on signal 15"):
            guest.result()


def machines() -> list[int]:
    """The process ids of the virtual machines that this process has started."""
    children = " ".join(file.read_text() for file in Path("/proc/self/task").glob("*/children"))
    return [int(pid) for pid in children.split() if "qemu" in Path(f"/proc/{pid}/comm").read_text()]
