"""What the garbage collector looks at: not at a node's whole state, again and again, while somebody waits."""

from __future__ import annotations

import gc

YOUNG = 50_000
"""
New objects after which the collector looks at them by itself: more than a change makes.

A look at the young ones alone touches all that they point to, a cluster's every object among it.
"""


def settle_heap(*, whole: bool) -> None:
    """
    Everything that is alive now is left alone by the collector, until the next call with `whole`.

    State lives long, and is large: each look at all of it takes tens of milliseconds, which would
    come in the middle of a change. So it is set aside after each one, without what was young and is
    garbage already. What becomes garbage later by way of a cycle, which is little, waits for `whole`.
    From the first call on the collector does not look in the middle of a change.
    """
    gc.set_threshold(YOUNG, *gc.get_threshold()[1:])
    if whole:
        gc.unfreeze()
        gc.collect()
    else:
        gc.collect(1)
    gc.freeze()
