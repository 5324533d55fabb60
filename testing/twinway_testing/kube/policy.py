"""The conformance test of ClusterNetworkPolicy, from `sigs.k8s.io/network-policy-api`, against the cluster."""

from __future__ import annotations

import re
import socket
from pathlib import Path

from twinway.errors import TwinwayError
from twinway_testing.kube import binaries, build, page
from twinway_testing.kube.cluster import Cluster
from twinway_testing.kube.e2e import Places

GROUP = "[network-policy-api] "
_STATES = {"PASS": "passed", "FAIL": "failed", "SKIP": "skipped"}
_RESULT = re.compile(r"^\s*--- (PASS|FAIL|SKIP): TestConformance/(\S+) \((\S+)s\)$", re.MULTILINE)


def run(cluster: Cluster, places: Places) -> int:
    """Run the test with all features, print what became of each part, and return 0 if none failed."""
    if not cluster.control.pid:
        raise TwinwayError("policy: no cluster is up: bring one up first (make cluster-up)")
    if not _has_sctp():
        raise TwinwayError(
            "policy: this kernel has no SCTP, and the test's own pods end without it: use another one"
        )
    build.build(("policy.test",))
    build.copy_definitions()
    out = places.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    # The definition is larger than an annotation may be, in which a plain `apply` would keep it.
    cluster.kubectl("apply", "--server-side", "-f", binaries.definitions())
    cluster.kubectl("wait", "--for=condition=Established", "-f", binaries.definitions(), "--timeout=60s")
    log = out / "policy.log"
    words = ("-test.v", "-test.timeout=2h", "-test.run=^TestConformance$", "--all-features")
    with log.open("wb") as written:
        program = binaries.folder() / "policy.test"
        cluster.control.do(program, *words, check=False, stdout=written, stderr=written)
    states = read_log(log)
    if places.record is not None:
        page.record(places.record, cluster.network, states)
    for name, state in sorted(states.items()):
        print(f"{state:8} {name}")
    failed = sum(state == "failed" for state in states.values())
    print(f"{len(states)} tests: {failed} failed")
    return 1 if failed or not states else 0


def _has_sctp() -> bool:
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP).close()
    except OSError:
        return False
    return True


def read_log(log: Path) -> dict[str, str]:
    """What became of each innermost part of the test, by its name."""
    found = {name: _STATES[state] for state, name, _ in _RESULT.findall(log.read_text())}
    outer = {name.rpartition("/")[0] for name in found}
    return {GROUP + name.replace("_", " "): state for name, state in found.items() if name not in outer}
