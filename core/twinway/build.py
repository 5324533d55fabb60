"""What is installed: the version of twinway, for people and for metrics."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed


def version() -> str:
    """The version of the distribution `twinway`; "unknown" where it runs without being installed."""
    try:
        return installed("twinway")
    except PackageNotFoundError:
        return "unknown"
