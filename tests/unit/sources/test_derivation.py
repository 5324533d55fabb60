"""Which Services slices are derived for, and which pods their selectors select."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.documents import NODE, POD, SERVICE, SLICE, Document, having
from twinway.model.cluster import EndpointSlice
from twinway.model.net import ObjectRef
from twinway.sources.derivation import Derivation
from twinway.sources.manifests.source import load


def endpoints(folder: Path, *documents: Document) -> dict[str, list[str]]:
    """The addresses of each slice of a snapshot of these documents."""
    (folder / "all.json").write_text(json.dumps({"kind": "List", "items": documents}))
    slices = load([folder]).slices.values()
    return {each.ref.name: [str(one.address) for one in each.endpoints] for each in slices}


def test_a_slice_that_somebody_wrote_is_all_there_is(tmp_path: Path) -> None:
    """Nothing is derived beside it, also where it has no endpoints."""
    assert endpoints(tmp_path, SERVICE, POD, having(SLICE, "endpoints", [])) == {"web-x": []}


def test_without_a_selector_nothing_is_derived(tmp_path: Path) -> None:
    """An absent selector selects nothing: somebody else writes the slices."""
    assert endpoints(tmp_path, having(SERVICE, "spec.selector", None), POD) == {}


def test_a_headless_service_has_no_slices(tmp_path: Path) -> None:
    """There is nothing to program."""
    assert endpoints(tmp_path, having(SERVICE, "spec.clusterIP", "None"), POD) == {}


@pytest.mark.parametrize(
    ("labels", "namespace", "selected"),
    [
        ({"app": "web", "tier": "front", "more": "x"}, "shop", True),
        ({"app": "web"}, "shop", False),
        ({"app": "web", "tier": "back"}, "shop", False),
        ({}, "shop", False),
        ({"app": "web", "tier": "front"}, "other", False),
    ],
)
def test_all_labels_of_the_selector_must_be_there(
    tmp_path: Path, labels: dict[str, str], namespace: str, selected: bool
) -> None:
    """On a pod of the Service's own namespace."""
    pod = having(having(POD, "metadata.labels", labels), "metadata.namespace", namespace)
    both = having(SERVICE, "spec.selector", {"app": "web", "tier": "front"})
    assert [address for each in endpoints(tmp_path, both, pod).values() for address in each] == (
        ["10.0.0.1"] if selected else []
    )


def test_a_node_that_changes_its_zone_changes_hints(tmp_path: Path) -> None:
    """Of the Services that ask for them, whose slices are derived again; others stay the same objects."""
    asking = having(SERVICE, "spec.trafficDistribution", "PreferSameZone")
    other = having(having(SERVICE, "metadata.name", "other"), "spec.clusterIP", "10.96.0.2")
    derivation = Derivation()
    found: list[dict[str, EndpointSlice]] = []
    for zone in ("east", "west"):
        node = having(NODE, "metadata.labels", {"topology.kubernetes.io/zone": zone})
        (tmp_path / "all.json").write_text(json.dumps({"kind": "List", "items": [asking, other, POD, node]}))
        written = replace(load([tmp_path]), slices={})
        found.append({each.service.name: each for each in derivation.all_slices(written).values()})
    assert [each["web"].endpoints[0].for_zones for each in found] == [("east",), ("west",)]
    assert found[0]["other"] is found[1]["other"]


def test_a_service_owns_only_slices_of_its_namespace(tmp_path: Path) -> None:
    """A slice that names `web` in another namespace belongs to the `web` there."""
    (tmp_path / "all.json").write_text(
        json.dumps({"kind": "List", "items": [SERVICE, POD, having(SLICE, "metadata.namespace", "other")]})
    )
    owners = {each.service for each in load([tmp_path]).slices.values()}
    assert owners == {ObjectRef("Service", "shop", "web"), ObjectRef("Service", "other", "web")}
