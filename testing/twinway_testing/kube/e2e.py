"""The official e2e suite of Kubernetes against the cluster."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twinway.errors import TwinwayError
from twinway_testing.kube import binaries, build, page, plan
from twinway_testing.kube.cluster import Cluster

GROUP = r"\[sig-network\]"
LABELS = (
    "Feature: isSubsetOf { NetworkPolicy, IPv6DualStack } && FeatureGate: isEmpty"
    " && !Slow && !Serial && !Disruptive && !Flaky"
)
"""Which tests of the group are run: stable features, and tests that may run beside each other."""

LEFT_OUT: Mapping[str, str] = {
    "NodePort": (
        r"[nN]odePort|node port|Granular Checks: Services|Service CIDRs should create"
        r"|PublishNotReadyAddresses is true"
    ),
    "LoadBalancer": r"LoadBalancer",
    "externalIP": r"ExternalIP",
    "session affinity": r"session affinity",
    "external traffic policy": r"externall?TrafficPolicy|ExternalTrafficPolicy",
    "kube-proxy itself": r"KubeProxy|kube-proxy urls",
}
"""What twinway does not serve, and the names of tests that need it."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which tests are run: those of this name, without those of that name."""

    focus: str
    skip: str = ""
    complete: bool = False
    """Whether tests are run, too, that need what twinway does not serve."""

    def words(self) -> list[str]:
        """Ginkgo's options for this selection."""
        skipped = [] if self.complete else [*LEFT_OUT.values()]
        skips = [f"--skip={pattern}" for pattern in (*skipped, self.skip) if pattern]
        return [f"--focus={self.focus}", *skips, f"--label-filter={LABELS}"]


def needs(name: str) -> str | None:
    """What twinway does not serve and the test of this name needs, None for a test that is run."""
    return next((need for need, pattern in LEFT_OUT.items() if re.search(pattern, name)), None)


@dataclass(frozen=True, slots=True)
class Places:
    """Where results go."""

    out: Path
    """Folder of the whole report."""
    record: Path | None = None
    """File of all networks' results, which the page beside it shows as a table (`page`)."""


def run(cluster: Cluster, selection: Selection, places: Places, jobs: int) -> int:
    """Run tests, print what became of each, and return 0 if none failed."""
    if not cluster.control.pid:
        raise TwinwayError("e2e: no cluster is up: bring one up first (make cluster-up)")
    build.build(("ginkgo", "e2e.test"))
    out = places.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    results = _run(cluster, selection, out, jobs)
    (out / "results.json").write_text(json.dumps(results, indent=1, sort_keys=True))
    if places.record is not None:
        page.record(places.record, cluster.network, {name: each["state"] for name, each in results.items()})
    for name, result in sorted(results.items()):
        print(f"{result['state']:8} {result['seconds']:6.0f} s  {name}")
    states = Counter(result["state"] for result in results.values())
    counts = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    print(f"{len(results)} tests in {time.monotonic() - begun:.0f} s: {counts or 'none has this name'}")
    return 0 if states and set(states) <= {"passed", "skipped"} else 1


def _run(cluster: Cluster, selection: Selection, out: Path, jobs: int) -> dict[str, dict[str, Any]]:
    report = out / "report.json"
    report.unlink(missing_ok=True)
    suite = [
        binaries.folder() / "e2e.test",
        "--",
        f"--kubeconfig={cluster.pki.kubeconfig('admin')}",
        f"--host={plan.api_server()}",
        "--provider=skeleton",
        f"--num-nodes={len(cluster.nodes)}",
        "--dump-logs-on-failure=false",
    ]
    options = [f"--procs={jobs}", "--timeout=2h", "--no-color", "--silence-skips", "--keep-going"]
    written = [f"--json-report={report.name}", f"--output-dir={out}"]
    with (out / "e2e.log").open("wb") as log:
        words = [*options, *written, *selection.words(), *suite]
        cluster.control.do(binaries.folder() / "ginkgo", *words, check=False, stdout=log, stderr=log)
    if not report.exists():
        raise TwinwayError(f"e2e: the suite ended without a report: read {out / 'e2e.log'}")
    return read_report(report)


def read_report(report: Path) -> dict[str, dict[str, Any]]:
    """What became of each test that was run: its state, how long it took, and the message of a failure."""
    results = {}
    for suite in json.loads(report.read_text()):
        for spec in suite["SpecReports"] or []:
            if spec["LeafNodeType"] != "It" or not spec["NumAttempts"]:
                continue
            name = " ".join([*(spec["ContainerHierarchyTexts"] or []), spec["LeafNodeText"]])
            results[name] = {"state": spec["State"], "seconds": round(spec["RunTime"] / 1e9, 1)}
            if failure := spec.get("Failure"):
                results[name]["message"] = failure.get("Message", "")[:2000]
    return results
