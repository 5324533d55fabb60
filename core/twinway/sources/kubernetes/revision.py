"""Resource versions as numbers."""

from __future__ import annotations


def revision_of(version: object) -> int:
    """
    A resource version as a number, by which the versions of one cluster are ordered; 0 where it is none.

    Source: KEP-5504, by which resource versions are decimal numbers that clients may compare.
    """
    return int(version) if isinstance(version, str) and version.isascii() and version.isdecimal() else 0
