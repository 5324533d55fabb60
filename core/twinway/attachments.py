"""
What CNI ADDs reported, kept on disk: a restarted agent knows the pods that it serves without asking anybody.

One file for each (container, interface) below `<run_dir>/attachments/`. A pod name may be attached
twice while the runtime replaces its sandbox: the later ADD counts, and the DEL of the earlier one
takes nothing from it.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from twinway.files import write_whole
from twinway.model.net import ObjectRef
from twinway.model.node import Attachment

logger = logging.getLogger(__name__)

Key = tuple[str, str]
"""Container id and interface name: what identifies an attachment in CNI."""


@dataclass(frozen=True, slots=True)
class _Record:
    order: int
    attachment: Attachment


@dataclass(frozen=True, slots=True)
class Before:
    """What `add` found in the place of an attachment, for `take_back`."""

    attachment: Attachment
    record: _Record | None


class Attachments:
    """The registry. Usable from any thread; `changed` is called after each change."""

    def __init__(self, folder: Path, changed: Callable[[], None]) -> None:
        """Read what `folder` holds; it is made where it is missing."""
        self._folder = folder
        self._changed = changed
        self._lock = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._records = _read_all(folder)

    def current(self) -> tuple[Attachment, ...]:
        """The attachment in force of each pod, sorted by pod."""
        with self._lock:
            records = sorted(self._records.values(), key=lambda record: record.order)
        latest = {record.attachment.pod: record.attachment for record in records}
        return tuple(latest[pod] for pod in sorted(latest))

    def get(self, container_id: str, ifname: str) -> Attachment | None:
        """What was recorded for this container and interface."""
        with self._lock:
            record = self._records.get((container_id, ifname))
        return record.attachment if record else None

    def add(self, attachment: Attachment) -> Before:
        """Record it, on disk first. The same one again changes nothing but its rank: it is the latest."""
        with self._lock:
            before = Before(attachment, self._records.get(_key(attachment)))
            order = 1 + max((record.order for record in self._records.values()), default=0)
            self._put(_Record(order, attachment))
        self._changed()
        return before

    def take_back(self, before: Before) -> None:
        """Undo an `add`: what was recorded in its place is there again, in its old rank."""
        key = _key(before.attachment)
        with self._lock:
            now = self._records.get(key)
            if now is None or now.attachment != before.attachment:
                return  # gone, or replaced by a later one
            if before.record is None:
                self._drop(key)
            else:
                self._put(before.record)
        self._changed()

    def forget(self, container_id: str, ifname: str) -> bool:
        """Drop what was recorded for this container and interface; whether there was anything."""
        with self._lock:
            known = self._drop((container_id, ifname))
        if known:
            self._changed()
        return known

    def forget_container(self, container_id: str) -> bool:
        """Drop every interface of this container; whether there was any."""
        return self._forget_where(lambda key: key[0] == container_id)

    def keep_only(self, valid: Iterable[Key]) -> None:
        """Drop all that the runtime does not know any more (CNI GC)."""
        kept = set(valid)
        self._forget_where(lambda key: key not in kept)

    def write_again(self) -> None:
        """Put all that is known on disk again, where somebody removed the folder."""
        with self._lock:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            for key, record in self._records.items():
                write_whole(self._path(key), _encode(record))

    def _forget_where(self, stale: Callable[[Key], bool]) -> bool:
        with self._lock:
            dropped = [key for key in self._records if stale(key)]
            for key in dropped:
                self._drop(key)
        if dropped:
            self._changed()
        return bool(dropped)

    def _put(self, record: _Record) -> None:
        key = _key(record.attachment)
        write_whole(self._path(key), _encode(record))
        self._records[key] = record

    def _drop(self, key: Key) -> bool:
        self._path(key).unlink(missing_ok=True)
        return self._records.pop(key, None) is not None

    def _path(self, key: Key) -> Path:
        # Neither part can hold a slash: both are checked where they enter (`cni.request`).
        return self._folder / f"{key[0]}.{key[1]}.json"


def _key(attachment: Attachment) -> Key:
    return attachment.container_id, attachment.ifname


def _read_all(folder: Path) -> dict[Key, _Record]:
    records = {}
    for path in sorted(folder.glob("*.json")):
        try:
            record = _decode(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, KeyError, TypeError) as error:
            logger.warning("attachment file is unusable, removed file=%s reason=%s", path, error)
            path.unlink(missing_ok=True)
            continue
        records[_key(record.attachment)] = record
    return records


def _encode(record: _Record) -> str:
    attachment = record.attachment
    return json.dumps(
        {
            "order": record.order,
            "namespace": attachment.pod.namespace,
            "name": attachment.pod.name,
            "container_id": attachment.container_id,
            "netns": attachment.netns,
            "ifname": attachment.ifname,
            "addresses": [str(address) for address in attachment.addresses],
        }
    )


def _decode(text: str) -> _Record:
    raw = json.loads(text)
    attachment = Attachment(
        pod=ObjectRef("Pod", raw["namespace"], raw["name"]),
        container_id=raw["container_id"],
        netns=raw["netns"],
        ifname=raw["ifname"],
        addresses=tuple(ip_address(address) for address in raw["addresses"]),
    )
    return _Record(int(raw["order"]), attachment)
