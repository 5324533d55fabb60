"""Rounds, ratios and intervals."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinway_bench.pairs import Ratio, of_ratios, percentile, ratio, rounds


def test_rounds_take_turns_and_the_first_is_thrown_away() -> None:
    """Contestants run one after the other, each round begins with another; nothing of the first is kept."""
    order: list[str] = []

    def run(name: str) -> float:
        order.append(name)
        return float(len(order))

    done = rounds({"a": lambda: run("a"), "b": lambda: run("b")}, 2)
    assert order == ["a", "b", "b", "a", "a", "b"]
    assert done == [{"b": 3, "a": 4}, {"a": 5, "b": 6}]


def test_ratio_is_of_each_round() -> None:
    """A machine that slows down by half between rounds does not change a ratio."""
    done = [{"a": 90.0, "b": 100.0}, {"a": 45.0, "b": 50.0}, {"a": 180.0, "b": 200.0}]
    assert ratio(done, "a", "b") == Ratio(pytest.approx(0.9), pytest.approx(0.9), pytest.approx(0.9))  # type: ignore[arg-type]


def test_interval_holds_the_true_median_mostly() -> None:
    """Of many samples around 1 about nineteen in twenty have an interval that holds it."""
    source = random.Random(7)
    found = [of_ratios([source.gauss(1, 0.1) for _ in range(15)]) for _ in range(40)]
    held = sum(each.low <= 1 <= each.high for each in found)
    assert 34 <= held < 40


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=12))
def test_median_is_within_its_interval(ratios: list[float]) -> None:
    """An interval never lies beside its median or beyond the samples, and is the same each time."""
    found = of_ratios(ratios)
    assert min(ratios) <= found.low <= found.median <= found.high <= max(ratios)
    assert of_ratios(ratios) == found


@pytest.mark.parametrize(("share", "due"), [(0, 1), (0.5, 50), (0.99, 99), (0.999, 100), (1, 100)])
def test_percentile_is_a_value_that_was_measured(share: float, due: int) -> None:
    """The least value that the share does not exceed."""
    assert percentile([float(each) for each in range(100, 0, -1)], share) == due
