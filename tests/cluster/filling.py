"""Many objects at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from tests.cluster.api import Api, Document
from tests.cluster.control_plane import ControlPlane

CONNECTIONS = 6


def for_each(plane: ControlPlane, documents: Iterable[Document], do: Callable[[Api, Document], object]) -> None:
    """Do this with every object, over a few connections at once."""
    every = list(documents)

    def work(first: int) -> None:
        api = plane.api
        for document in islice(every, first, None, CONNECTIONS):
            do(api, document)

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(work, range(CONNECTIONS)))


def create_all(plane: ControlPlane, documents: Iterable[Document]) -> None:
    """Make all of them."""
    for_each(plane, documents, Api.create)
