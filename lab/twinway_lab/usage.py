"""The error for wrong usage, for which the command line exits with status 2."""

from __future__ import annotations

from twinway.errors import LabError


class WrongUsage(LabError):  # noqa: N818 (what it is called in the contract)
    """A name, place or query that cannot be one."""
