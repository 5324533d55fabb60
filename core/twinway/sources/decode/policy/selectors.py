"""Label selectors: from the API's two spellings to one `Selector`."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field, model_validator

from twinway.model.policy import Operator, Requirement, Selector
from twinway.sources.decode.fields import ClosedSchema, LabelKey, Labels, ListOf, shown

_WITH_VALUES = frozenset({Operator.IN, Operator.NOT_IN})


class RequirementSchema(ClosedSchema):
    """One entry of `matchExpressions`. A value that no label can have is kept: it matches none."""

    key: LabelKey
    operator: str
    values: ListOf[str] = ()

    @model_validator(mode="after")
    def _consistent(self) -> RequirementSchema:
        if self.operator not in list(Operator):
            raise ValueError(f"operator must be In, NotIn, Exists or DoesNotExist, not {shown(self.operator)}")
        if (self.operator in _WITH_VALUES) != bool(self.values):
            need = "needs at least one of" if self.operator in _WITH_VALUES else "must not have"
            raise ValueError(f"operator {self.operator} {need} values")
        return self


class SelectorSchema(ClosedSchema):
    """
    A label selector (`matchLabels` and `matchExpressions`), closed: a misspelt field would select everything.

    Source: apimachinery meta/v1 LabelSelector and its validation.
    """

    match_labels: Labels = Field(default_factory=dict)
    match_expressions: ListOf[RequirementSchema] = ()

    def value(self) -> Selector:
        """The selector of this meaning: sorted, each requirement once."""
        return Selector(tuple(sorted(set(self._requirements()))))

    def _requirements(self) -> Iterator[Requirement]:
        for key, value in self.match_labels.items():
            yield Requirement(key, Operator.IN, (value,))
        for each in self.match_expressions:
            yield Requirement(each.key, Operator(each.operator), tuple(sorted(set(each.values))))
