"""Random clusters: what comes is what the API says."""

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
    """The answers to the case's queries in each of its states, put in force one after the other."""
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
    """The case of this seed goes as the reference says; or it is made small and shown."""
    case = generate.case(seed, stage.families, policies=policies)
    wrong = found(stage, case)
    if not wrong:
        return
    narrowed = Case(case.states, tuple(dict.fromkeys(one.query for one in wrong)))

    def fails(candidate: Case) -> bool:
        try:
            return bool(found(stage, candidate))
        except LabError:
            return False  # what cannot be put in force is no smaller form of this failure

    small = shrink(narrowed, fails)
    again = found(stage, small)
    words = report.write(small, again or wrong, stage.target, stage.lab.folder / f"seed-{seed}")
    lines = [f"seed {seed}:", *map(str, (again or wrong)[:10])]
    if not again:
        lines.append("(made small, it did not show again: perhaps it is a matter of time)")
    pytest.fail("\n".join([*lines, "", words, "", report.shown(small)]), pytrace=False)


@pytest.mark.row("fuzz-services")
def test_services(stage: Stage, seed: int) -> None:
    """Random Services and changes: every probe goes as the reference model says."""
    check(stage, seed, policies=False)


@pytest.mark.policy
@pytest.mark.row("fuzz-policies")
def test_policies(stage: Stage, seed: int) -> None:
    """Random Services, policies and changes: every probe goes as the reference model says."""
    check(stage, seed, policies=True)


@pytest.mark.policy
@pytest.mark.driver_change
@pytest.mark.row("fuzz-drivers")
def test_drivers_agree(stage: Stage, other_driver: str, seeds: range) -> None:
    """Random Services and policies: two drivers give the same answers to the same questions."""
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
    # Where the API leaves one answer only, two drivers must give it; elsewhere each has its choice.
    return len(expected(case.states[0], query.source, query.to, query.protocol).fates) == 1


def _fate(answer: Answer) -> tuple[str, str | None]:
    return answer.outcome, answer.backend
