"""Random clusters: every answer is one that the API allows."""

from __future__ import annotations

import pytest

from twinway_conformance.fuzz import generate, report
from twinway_conformance.fuzz.case import Case, Mismatch, mismatches, patient
from twinway_conformance.fuzz.shrink import shrink
from twinway_conformance.lab import LabError
from twinway_conformance.probes import Answer, Query
from twinway_conformance.reference import expected
from twinway_conformance.stage import Stage

pytestmark = pytest.mark.fuzz


def play(stage: Stage, case: Case) -> list[list[list[Answer]]]:
    """The answers to the case's queries in each of its states, which are put in force one after the other."""
    answers = []
    for state in case.states:
        stage.hold(base=state)
        answers.append(stage.ask(*(patient(state, query) for query in case.queries)))
    return answers


def found(stage: Stage, case: Case) -> list[Mismatch]:
    """Every answer that the reference model does not allow."""
    return [
        one
        for step, (state, answers) in enumerate(zip(case.states, play(stage, case), strict=True))
        for one in mismatches(step, state, case.queries, answers)
    ]


def check(stage: Stage, seed: int, *, policies: bool) -> None:
    """Fail if an answer in the case of this seed is wrong, with a shrunk case that reproduces it."""
    case = generate.case(seed, stage.families, policies=policies)
    wrong = found(stage, case)
    if not wrong:
        return
    narrowed = Case(case.states, tuple(dict.fromkeys(one.query for one in wrong)))

    def fails(candidate: Case) -> bool:
        try:
            return bool(found(stage, candidate))
        except LabError:
            return False  # a candidate that cannot be put in force does not reproduce this failure

    small = shrink(narrowed, fails)
    again = found(stage, small)
    words = report.write(small, again or wrong, stage.target, stage.lab.folder / f"seed-{seed}")
    lines = [f"seed {seed}:", *map(str, (again or wrong)[:10])]
    if not again:
        lines.append("(the shrunk case did not fail again: the failure may depend on timing)")
    pytest.fail("\n".join([*lines, "", words, "", report.shown(small)]), pytrace=False)


@pytest.mark.row("fuzz-services")
def test_services(stage: Stage, seed: int) -> None:
    """In random clusters of Services and changes, every probe gets an answer that the reference model allows."""
    check(stage, seed, policies=False)


@pytest.mark.policy
@pytest.mark.row("fuzz-policies")
def test_policies(stage: Stage, seed: int) -> None:
    """In random clusters of Services, policies and changes, every probe gets an answer that the model allows."""
    check(stage, seed, policies=True)


@pytest.mark.policy
@pytest.mark.driver_change
@pytest.mark.row("fuzz-drivers")
def test_drivers_agree(stage: Stage, other_driver: str, seeds: range) -> None:
    """In random clusters of Services and policies, two drivers answer the same probes alike."""
    cases = [
        generate.case(seed, stage.families, policies=True, steps=1) for seed in seeds[: max(1, len(seeds) // 5)]
    ]
    ours = [play(stage, case)[0] for case in cases]
    try:
        stage.lab.driver(other_driver)
        theirs = [play(stage, case)[0] for case in cases]
    finally:
        stage.lab.driver(stage.target.driver)
    lines = [
        f"{query}: {stage.target.driver}: {one[0]}; {other_driver}: {other[0]}"
        for case, mine, yours in zip(cases, ours, theirs, strict=True)
        for query, one, other in zip(case.queries, mine, yours, strict=True)
        if _decided(case, query) and _fate(one[0]) != _fate(other[0])
    ]
    assert not lines, "\n".join(lines)


def _decided(case: Case, query: Query) -> bool:
    # Two drivers must agree only where the API allows a single answer.
    return len(expected(case.states[0], query.source, query.to, query.protocol).fates) == 1


def _fate(answer: Answer) -> tuple[str, str | None]:
    return answer.outcome, answer.backend
