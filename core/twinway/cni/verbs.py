"""
What each CNI verb does: pods come and go here, and ADD returns when a pod is safe to run.

Source: containernetworking/cni SPEC.md 1.1.0, "CNI operations".
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from twinway.attachments import Attachments
from twinway.cni.errors import CniError, Code
from twinway.cni.netns import refuse_wrong_place
from twinway.cni.request import VERSIONS, NetworkConfig, Request, attachment
from twinway.files import remedy
from twinway.model.node import DENY_ALL, Attachment
from twinway.status import Board, Status

logger = logging.getLogger(__name__)


Verb = Callable[[Request, NetworkConfig], Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the plugin does: its exit status, and what it prints on stdout."""

    status: int
    stdout: str = ""


class Verbs:
    """The verbs, over the registry of attachments and the agent's status."""

    def __init__(self, attachments: Attachments, board: Board, *, wait_seconds: float) -> None:
        """ADD waits at most `wait_seconds` for the pod's state to be in force."""
        self._attachments = attachments
        self._board = board
        self.wait_seconds = wait_seconds
        """How long an ADD waits from now on."""
        self._verbs: dict[str, Verb] = {
            "ADD": self._add,
            "CHECK": self._check,
            "GC": self._collect,
            "STATUS": self._status,
        }

    def answer(self, message: bytes) -> Answer:
        """The answer to one message of the plugin; a refusal is an answer, too."""
        try:
            request = Request.parse(message)
        except CniError as error:
            return _refusal(error, VERSIONS[-1])
        if request.verb == "DEL":
            return self._delete(request)
        try:
            result = self._verb(request.verb)(request, NetworkConfig.parse(request.stdin, request.verb))
        except CniError as error:
            return _refusal(error, _version_of(request.stdin))
        except OSError as error:
            return _refusal(_unwritable(error), _version_of(request.stdin))
        return Answer(0, json.dumps(result) if result is not None else "")

    def _verb(self, name: str) -> Verb:
        if name not in self._verbs:
            raise CniError(Code.INVALID_ENVIRONMENT, f"CNI_COMMAND: {name!r} is unknown")
        return self._verbs[name]

    def _add(self, request: Request, config: NetworkConfig) -> dict[str, Any]:
        added = attachment(request, config)
        refuse_wrong_place(added.netns, added.ifname)
        before = self._attachments.add(added)
        held, status = self._board.wait(lambda status: _in_force(added, status), self.wait_seconds)
        if not held:
            self._attachments.take_back(before)
            raise _not_in_force(added, status, self.wait_seconds)
        logger.info("pod attached pod=%s/%s container=%s", added.pod.namespace, added.pod.name, added.container_id)
        return {"cniVersion": config.version, **config.chained()}

    def _check(self, request: Request, config: NetworkConfig) -> None:
        known = self._attachments.get(request.container_id, request.ifname)
        if known is None:
            raise CniError(
                Code.UNKNOWN_CONTAINER,
                f"container {request.container_id}: {request.ifname} was never added: recreate the pod",
            )
        if known != attachment(request, config):
            raise CniError(
                Code.INVALID_CONFIG,
                f"container {request.container_id}: pod, namespace or addresses are not those of its ADD",
            )
        refuse_wrong_place(known.netns, known.ifname)
        if not _in_force(known, self._board.status):
            raise _not_in_force(known, self._board.status, 0)

    def _delete(self, request: Request) -> Answer:
        # Whatever is wrong with the request, a pod must be able to go: never anything but success.
        try:
            known = self._attachments.forget(request.container_id, request.ifname)
        except (CniError, OSError) as error:
            logger.warning("detached as far as possible reason=%r", str(error))
        else:
            logger.info("pod detached container=%s known=%s", request.container_id, known)
        return Answer(0)

    def _collect(self, _request: Request, config: NetworkConfig) -> None:
        self._attachments.keep_only(config.valid_attachments())

    def _status(self, _request: Request, _config: NetworkConfig) -> None:
        status = self._board.status
        if status.state is None or status.error:
            reason = status.error or "no state is in force yet"
            raise CniError(Code.NOT_AVAILABLE, f"pods cannot be added now: {reason}")
        if not status.health.ok:
            raise CniError(Code.LIMITED_CONNECTIVITY, f"traffic does not go through: {status.health.detail}")


def _unwritable(error: OSError) -> CniError:
    return CniError(Code.IO_FAILURE, f"run_dir: {error.filename}: {error.strerror}: {remedy(error)}")


def _refusal(error: CniError, version: str) -> Answer:
    logger.warning("request refused code=%d reason=%r", error.code, str(error))
    return Answer(1, json.dumps(error.to_json(version)))


def _in_force(wanted: Attachment, status: Status) -> bool:
    endpoint = status.state.endpoints.get(wanted.pod) if status.state else None
    if endpoint is None or endpoint.policy == DENY_ALL:
        return False
    return status.complete and endpoint.attachment == wanted


def _not_in_force(wanted: Attachment, status: Status, seconds: float) -> CniError:
    reason = status.fault or (
        "the cluster's objects are not complete yet"
        if not status.complete
        else "the source of cluster objects does not know it yet"
    )
    return CniError(
        Code.TRY_AGAIN_LATER,
        f"pod {wanted.pod.namespace}/{wanted.pod.name}: not in force after {seconds:g} s: {reason}",
    )


def _version_of(stdin: bytes) -> str:
    # The version to answer in, also where the rest of the config is refused.
    try:
        version = json.loads(stdin)["cniVersion"]
    except (ValueError, RecursionError, KeyError, TypeError):
        return VERSIONS[-1]
    return version if version in VERSIONS else VERSIONS[-1]
