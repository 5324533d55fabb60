"""
Two contents with one id: found out, never acted upon.

Among 100,000 ids of 64 bits the chance is 10^-9. There is no way to go on with both, so compute
fails with a line for people, and what was in force before stays.
"""

from __future__ import annotations

from typing import TypeVar

from twinway.errors import TwinwayError

K = TypeVar("K")
V = TypeVar("V")


class IdCollision(TwinwayError):  # noqa: N818 (a state of the input, not a mistake)
    """Two different things have the same id."""


def enter(known: dict[K, V], id_: K, content: V, things: str) -> None:
    """
    Note what an id stands for; raises `IdCollision` where it stands for something else already.

    `things` says what these are, for people: "address classes".
    """
    other = known.setdefault(id_, content)
    if other is not content and other != content:
        raise IdCollision(
            f"policy: two {things} have the same id, {id_}: change a name or a label that either uses"
        )
