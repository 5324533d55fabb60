"""
The smoke test in a guest: Services and policy on each driver and device, through `twinway lab`.

    python -m tests.kernels.guest.smoke RESULTS DRIVER/DEVICE...

Writes the output of `twinway check` to RESULTS/check.json, and the times that agents take to start to
RESULTS/agents.json. Then it writes each case to RESULTS/DRIVER-DEVICE.json as soon as it has ended, so that a
later failure cannot lose it: {"checks": [{"name", "family", "fault"}], "seconds": {"up": …, "probe": …, "down":
…}}. A fault of null means that the check passed. Slow imports are avoided, because of the emulation.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.kernels.guest import layout
from tests.kernels.guest.checks import CHECKS, FAMILIES, SHARED_PARENT, WIRE

TWINWAY = ".venv/bin/twinway"
LAB = ["--name", "smoke"]
HERE = Path(__file__).parent
UP_SECONDS = 240
LAST_WORDS = 1500
UNDERLAY, PORT_OF_N1 = "twl-smoke.underlay", "pods1"
"""The namespace and device in the lab at the other end of the first node's parent of pods."""


def run(*words: str) -> str:
    """The output of `twinway lab WORDS`. Raises RuntimeError with the end of its output."""
    done = subprocess.run([TWINWAY, "lab", *words, *LAB], capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr or done.stdout).strip()[-LAST_WORDS:]
        raise RuntimeError(f"exit status {done.returncode}: {last}")
    return done.stdout


def traces() -> set[str]:
    """The namespaces, mounts and cgroups of the machine, which a lab could leave behind."""
    names = {f"namespace {path.name}" for path in Path("/run/netns").iterdir()}
    mounts = {f"mount {line.split()[1]}" for line in Path("/proc/mounts").read_text().splitlines()}
    return names | mounts | {f"cgroup {path}" for path in Path("/sys/fs/cgroup").rglob("*") if path.is_dir()}


@contextmanager
def tapped() -> Iterator[dict[str, int]]:
    """Packets by pair on the wire of the first node's parent while the block runs; complete after it."""
    command = ["ip", "netns", "exec", UNDERLAY, sys.executable, str(HERE / "wire.py"), PORT_OF_N1]
    seen: dict[str, int] = {}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as tap:
        if tap.stdout is None or tap.stdout.readline() != "ready\n":
            raise RuntimeError("wire.py does not listen")
        yield seen
        seen |= json.loads(tap.communicate()[0])


def probed(device: str) -> list[dict[str, object]]:
    """The results of every check in every family, and of the traffic on the wire meanwhile."""
    if device not in SHARED_PARENT:
        return asked()
    with tapped() as seen:
        checks = asked()
    shown: list[dict[str, object]] = [
        {"name": wire.name, "family": family, "fault": wire.fault(family, seen)}
        for wire in WIRE
        for family in FAMILIES
    ]
    laid_out: list[dict[str, object]] = [
        {"name": claim, "family": None, "fault": fault}
        for claim, fault in (layout.faults() if device == "ipvlan" else {}).items()
    ]
    return checks + shown + laid_out


def asked() -> list[dict[str, object]]:
    """The results of every check in every family. All probes run at the same time."""
    queries = [(check, family) for check in CHECKS for family in FAMILIES]
    batch = Path("/run/smoke.jsonl")
    batch.write_text("".join(json.dumps(check.query(family)) + "\n" for check, family in queries))
    answers = json.loads(run("probe", "--batch", str(batch), "--json"))
    return [
        {"name": check.name, "family": family, "fault": check.fault(family, answer)}
        for (check, family), answer in zip(queries, answers, strict=True)
    ]


def case(driver: str, device: str) -> dict[str, object]:
    """Run one driver on one device, in a lab of its own."""
    checks: list[dict[str, object]] = []
    seconds: dict[str, float] = {}
    before = traces()

    def step(name: str, *words: str) -> None:
        begin = time.monotonic()
        try:
            checks.extend(probed(device) if name == "probe" else [])
            if words:
                run(*words)
            fault = None
        except RuntimeError as error:
            fault = str(error)
        seconds[name] = round(time.monotonic() - begin, 1)
        checks.append({"name": f"lab {name}", "family": None, "fault": fault})

    options = ["--driver", driver, "--pod-device", device, "--timeout", str(UP_SECONDS)]
    step("up", "up", "-f", str(HERE / "smoke.yaml"), *options)
    if checks[-1]["fault"] is None:
        step("probe")
    step("down", "down")
    left = sorted(traces() - before)
    checks.append({"name": "nothing is left", "family": None, "fault": ", ".join(left) or None})
    return {"checks": checks, "seconds": seconds}


def main() -> None:
    """Run the cases that the command line names."""
    results = Path(sys.argv[1])
    results.mkdir(exist_ok=True)
    with (results / "check.json").open("w") as check:
        subprocess.run([TWINWAY, "check", "--json"], stdout=check, check=False)
    drivers = sorted({word.split("/")[0] for word in sys.argv[2:]})
    with (results / "agents.json").open("w") as agents:
        subprocess.run([sys.executable, str(HERE / "agent_start.py"), *drivers], stdout=agents, check=False)
    for word in sys.argv[2:]:
        driver, device = word.split("/")
        text = json.dumps(case(driver, device), indent=2)
        unfinished = results / "unfinished"
        unfinished.write_text(text)
        unfinished.rename(results / f"{driver}-{device}.json")


if __name__ == "__main__":
    main()
