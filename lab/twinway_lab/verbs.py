"""The commands of `twinway lab` that change a lab, a function each."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, NoReturn

from twinway.errors import LabError
from twinway.model.net import ObjectRef
from twinway.sources.manifests.parse import Document
from twinway_lab import cleanup, lock, store
from twinway_lab.converge import converge, raise_up
from twinway_lab.names import NETNS_DIR, LabName, Place
from twinway_lab.network import syscalls
from twinway_lab.nodes import agents, cgroups, manifests
from twinway_lab.objects import documents, summary
from twinway_lab.objects.documents import Reading
from twinway_lab.objects.objects import Understood, understood
from twinway_lab.objects.summary import Done
from twinway_lab.plan.plan import Plan
from twinway_lab.probe import places
from twinway_lab.store import LabState
from twinway_lab.usage import WrongUsage


class Files(NamedTuple):
    """Manifests as a command names them."""

    paths: Sequence[Path]
    namespace: str | None = None
    """That of objects which name none."""

    def read(self) -> Reading:
        """What is in them; raises `ManifestError`."""
        return documents.read(self.paths, self.namespace)


def up(lab: LabName, files: Files, state: LabState, timeout: float) -> Sequence[str]:
    """
    A new lab with the objects in `files`; `state` says its driver and device. All or nothing.

    Answers what a person should know, a line each.
    """
    _check_driver(state.driver)
    reading = files.read()
    wanted = understood(reading.documents, Plan(), {})
    with lock.held(lab, timeout):
        if lab.name in store.names():
            raise LabError(f"lab {lab}: it is there already: `twinway lab down --name {lab}` removes it")
        try:
            raise_up(lab, state, wanted, timeout)
        except BaseException:
            cleanup.take_down(lab)
            raise
    return _notes(reading, wanted)


def apply(lab: LabName, files: Files, timeout: float, *, bad_policies: bool = False) -> Done:
    """Add the objects in `files`, or replace those of the same names; they are in force when this returns."""
    reading = files.read()
    new = documents.by_name(reading.documents)

    def edit(old: Sequence[Document]) -> Sequence[Document]:
        return (*(each for each in old if documents.ref(each) not in new), *new.values())

    change = _change(lab, edit, timeout, bad_policies=bad_policies)
    return change.done(summary.applied(change.before, new, change.nodes), reading)


def delete(lab: LabName, files: Files, timeout: float) -> Done:
    """Delete the objects of these names; names that do not exist are skipped."""
    reading = files.read()
    names = documents.by_name(reading.documents)
    change = _change(lab, lambda old: tuple(each for each in old if documents.ref(each) not in names), timeout)
    return change.done(summary.deleted(change.before, names, change.nodes), reading)


def sync(lab: LabName, files: Files, timeout: float) -> Done:
    """Make the lab hold exactly the objects in `files`."""
    reading = files.read()
    change = _change(lab, lambda _: reading.documents, timeout)
    new = documents.by_name(reading.documents)
    return change.done(summary.synced(change.before, new, change.nodes), reading)


Edit = Callable[[Sequence[Document]], Sequence[Document]]


class _Change(NamedTuple):
    """A change that is in force."""

    before: Mapping[ObjectRef, Document]
    now: Understood

    @property
    def nodes(self) -> int:
        return len(self.now.plan.nodes)

    def done(self, line: str, reading: Reading) -> Done:
        return Done(line, _notes(reading, self.now))


def _notes(reading: Reading, now: Understood) -> Sequence[str]:
    # Of what is not served, what this very command brought.
    given = {(each.path, each.place) for each in reading.documents}
    asked = (line for origin, line in now.not_served if (origin.path, origin.place) in given)
    return (*reading.notes, *now.notes, *asked)


def _change(lab: LabName, edit: Edit, timeout: float, *, bad_policies: bool = False) -> _Change:
    with _changing(lab, timeout) as state:
        services = manifests.services(lab)
        wanted = understood(edit(state.documents), state.plan, services, bad_policies=bad_policies)
        converge(lab, state, wanted, timeout)
    return _Change(documents.by_name(state.documents), wanted)


@contextmanager
def _changing(lab: LabName, patience: float) -> Iterator[LabState]:
    store.load(lab)  # without a lock: none is made for a lab that is not there
    with lock.held(lab, patience):
        yield store.load(lab)


def change_driver(lab: LabName, driver: str, timeout: float) -> int:
    """Change every node to `driver`, one after the other, or none if one cannot. Return how many there are."""
    _check_driver(driver)
    with _changing(lab, timeout) as state:
        try:
            _run_driver(lab, replace(state, driver=driver), timeout)
        except LabError:
            _run_driver(lab, state, timeout)
            raise
        store.save(lab, replace(state, driver=driver))
        return len(state.plan.nodes)


def _run_driver(lab: LabName, state: LabState, timeout: float) -> None:
    version = manifests.version(lab)
    for node in (each.name for each in state.plan.nodes):
        agents.configure(lab, node, state.driver, state.config)
        agents.reload(lab, node, state.driver, timeout)
        agents.wait_in_force(lab, [node], version, timeout)


def _check_driver(driver: str) -> None:
    from twinway import plugins

    if driver not in plugins.names():
        plugins.load(driver)  # raises, and lists those that are installed


def agent(lab: LabName, verb: str, where: Place, timeout: float) -> None:
    """Kill, start or restart the agent of a node; the latter two return when its state is in force."""
    if where.kind != "node":
        raise WrongUsage(f"{where} has no agent: give node/NAME")
    with _changing(lab, timeout) as state:
        places.container(lab, state.plan, where)
        if verb == "kill":
            agents.kill(lab, where.name)
            return
        if verb == "restart":
            agents.stop(lab, where.name)
        agents.start(lab, where.name)
        agents.wait_in_force(lab, [where.name], manifests.version(lab), timeout)


def execute(lab: LabName, where: Place, command: Sequence[str]) -> NoReturn:
    """Replace this process by `command`, run as one of the programs of a place."""
    container = places.container(lab, store.load(lab).plan, where)
    cgroups.join(container.group)
    syscalls.enter_netns(NETNS_DIR / container.netns)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)  # Python ignores them, and a program would inherit that
    environment = {**os.environ, **agents.environment(lab, where.name)} if where.kind == "node" else os.environ
    try:
        os.execvpe(command[0], list(command), environment)  # noqa: S606 (no shell is the point)
    except OSError as error:
        raise LabError(f"{command[0]}: cannot be run: {error.strerror}") from error
