"""Long connections through a Service, while twinway's DaemonSet is rolled and its driver changed."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from string import Template
from typing import Any

import yaml

from twinway.errors import TwinwayError
from twinway_testing.kube.cluster import Cluster
from twinway_testing.kube.output import say, wait_for

DATA = Path(__file__).parent / "data"
COUNT = 500
"""Connections that are held."""

_SYSTEM = ("-n", "kube-system")
_AGENTS = ("get", "pods", "-l", "app.kubernetes.io/name=twinway,app.kubernetes.io/component=agent")


def run(cluster: Cluster) -> int:
    """Hold connections, roll the DaemonSet twice, change the driver to and fro; returns 0 if none was lost."""
    if not cluster.control.pid:
        raise TwinwayError("held: no cluster is up: bring one up first (make cluster-up INSTALL=1)")
    _start(cluster)
    wait_for(f"{COUNT} connections", lambda: _counts(cluster)["open"] == COUNT, 120)
    say(f"held: {COUNT} connections are open")
    for step, words in enumerate(_steps(cluster), start=1):
        counts = _counts(cluster)
        print(f"{step}. {words}: {json.dumps(counts)}", flush=True)
    return 0 if counts["open"] == COUNT and not counts["lost"] and not counts["refused"] else 1


def _start(cluster: Cluster) -> None:
    daemonset = cluster.asked(*_SYSTEM, "get", "daemonset", "twinway")
    image = daemonset["spec"]["template"]["spec"]["containers"][0]["image"]
    text = Template((DATA / "held.yaml").read_text()).substitute(image=image, count=COUNT)
    program = {"connections.py": (DATA / "connections.py").read_text()}
    metadata = {"name": "program", "namespace": "held"}
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": program}
    namespace, *others = yaml.safe_load_all(text)
    cluster.kubectl("apply", "-f", "-", input=yaml.safe_dump_all([namespace, config]))
    # The holder does not ask a Service that nobody serves yet: a refused connection would count.
    *others, holder = others
    cluster.kubectl("apply", "-f", "-", input=yaml.safe_dump_all(others))
    cluster.kubectl("-n", "held", "rollout", "status", "deployment/echo", "--timeout=120s")
    cluster.kubectl("apply", "-f", "-", input=yaml.safe_dump(holder))
    cluster.kubectl("-n", "held", "rollout", "status", "deployment/holder", "--timeout=120s")


def _steps(cluster: Cluster) -> Iterator[str]:
    for count in ("once", "twice"):
        cluster.kubectl(*_SYSTEM, "rollout", "restart", "daemonset/twinway")
        cluster.kubectl(*_SYSTEM, "rollout", "status", "daemonset/twinway", "--timeout=300s")
        yield f"rolled {count}"
    first = _config(cluster)["driver"]
    for driver in ({"tc": "sockops", "sockops": "tc"}[first], first):
        _change_driver(cluster, driver)
        yield f"driver changed to {driver}"


def _config(cluster: Cluster) -> dict[str, Any]:
    document = cluster.asked(*_SYSTEM, "get", "configmap", "twinway")
    return dict(yaml.safe_load(document["data"]["node.yaml"]))


def _change_driver(cluster: Cluster, driver: str) -> None:
    text = yaml.safe_dump({**_config(cluster), "driver": driver})
    patch = json.dumps({"data": {"node.yaml": text}})
    cluster.kubectl(*_SYSTEM, "patch", "configmap", "twinway", "--type=merge", f"--patch={patch}")
    names = [item["metadata"]["name"] for item in cluster.asked(*_SYSTEM, *_AGENTS)["items"]]
    # kubelet writes the ConfigMap into the pods within a minute or two.
    wait_for(f"driver {driver} on every node", lambda: all(_driver(cluster, n) == driver for n in names), 240)


def _driver(cluster: Cluster, pod: str) -> str:
    words = (*_SYSTEM, "exec", pod, "-c", "agent", "--", "twinway", "status", "--json")
    answer = cluster.kubectl(*words, check=False, capture_output=True)
    return str(json.loads(answer.stdout)["driver"]) if answer.returncode == 0 else ""


def _counts(cluster: Cluster) -> dict[str, Any]:
    words = ("-n", "held", "logs", "deployment/holder", "--tail=1")
    lines = cluster.kubectl(*words, stdout=subprocess.PIPE).stdout.splitlines()
    return dict(json.loads(lines[-1])) if lines else {"open": 0, "lost": 0, "refused": 0}
