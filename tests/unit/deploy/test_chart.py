"""The chart: what Helm makes of it, and what its schema refuses. Helm is built once, by `make chart`."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.deploy.scripts import DEPLOY, script
from twinway.config import parse
from twinway.plugins import section_faults

schema: Any = script("chart/schema.py")
CHART = DEPLOY / "chart/twinway"


def helm_program() -> Path | None:
    """Helm where it is built, without building it."""
    done = subprocess.run([DEPLOY / "helm/build.sh", "--where"], capture_output=True, text=True, check=True)
    program = Path(done.stdout.strip())
    return program if program.exists() else None


HELM = helm_program()
needs_helm = pytest.mark.skipif(HELM is None, reason="Helm is not built: make chart")


def helm(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(HELM), *words], capture_output=True, text=True, check=False)


def rendered(*settings: str) -> list[dict[str, Any]]:
    done = helm("template", "twinway", str(CHART), "--namespace", "kube-system", *settings)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def one(documents: Sequence[dict[str, Any]], kind: str, name: str = "twinway") -> dict[str, Any]:
    (found,) = [each for each in documents if each["kind"] == kind and each["metadata"]["name"] == name]
    return found


def test_the_schema_is_that_of_the_node_config() -> None:
    """`make chart` writes it anew when a key of the node config comes or goes."""
    assert schema.SCHEMA.read_text() == schema.text()


@needs_helm
def test_the_plain_manifests_are_current(tmp_path: Path) -> None:
    """The chart passes Helm's own checks, and the committed files are what it renders to."""
    subprocess.run([DEPLOY / "chart/manifests.sh", tmp_path], check=True, capture_output=True)
    for path in tmp_path.iterdir():
        assert path.read_text() == (DEPLOY / "manifests" / path.name).read_text(), path.name


@needs_helm
def test_the_agent_takes_the_config_of_the_chart() -> None:
    """The ConfigMap has no key that an agent would refuse."""
    text = one(rendered(), "ConfigMap")["data"]["node.yaml"]
    config = parse(yaml.safe_load(text), "node.yaml", section_faults)
    assert (config.driver, config.source.kind) == ("tc", "kubernetes")


@needs_helm
def test_only_agents_with_a_startup_taint_may_change_nodes() -> None:
    """The rule comes with the key; nothing else in the role writes but Events."""
    patches = {"apiGroups": [""], "resources": ["nodes"], "verbs": ["patch"]}
    rules = one(rendered(), "ClusterRole")["rules"]
    assert patches not in rules
    assert {verb for rule in rules for verb in rule["verbs"]} == {"list", "watch", "create"}
    tainted = rendered("--set", "config.source.startup_taint=twinway.io/agent-not-ready")
    assert one(tainted, "ClusterRole")["rules"] == [*rules, patches]


@needs_helm
def test_no_container_is_privileged() -> None:
    """Each has a read-only root and named capabilities, under the runtime's seccomp profile."""
    for document in rendered("--set", "uninstall.datapath=remove"):
        if document["kind"] not in {"DaemonSet", "Job"}:
            continue
        spec = document["spec"]["template"]["spec"]
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in (*spec.get("initContainers", ()), *spec["containers"]):
            context = container["securityContext"]
            assert "privileged" not in context
            assert context["readOnlyRootFilesystem"] is True
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"]["drop"] == ["ALL"]


@needs_helm
def test_mounts_have_volumes() -> None:
    """And every path of the node is named by a value."""
    named = set(yaml.safe_load((CHART / "values.yaml").read_text())["hostPaths"].values())
    for document in rendered("--set", "uninstall.datapath=remove"):
        if document["kind"] == "DaemonSet":
            spec = document["spec"]["template"]["spec"]
            volumes = {volume["name"]: volume for volume in spec["volumes"]}
            assert {mount["name"] for mount in _mounts(spec)} == set(volumes)
            assert {each["hostPath"]["path"] for each in volumes.values() if "hostPath" in each} <= named


@needs_helm
def test_an_api_server_by_address() -> None:
    """Where nothing serves the cluster's own Service, agents are given the server itself."""
    documents = rendered("--set", "apiServer.host=10.0.0.1", "--set", "apiServer.port=443")
    (agent,) = one(documents, "DaemonSet")["spec"]["template"]["spec"]["containers"]
    environment = {each["name"]: each.get("value") for each in agent["env"]}
    assert environment["KUBERNETES_SERVICE_HOST"] == "10.0.0.1"
    assert environment["KUBERNETES_SERVICE_PORT"] == "443"


@needs_helm
@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ("config.drivr=tc", "drivr"),
        ("config.log.level=loud", "config/log/level"),
        ("config.drivers.sockops.idle_after=never", "idle_after"),
        ("config.cni.wait_seconds=60", "wait_seconds"),
        ("uninstall.datapath=drop", "uninstall/datapath"),
        ("capabilities={CAP_BPF}", "capabilities/0"),
        ("hostPaths.run=run", "hostPaths/run"),
        ("imag.tag=x", "imag"),
        ("config.metrics.address=", "the probes ask there, give HOST:PORT"),
    ],
)
def test_what_an_agent_would_refuse_is_refused(setting: str, reason: str) -> None:
    """Before it reaches the cluster, with the key."""
    done = helm("template", "twinway", str(CHART), "--set", setting)
    assert done.returncode != 0
    assert reason in done.stderr.replace(".", "/") or reason in done.stderr


@needs_helm
def test_every_key_of_the_node_config_is_a_value() -> None:
    """Other sources, both drivers, and what is absent by default."""
    values = {
        "config": {
            "driver": "sockops",
            "source": {"kind": "manifests", "paths": ["/etc/objects"], "hold_seconds": 1},
            "uplinks": ["eth0"],
            "cgroup_root": "/host/cgroup",
            "drivers": {"tc": {"maps": {"ct": 1024}}, "sockops": {"idle_after": 1}},
        }
    }
    done = subprocess.run(
        [str(HELM), "template", "twinway", str(CHART), "--values", "-"],
        input=json.dumps(values),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    documents = [document for document in yaml.safe_load_all(done.stdout) if document]
    written = yaml.safe_load(one(documents, "ConfigMap")["data"]["node.yaml"])
    assert written["drivers"] == values["config"]["drivers"]
    parse(written, "node.yaml", section_faults)


def _mounts(spec: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for container in (*spec.get("initContainers", ()), *spec["containers"]):
        yield from container.get("volumeMounts", ())
