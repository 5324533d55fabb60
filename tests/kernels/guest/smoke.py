"""
The smoke of a guest: Services and a policy on each driver and device, through `twinway lab`.

    smoke.py RESULTS DRIVER/DEVICE...

Writes what `twinway check` says to RESULTS/check.json, then RESULTS/DRIVER-DEVICE.json as soon as
that case is done, so that what follows cannot lose it: {"checks": [{"name", "family", "fault"}],
"seconds": {"up": …, "probe": …, "down": …}}, where a fault of null is a check that holds. Standard
library only: nothing is imported that emulation makes dear.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

TWINWAY = ".venv/bin/twinway"
LAB = ["--name", "smoke"]
HERE = Path(__file__).parent
# Emulated kernels are slow to answer; what is dropped has to be waited out.
PATIENCE, SILENCE = 20.0, 4.0
UP_SECONDS = 240
LAST_WORDS = 1500
ADDRESSES = {
    "client": ("10.244.1.10", "fd00:244:1::10"),
    "near": ("10.244.1.20", "fd00:244:1::20"),
    "near-service": ("10.96.0.20", "fd00:96::20"),
    "far-service": ("10.96.0.30", "fd00:96::30"),
    "nobody-service": ("10.96.0.40", "fd00:96::40"),
}


@dataclass(frozen=True)
class Check:
    """One probe and what is due: `backend` for a connection, else an outcome of the lab's."""

    name: str
    client: str
    target: str
    port: int
    backend: str | None = None
    outcome: str = "connected"
    protocol: str = "tcp"

    def query(self, family: int) -> dict[str, object]:
        """The probe, as the lab's batch spells it."""
        address = ADDRESSES[self.target][family == 6]
        host = f"[{address}]" if family == 6 else address
        timeout = SILENCE if self.outcome == "dropped" else PATIENCE
        return {"from": self.client, "to": f"{host}:{self.port}", "protocol": self.protocol, "timeout": timeout}

    def fault(self, family: int, answer: dict[str, object]) -> str | None:
        """What came instead of what was due."""
        due: dict[str, object] = {"outcome": self.outcome, "backend": self.backend}
        if self.client == "smoke/client" and self.backend:
            due["observed_source"] = ADDRESSES["client"][family == 6]
        came = {key: answer[key] for key in due}
        return None if came == due else f"{due} was due, {came} came"


CHECKS = (
    Check("TCP to a Service on the same node", "smoke/client", "near-service", 8080, "smoke/near"),
    Check("UDP to a Service on the same node", "smoke/client", "near-service", 5353, "smoke/near", protocol="udp"),
    Check("TCP to a Service on another node", "smoke/client", "far-service", 8080, "smoke/far"),
    Check("UDP to a Service on another node", "smoke/client", "far-service", 5353, "smoke/far", protocol="udp"),
    Check("a Service that leads back to its client", "smoke/near", "near-service", 8080, "smoke/near"),
    Check("the node itself to a Service", "node/n1", "far-service", 8080, "smoke/far"),
    Check("a Service without endpoints", "smoke/client", "nobody-service", 8080, outcome="rejected"),
    Check("policy: allowed", "smoke/client", "near", 81, "smoke/near"),
    Check("policy: denied", "smoke/stranger", "near", 81, outcome="dropped"),
    Check("policy: the node to its own pod", "node/n1", "near", 81, "smoke/near"),
)
FAMILIES = (4, 6)


def run(*words: str) -> str:
    """What `twinway lab WORDS` prints; raises RuntimeError with its last words."""
    done = subprocess.run([TWINWAY, "lab", *words, *LAB], capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr or done.stdout).strip()[-LAST_WORDS:]
        raise RuntimeError(f"exit status {done.returncode}: {last}")
    return done.stdout


def traces() -> set[str]:
    """What a lab could leave: namespaces, cgroups, mounts."""
    names = {f"namespace {path.name}" for path in Path("/run/netns").iterdir()}
    mounts = {f"mount {line.split()[1]}" for line in Path("/proc/mounts").read_text().splitlines()}
    return names | mounts | {f"cgroup {path}" for path in Path("/sys/fs/cgroup").rglob("*") if path.is_dir()}


def probed() -> list[dict[str, object]]:
    """Every check in every family, all probes side by side."""
    asked = [(check, family) for check in CHECKS for family in FAMILIES]
    batch = Path("/run/smoke.jsonl")
    batch.write_text("".join(json.dumps(check.query(family)) + "\n" for check, family in asked))
    answers = json.loads(run("probe", "--batch", str(batch), "--json"))
    return [
        {"name": check.name, "family": family, "fault": check.fault(family, answer)}
        for (check, family), answer in zip(asked, answers, strict=True)
    ]


def case(driver: str, device: str) -> dict[str, object]:
    """One driver on one device, from nothing to nothing."""
    checks: list[dict[str, object]] = []
    seconds: dict[str, float] = {}
    before = traces()

    def step(name: str, *words: str) -> None:
        begin = time.monotonic()
        try:
            checks.extend(probed() if name == "probe" else [])
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
    """Every case that is asked for."""
    results = Path(sys.argv[1])
    results.mkdir(exist_ok=True)
    with (results / "check.json").open("w") as check:
        subprocess.run([TWINWAY, "check", "--json"], stdout=check, check=False)
    for word in sys.argv[2:]:
        driver, device = word.split("/")
        text = json.dumps(case(driver, device), indent=2)
        unfinished = results / "unfinished"
        unfinished.write_text(text)
        unfinished.rename(results / f"{driver}-{device}.json")


if __name__ == "__main__":
    main()
