"""Profiles of Hypothesis: `make fuzz` looks for longer than `make test`."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("long", max_examples=5_000, deadline=None)
