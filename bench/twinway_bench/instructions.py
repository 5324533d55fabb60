"""What one packet costs in instructions: the same programs and packets, on a machine that counts them."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path

from twinway_bench.errors import BenchError
from twinway_bench.packet_cost import COUNTS, figures
from twinway_bench.results import Effort, Section
from twinway_bpf.load import programs
from twinway_bpf.load.loader import ensure_bundle
from twinway_testing.machines import table, vm
from twinway_testing.machines.fetch import fetch
from twinway_testing.machines.table import HarnessError

KERNEL = "6.12"
SECONDS = 1800
METHOD = (
    f"As above, in an emulated machine with kernel {KERNEL} whose clock advances by a nanosecond an instruction: "
    "every instruction counts, those of the kernel's helpers and tables included. Medians; they are the same in "
    "every run."
)


def measure(effort: Effort) -> Section:
    """Boot the machine, and have it count."""
    del effort
    if shutil.which("qemu-system-x86_64") is None:
        raise BenchError("qemu is missing: tools/setup.sh kernels")
    row = next(row for row in table.kernels(table.TABLE.read_text()) if row.name == KERNEL)
    cache = table.cache().parent
    for source in programs.SOURCES:
        ensure_bundle(source, cache / "bundles")
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        try:
            kernel = fetch(row, table.cache(), table.system_mirror())
            vm.boot(kernel, _command(cache), folder=Path(folder), timeout=SECONDS, counted=True)
        except HarnessError as error:
            raise BenchError(str(error)) from error
        found = json.loads((Path(folder) / "shared" / "found").read_text() or "{}")
    if not found:
        raise BenchError("the guest counted nothing")
    return Section("instructions", "A packet's instructions", METHOD, tuple(figures(found, "")), found)


def _command(cache: Path) -> list[str]:
    group = "/sys/fs/cgroup/bench"
    given = json.dumps({"counts": COUNTS})
    words = f"{sys.executable} -m twinway_bench.apart packet_cost run /run/bench {group} {cache} '{given}'"
    return ["sh", "-ec", f"mkdir /run/bench {group}\n{words} >/run/shared/found"]
