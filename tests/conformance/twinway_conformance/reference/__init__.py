"""
A reference model of Services and policy: what the Kubernetes API says should happen, by brute force.

It is written from the API's own text and works on plain objects, without caches or indices, and without any of
twinway's own model. So it is slow and short, and decides who is right when two drivers differ.
"""

from __future__ import annotations

from twinway_conformance.reference.model import Expectation, expected

__all__ = ("Expectation", "expected")
