"""A stream of bytes into lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


def lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """
    The whole lines of a stream, without their ends; empty ones are left out.

    What follows the last line end is left out, too: the stream was cut inside that line.
    """
    begun: list[bytes] = []
    for chunk in chunks:
        first, *others = chunk.split(b"\n")
        begun.append(first)
        for following in others:
            if line := b"".join(begun):
                yield line
            begun = [following]
