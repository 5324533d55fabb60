"""Checks of what the runtime hands over."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest

from tests.unit.cni.requests import NETNS, config, environment, message
from twinway.cni.errors import CniError, Code
from twinway.cni.request import NetworkConfig, Request, attachment
from twinway.model.net import ObjectRef


def parsed(env: dict[str, str], stdin: Any) -> tuple[Request, NetworkConfig]:
    """Both halves of a request."""
    request = Request.parse(message(env, stdin))
    return request, NetworkConfig.parse(request.stdin, request.verb)


def test_terways_result_is_understood() -> None:
    """Pod, namespace, interface and the bare address come out of what Terway leaves."""
    added = attachment(*parsed(environment("ADD"), config()))
    assert added.pod == ObjectRef("Pod", "shop", "web")
    assert (added.container_id, added.ifname, added.netns) == ("c1", "eth0", NETNS)
    assert added.addresses == (ip_address("10.0.0.11"),)


@pytest.mark.parametrize(
    "ips",
    [
        [{"address": "10.0.0.11/24"}, {"address": "fd00::b/64"}],
        [{"version": "4", "interface": 0, "address": "10.0.0.11"}, {"version": "6", "address": "fd00::b/128"}],
    ],
)
def test_dual_stack(ips: list[dict[str, Any]]) -> None:
    """Both families are taken in their order, with or without mask, version and interface."""
    added = attachment(*parsed(environment("ADD"), config("1.0.0", prevResult={"ips": ips})))
    assert added.addresses == (ip_address("10.0.0.11"), ip_address("fd00::b"))


@pytest.mark.parametrize("version", ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"])
def test_supported_versions(version: str) -> None:
    """Every version from 0.3.0 to 1.1.0 may ADD."""
    assert parsed(environment("ADD"), config(version))[1].version == version


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"CNI_CONTAINERID": None}, "CNI_CONTAINERID"),
        ({"CNI_CONTAINERID": "../../etc/passwd"}, "CNI_CONTAINERID"),
        ({"CNI_CONTAINERID": "c" * 201}, "CNI_CONTAINERID"),
        ({"CNI_IFNAME": ""}, "CNI_IFNAME"),
        ({"CNI_IFNAME": ".."}, "CNI_IFNAME"),
        ({"CNI_IFNAME": "a/b"}, "CNI_IFNAME"),
        ({"CNI_IFNAME": "sixteen-letters!"}, "CNI_IFNAME"),
        ({"CNI_NETNS": "relative"}, "CNI_NETNS"),
        ({"CNI_ARGS": "IgnoreUnknown=1"}, "K8S_POD_NAMESPACE and K8S_POD_NAME are missing"),
        ({"CNI_ARGS": None}, "K8S_POD_NAMESPACE and K8S_POD_NAME are missing"),
    ],
)
def test_bad_environment(changes: dict[str, str | None], expected: str) -> None:
    """A variable that is missing or dangerous is refused by name, code 4."""
    with pytest.raises(CniError, match=expected) as raised:
        attachment(*parsed(environment("ADD", **changes), config()))
    assert raised.value.code == Code.INVALID_ENVIRONMENT


@pytest.mark.parametrize(
    ("stdin", "code", "expected"),
    [
        (b"", Code.DECODING_FAILURE, "no JSON"),
        (b"\xff\xfe", Code.DECODING_FAILURE, "no JSON"),
        (b"[" * 100_000, Code.DECODING_FAILURE, "no JSON"),
        ([], Code.DECODING_FAILURE, "no JSON object"),
        (config("0.2.0"), Code.INCOMPATIBLE_VERSION, "cniVersion: '0.2.0' is not supported: use one of 0.3.0"),
        ({"name": "x"}, Code.INCOMPATIBLE_VERSION, "'0.1.0'"),
        (config(cniVersion=[1]), Code.INCOMPATIBLE_VERSION, r"\[1\]"),
        (config(prevResult=None), Code.INVALID_CONFIG, "put twinway behind the plugin"),
        (config(prevResult=[]), Code.INVALID_CONFIG, "prevResult: is no object"),
        (config(prevResult={"ips": []}), Code.INVALID_CONFIG, "prevResult.ips: is empty"),
        (config(prevResult={"ips": "10.0.0.1"}), Code.INVALID_CONFIG, "prevResult.ips: is empty"),
        (config(prevResult={"ips": [{}]}), Code.INVALID_CONFIG, r"prevResult.ips\[0\].address: no address in {}"),
        (config(prevResult={"ips": [{"address": "ten"}]}), Code.INVALID_CONFIG, "no address in"),
        (config(prevResult={"ips": [7]}), Code.INVALID_CONFIG, "no address in 7"),
    ],
)
def test_bad_config(stdin: Any, code: Code, expected: str) -> None:
    """A config that cannot be used is refused by its key, with the specification's code."""
    with pytest.raises(CniError, match=expected) as raised:
        attachment(*parsed(environment("ADD"), stdin))
    assert raised.value.code == code


@pytest.mark.parametrize(
    ("verb", "version"), [("CHECK", "0.3.1"), ("GC", "1.0.0"), ("STATUS", "1.0.0"), ("STATUS", "0.4.0")]
)
def test_verb_is_younger_than_the_version(verb: str, version: str) -> None:
    """A verb is refused in a version that does not have it."""
    with pytest.raises(CniError, match=f"{version} has no {verb}") as raised:
        parsed(environment(verb), config(version))
    assert raised.value.code == Code.INCOMPATIBLE_VERSION


@pytest.mark.parametrize("entries", [None, {}, [{}], ["c1"]])
def test_gc_without_a_list_forgets_nothing(entries: Any) -> None:
    """A GC that does not say what is valid is refused: it would take every pod's network away."""
    _, network = parsed(environment("GC"), config("1.1.0", **{"cni.dev/valid-attachments": entries}))
    with pytest.raises(CniError, match="valid-attachments"):
        network.valid_attachments()


def test_message_without_an_end() -> None:
    """A message that is cut off inside the environment is refused."""
    with pytest.raises(CniError, match="environment has no end"):
        Request.parse(b"CNI_COMMAND=ADD\0CNI_CONT")
