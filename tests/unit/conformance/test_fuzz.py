"""Random cases: always the same for a seed, and made small when they fail."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.unit.conformance.reference_lab import ReferenceLab
from twinway_conformance import test_fuzz
from twinway_conformance.cast import FAR
from twinway_conformance.fuzz import generate, report
from twinway_conformance.fuzz.case import Case, Mismatch, mismatches
from twinway_conformance.fuzz.services import BASE_KINDS, consistent
from twinway_conformance.fuzz.shrink import shrink
from twinway_conformance.objects import key_of
from twinway_conformance.probes import Answer, Query
from twinway_conformance.reference import expected
from twinway_conformance.stage import Stage
from twinway_conformance.targets import Target

SEEDS = range(1, 16)


class Leaky(ReferenceLab):
    """A lab whose datapath lets through whatever a NetworkPolicy shuts at one pod."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def batch(self, queries: Sequence[Query]) -> list[list[Answer]]:
        return [
            [Answer("connected", FAR, None, 1.0)]
            if "10.244.2.20" in query.to and answers[0].outcome == "dropped"
            else answers
            for query, answers in zip(queries, super().batch(queries), strict=True)
        ]


def stage(lab: ReferenceLab) -> Stage:
    return Stage(lab, Target("leaky", "none", "4"))  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", SEEDS)
def test_same_seed_same_case(seed: int) -> None:
    """A seed gives the same case each time, and its neighbour another."""
    case = generate.case(seed, (4, 6), policies=True)
    assert case == generate.case(seed, (4, 6), policies=True)
    assert case != generate.case(seed + 1, (4, 6), policies=True)


def test_cases_hold_policies_and_services() -> None:
    """Seeds cover what they are for: every kind appears, and every outcome is expected somewhere."""
    cases = [generate.case(seed, (4, 6), policies=True) for seed in SEEDS]
    kinds = {thing["kind"] for case in cases for state in case.states for thing in state}
    assert kinds >= {"Service", "EndpointSlice", "NetworkPolicy", "ClusterNetworkPolicy", "Pod"}
    outcomes = {
        fate[0]
        for case in cases[:4]
        for query in case.queries
        for fate in expected(case.states[-1], query.source, query.to, query.protocol).fates
    }
    assert outcomes == {"connected", "dropped", "rejected"}


@pytest.mark.parametrize("seed", SEEDS)
def test_states_stand_alone(seed: int) -> None:
    """Every state of a change holds the whole cast, and no slice without its Service."""
    for state in generate.case(seed, (4,), policies=True, steps=4).states:
        assert consistent(state) == state
        assert sum(thing["kind"] in BASE_KINDS for thing in state) == 13
        assert len({key_of(thing) for thing in state}) == len(state)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_reference_agrees_with_itself(seed: int) -> None:
    """Played against the reference model, a case has no mismatch."""
    test_fuzz.check(stage(ReferenceLab()), seed, policies=True)


def test_a_leak_is_found_and_made_small(tmp_path: Path) -> None:
    """A datapath that leaks is caught, and shown by one policy and one state, with the commands."""
    with pytest.raises(pytest.fail.Exception) as caught:
        test_fuzz.check(stage(Leaky(tmp_path)), 1, policies=True)
    words = str(caught.value)
    assert "expected dropped, got connected by shop/far" in words
    assert words.count("kind: NetworkPolicy") + words.count("kind: ClusterNetworkPolicy") == 1
    assert "twinway lab up --driver leaky" in words
    assert "kind: Service" not in words
    named = [word for word in words.split() if word.endswith("state-1.yaml")]
    assert Path(named[0]).read_text().count("kind: Pod") == 8


def test_shrink_keeps_what_matters() -> None:
    """Of a case that fails by two objects in its second state, those two are left, and the step to them."""
    case = generate.case(4, (4,), policies=True, steps=3)
    kinds = [thing["kind"] for thing in case.states[-1]]
    assert kinds.count("NetworkPolicy") > 1

    def fails(candidate: Case) -> bool:
        last = [thing["kind"] for thing in candidate.states[-1]]
        return len(candidate.states) > 1 and last.count("NetworkPolicy") >= 1

    small = shrink(case, fails, tries=500)
    assert len(small.states) == 2
    assert [thing["kind"] for thing in small.states[-1] if thing["kind"] not in BASE_KINDS] == ["NetworkPolicy"]
    assert len(small.queries) == 1


def test_shrink_gives_up_in_time() -> None:
    """No more tries are made than allowed."""
    tried = []

    def fails(candidate: Case) -> bool:
        tried.append(candidate)
        return True

    shrink(generate.case(1, (4,), policies=True), fails, tries=7)
    assert len(tried) == 7


def test_report_names_every_step(tmp_path: Path) -> None:
    """The report brings up the first state, syncs to the next, and asks where it went wrong."""
    case = generate.case(3, (4,), policies=False)
    query = Query("shop/client", "10.244.2.20:80")
    words = report.write(case, [Mismatch(1, query, "connected", "dropped")], Target("tc", "veth", "4"), tmp_path)
    assert [line.split()[2] for line in words.splitlines() if line.startswith("twinway")] == [
        "up",
        "sync",
        "probe",
        "down",
    ]
    assert "--from shop/client --to '10.244.2.20:80'" in words


def test_mismatch_reads_well() -> None:
    """A mismatch says which step, which query, what was due and what came."""
    case = generate.case(3, (4,), policies=False)
    query = Query("shop/client", "10.244.2.20:9")
    found = mismatches(0, case.states[0], [query], [[Answer("dropped", None, None, None)]])
    assert [str(one) for one in found] == [
        "step 1: shop/client → 10.244.2.20:9 tcp: expected rejected, got dropped"
    ]
