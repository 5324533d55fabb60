"""Label selectors: equal meaning gives equal values, and what the API refuses is refused."""

from __future__ import annotations

from typing import Any

import pytest

from twinway.model.net import ObjectRef
from twinway.model.policy import Operator, Requirement, Selector
from twinway.sources.decode.fields import read
from twinway.sources.decode.policy.selectors import SelectorSchema

REF = ObjectRef("NetworkPolicy", "shop", "deny")


def selector(document: dict[str, Any]) -> Selector:
    """The selector that a good document says."""
    schema, rejected = read(SelectorSchema, document, REF)
    assert schema is not None, rejected
    return schema.value()


def test_the_empty_selector_selects_everything() -> None:
    """Also where its parts are null."""
    assert selector({}) == selector({"matchLabels": None, "matchExpressions": None}) == Selector()
    assert selector({}).matches({})


def test_two_spellings_of_one_meaning_are_equal() -> None:
    """Order, repetition, and `matchLabels` against `In` make no difference."""
    one = selector({"matchLabels": {"b": "1", "a": "2"}})
    other = selector(
        {
            "matchLabels": {"a": "2"},
            "matchExpressions": [
                {"key": "b", "operator": "In", "values": ["1", "1"]},
                {"key": "a", "operator": "In", "values": ["2"]},
            ],
        }
    )
    assert one == other == Selector((Requirement("a", Operator.IN, ("2",)), Requirement("b", Operator.IN, ("1",))))


def test_a_prefixed_label_is_kept_whole() -> None:
    """`app.kubernetes.io/name` is the label's name, not just `name`."""
    assert selector({"matchLabels": {"app.kubernetes.io/name": "web"}}).matches({"app.kubernetes.io/name": "web"})


@pytest.mark.parametrize(
    ("document", "line"),
    [
        (
            {"matchLable": {}},
            "spec.podSelector.matchLable: is not a field that is known here; did you mean 'matchLabels'?",
        ),
        (
            {"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["1"]}]},
            "spec.podSelector.matchExpressions[0]: operator Exists must not have values",
        ),
        (
            {"matchExpressions": [{"key": "a", "operator": "NotIn"}]},
            "spec.podSelector.matchExpressions[0]: operator NotIn needs at least one of values",
        ),
        (
            {"matchExpressions": [{"key": "a", "operator": "Equals", "values": ["1"]}]},
            "spec.podSelector.matchExpressions[0]: "
            "operator must be In, NotIn, Exists or DoesNotExist, not 'Equals'",
        ),
        (
            {"matchExpressions": [{"operator": "Exists"}]},
            "spec.podSelector.matchExpressions[0].key: is required",
        ),
        (
            {"matchExpressions": [{"key": "", "operator": "Exists"}]},
            "spec.podSelector.matchExpressions[0].key: "
            "must be letters, digits, '-', '_' and '.', a letter or digit at both ends, not ''",
        ),
        (
            {"matchLabels": {"a": "x" * 64}},
            "spec.podSelector.matchLabels.a: must have 63 characters at most, not 64",
        ),
        ("app=web", "spec.podSelector: must be a mapping, not 'app=web'"),
        (None, "spec.podSelector: is required"),
    ],
)
def test_a_bad_selector_is_rejected_by_one_line(document: object, line: str) -> None:
    """The path begins where the selector stands in its object."""
    schema, rejected = read(SelectorSchema, document, REF, at="spec.podSelector")
    assert schema is None
    assert [f"{each.field}: {each.reason}" for each in rejected] == [line]


def test_a_long_wrong_value_is_cut() -> None:
    """A reason stays one line that people read."""
    _, rejected = read(SelectorSchema, {"matchLabels": "x" * 10_000}, REF)
    assert len(rejected[0].reason) < 120
