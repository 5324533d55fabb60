"""Shrink a failing case for as long as it still fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from twinway_conformance.fuzz.case import Case, State
from twinway_conformance.fuzz.services import BASE_KINDS, consistent
from twinway_conformance.objects import Object, key_of

_LISTS = (
    "ingress",
    "egress",
    "from",
    "to",
    "ports",
    "protocols",
    "endpoints",
    "matchExpressions",
    "networks",
    "except",
)
"""Lists in an object from which single elements may be removed."""


def shrink(case: Case, fails: Callable[[Case], bool], *, tries: int = 40) -> Case:
    """The smallest case found that still fails; `fails` is called at most `tries` times."""
    left = tries
    progress = True
    while progress and left > 0:
        progress = False
        for candidate in _smaller(case):
            if left == 0:
                break
            left -= 1
            if fails(candidate):
                case, progress = candidate, True
                break
    return case


def _smaller(case: Case) -> Iterator[Case]:
    """Cases that are smaller than this one, the largest steps first."""
    if len(case.states) > 1:
        for index in range(len(case.states)):
            yield Case(case.states[:index] + case.states[index + 1 :], case.queries)
    if len(case.queries) > 1:
        half = len(case.queries) // 2
        yield Case(case.states, case.queries[:half])
        yield Case(case.states, case.queries[half:])
    loose = list(
        dict.fromkeys(key_of(thing) for state in case.states for thing in state if thing["kind"] not in BASE_KINDS)
    )
    for keys in _chunks(loose):
        yield _without(case, set(keys))
    for state_index, state in enumerate(case.states):
        for index, thing in enumerate(state):
            for less in _less(thing):
                changed = (*state[:index], less, *state[index + 1 :])
                states = (*case.states[:state_index], changed, *case.states[state_index + 1 :])
                yield Case(states, case.queries)


def _chunks(keys: Sequence[tuple[str, str, str]]) -> Iterator[Sequence[tuple[str, str, str]]]:
    size = len(keys)
    while size >= 1:
        for start in range(0, len(keys), size):
            yield keys[start : start + size]
        size //= 2


def _without(case: Case, keys: set[tuple[str, str, str]]) -> Case:
    states: list[State] = []
    for state in case.states:
        kept = consistent(tuple(thing for thing in state if key_of(thing) not in keys))
        if not states or kept != states[-1]:
            states.append(kept)
    return Case(tuple(states), case.queries)


def _less(thing: Object) -> Iterator[Object]:
    """The object without one element of one of its lists, for each such element."""
    if thing["kind"] in BASE_KINDS or thing["kind"] == "Service":
        return
    for body in ("spec", "endpoints"):
        if isinstance(thing.get(body), dict):
            for less in _less_inside(thing[body]):
                yield thing | {body: less}
        elif isinstance(thing.get(body), list):
            for index in range(len(thing[body])):
                yield thing | {body: thing[body][:index] + thing[body][index + 1 :]}


def _less_inside(part: Object) -> Iterator[Object]:
    for key, value in part.items():
        if isinstance(value, dict):
            for less in _less_inside(value):
                yield part | {key: less}
        elif isinstance(value, list):
            for index, element in enumerate(value):
                # An empty list of peers or ports would allow all of them: remove the rule, not its last peer.
                if key in _LISTS and (len(value) > 1 or key in ("ingress", "egress", "except")):
                    yield part | {key: value[:index] + value[index + 1 :]}
                if isinstance(element, dict):
                    for less in _less_inside(element):
                        yield part | {key: [*value[:index], less, *value[index + 1 :]]}
