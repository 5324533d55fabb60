"""docs/node-config.md against the model that it describes."""

from __future__ import annotations

import re
from pathlib import Path

from twinway import plugins
from twinway.config import KubernetesSource, NodeConfig
from twinway.config_explain import explain

PAGE = (Path(__file__).parents[3] / "docs/node-config.md").read_text()
COMMON, DRIVERS = PAGE.split("Keys of the drivers' own sections")
# Defaults that depend on the node, or that are empty, are shown in words.
IN_WORDS = {"node_name", "cgroup_root", "uplinks", "metrics.address", "drivers", "nodes", "cni.conf_dir"}


def test_the_page_has_every_key_in_order():
    """The table lists exactly the keys of the model, in the order of `config explain`."""
    listed = [key.removesuffix(".NAME") for key in re.findall(r"^\| `([\w.]+)` \|", COMMON, re.MULTILINE)]
    assert listed == [each.key for each in explain(NodeConfig(node_name="n"))]


def test_the_page_has_the_defaults():
    """Each default that is a plain value stands in the table as the model has it."""
    shown = dict(re.findall(r"^\| `([\w.]+)` \| `(.+?)` \|", COMMON, re.MULTILINE))
    for each in explain(NodeConfig(node_name="n")):
        if each.key not in IN_WORDS:
            value = each.value if isinstance(each.value, list) else [each.value]
            assert shown[each.key].strip("[]") == ", ".join(map(str, value)), each.key


def test_the_page_has_the_drivers_keys():
    """So it is with the keys of either driver's section."""
    rows = re.findall(r"^\| `(\w+)` \| (?:`(.+?)` )?\| (?:`(.+?)` )?\|", DRIVERS, re.MULTILINE)
    for column, name in enumerate(("tc", "sockops"), start=1):
        shown = {row[0]: row[column] for row in rows if row[column]}
        options = plugins.load(name).Options()
        assert shown == {key: str(value) for key, value in options.model_dump().items()}


def test_the_page_has_the_keys_of_the_kubernetes_source():
    """The table of the section lists exactly the keys of its model, in order."""
    section = PAGE.split("## A cluster's API server")[1]
    listed = re.findall(r"^\| `(source\.\w+)` \|", section, re.MULTILINE)
    assert listed == [each.key for each in explain(KubernetesSource(), "source.")]
