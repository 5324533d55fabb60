"""The bench's error."""

from __future__ import annotations

from twinway.errors import TwinwayError


class BenchError(TwinwayError):
    """Nothing can be measured; one line says why and what to do."""
