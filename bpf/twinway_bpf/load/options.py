"""Options that all drivers on these tables share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, field_validator

from twinway.driver import DriverOptions

SIZED = frozenset(
    {"fe", "slot", "be", "ep", "class", "verdict", "ct", "ct_share", "udp", "udp_share", "initiator"}
)
"""Tables whose capacity can be configured."""


class KernelOptions(DriverOptions):
    """`maps`: the number of entries of tables, by short name, where it differs from the default."""

    maps: Mapping[str, Annotated[int, Field(ge=1, le=1 << 26)]] = Field(
        default_factory=dict,
        description="Entries of a table by its name in `twinway map list`. The next start applies them.",
    )

    @field_validator("maps")
    @classmethod
    def _known(cls, value: Mapping[str, int]) -> Mapping[str, int]:
        unknown = sorted(set(value) - SIZED)
        if unknown:
            raise ValueError(f"there is no table {unknown[0]}; the tables are {', '.join(sorted(SIZED))}")
        return value
