"""The labels and ranges that random clusters use. They are few, so that selectors often match."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from twinway_conformance import cast
from twinway_conformance.objects import Object, alone, both

LABELS = {"a": ("x", "y"), "b": ("x", "y"), "c": ("x",)}
POD_LABELS = {
    **LABELS,
    "role": ("server", "client", "host"),
    "name": tuple(own.partition("/")[2] for own in cast.HOME),
}
SPACE_LABELS = {**LABELS, "team": tuple(cast.NAMESPACES), "kubernetes.io/metadata.name": tuple(cast.NAMESPACES)}
Vocabulary = dict[str, tuple[str, ...]]


def some_labels(random: Random, words: Vocabulary) -> dict[str, str]:
    """Some labels, each with one of its values."""
    return {key: random.choice(values) for key, values in words.items() if random.random() < 0.4}


def selector(random: Random, words: Vocabulary) -> Object:
    """A label selector, which is empty in one case of five."""
    if random.random() < 0.2:
        return {}
    made: Object = {}
    if random.random() < 0.7:
        key = random.choice(list(words))
        made["matchLabels"] = {key: random.choice(words[key])}
    if not made or random.random() < 0.3:
        made["matchExpressions"] = [_requirement(random, words)]
    return made


def _requirement(random: Random, words: Vocabulary) -> Object:
    key = random.choice(list(words))
    operator = random.choice(("In", "NotIn", "Exists", "DoesNotExist"))
    if operator in ("Exists", "DoesNotExist"):
        return {"key": key, "operator": operator}
    count = random.randint(1, len(words[key]))
    return {"key": key, "operator": operator, "values": random.sample(list(words[key]), count)}


def block(random: Random, families: Sequence[int]) -> Object:
    """An ipBlock of the cluster's addresses, with exceptions in some cases."""
    family = random.choice(list(families))
    cidr, inside = random.choice(_ranges(family))
    made: Object = {"cidr": cidr}
    if inside and random.random() < 0.5:
        made["except"] = random.sample(inside, random.randint(1, min(2, len(inside))))
    return made


def cidr(random: Random, families: Sequence[int]) -> str:
    """A range of the cluster's addresses."""
    return random.choice(_ranges(random.choice(list(families))))[0]


def _ranges(family: int) -> list[tuple[str, list[str]]]:
    # Each range with the ranges inside it.
    pods = {name: alone(both(address, (family,))[0]) for name, address in cast.ADDRESS.items()}
    nodes = [alone(both(address, (family,))[0]) for address in cast.NODES.values()]
    of_node = {node: cast.ranges(node, (family,))[0] for node in cast.NODES}
    everything = "0.0.0.0/0" if family == 4 else "::/0"
    made = [(everything, [*of_node.values(), *pods.values(), *nodes])]
    made += [(of_node[node], [own for name, own in pods.items() if cast.HOME[name] == node]) for node in of_node]
    return made + [(own, []) for own in (*pods.values(), *nodes)]
