"""Options that every driver on these tables has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, field_validator

from twinway.driver import DriverOptions

SIZED = frozenset({"fe", "slot", "be", "ep", "class", "verdict", "ct", "ct_share", "udp", "udp_share", "opener"})
"""Tables whose capacity can be chosen."""


class KernelOptions(DriverOptions):
    """`maps`: capacities of tables by short name, in entries, where the default will not do."""

    maps: Mapping[str, Annotated[int, Field(ge=1, le=1 << 26)]] = Field(
        default_factory=dict,
        description="Entries of a table by its name in `twinway map list`; the next start makes the table again.",
    )

    @field_validator("maps")
    @classmethod
    def _known(cls, value: Mapping[str, int]) -> Mapping[str, int]:
        unknown = sorted(set(value) - SIZED)
        if unknown:
            raise ValueError(f"no table {unknown[0]}: there are {', '.join(sorted(SIZED))}")
        return value
