"""Names: the name alone distinguishes what belongs to a lab."""

from __future__ import annotations

import pytest

from twinway_lab.names import EXTERNAL, LabName, lab_of_netns, node_place, parse_place, pod_place
from twinway_lab.usage import WrongUsage


@pytest.mark.parametrize("text", ["shop/client", "node/n1", "external"])
def test_place_reads_as_it_is_written(text: str) -> None:
    """A place's text is parsed into the place with that text."""
    assert str(parse_place(text)) == text


@pytest.mark.parametrize("text", ["", "client", "shop/", "/client", "a/b/c"])
def test_other_words_are_no_place(text: str) -> None:
    """What is none of the three forms is wrong usage."""
    with pytest.raises(WrongUsage, match="is no place"):
        parse_place(text)


def test_pods_of_different_namespaces_never_share_a_name() -> None:
    """A dash may stand in both parts of a pod's name; what joins them may not."""
    lab = LabName("x")
    assert lab.netns(pod_place("a-b", "c")) != lab.netns(pod_place("a", "b-c"))


def test_prefix_of_one_lab_is_not_that_of_another() -> None:
    """The namespaces of lab `a-b` do not begin like those of lab `a`."""
    assert not LabName("a-b").underlay.startswith(LabName("a").netns_prefix)
    assert lab_of_netns(LabName("a-b").underlay) == "a-b"


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a.b", "a/b", "x" * 33])
def test_lab_names_that_are_none(name: str) -> None:
    """A lab's name is a short DNS label."""
    with pytest.raises(WrongUsage):
        LabName.checked(name)


def test_long_names_stay_apart_and_fit() -> None:
    """Names that are cut keep a digest of the whole; unix sockets fit into 107 bytes."""
    lab = LabName("l" * 32)
    first, second = pod_place("n" * 63, "p" * 200 + "1"), pod_place("n" * 63, "p" * 200 + "2")
    assert lab.netns(first) != lab.netns(second)
    assert lab.place_socket(first) != lab.place_socket(second)
    assert len(str(lab.place_socket(first))) <= 107
    assert len(str(lab.agent_socket("n" * 250))) <= 107
    assert len(lab.netns(first)) <= 255


def test_place_without_name_has_its_kind_for_a_key() -> None:
    """The external host has no name."""
    assert [EXTERNAL.key, node_place("n1").key, pod_place("a", "b").key] == ["external", "node.n1", "pod.a_b"]
