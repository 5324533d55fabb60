"""
What the Kubernetes API says should happen: an independent, brute-force model of Services and policy.

Written straight from the API's own text, on the objects as they come, without a memo, an index or a
line of twinway's own model: slow, short, and the third opinion when two drivers differ.
"""

from __future__ import annotations

from twinway_conformance.reference.model import Expectation, expected

__all__ = ("Expectation", "expected")
