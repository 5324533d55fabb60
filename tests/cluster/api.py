"""What a test writes to an API server."""

from __future__ import annotations

import json
import ssl
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

Document = dict[str, Any]

PLACES = {
    "Namespace": ("/api/v1", "namespaces"),
    "Node": ("/api/v1", "nodes"),
    "Service": ("/api/v1", "services"),
    "Pod": ("/api/v1", "pods"),
    "EndpointSlice": ("/apis/discovery.k8s.io/v1", "endpointslices"),
    "NetworkPolicy": ("/apis/networking.k8s.io/v1", "networkpolicies"),
    "CustomResourceDefinition": ("/apis/apiextensions.k8s.io/v1", "customresourcedefinitions"),
}


class Api:
    """One connection to a server."""

    def __init__(self, server: str, authority: Path, token: str) -> None:
        place = urlsplit(server)
        context = ssl.create_default_context(cafile=str(authority))
        assert place.hostname is not None
        self._connection = HTTPSConnection(place.hostname, place.port, context=context, timeout=30)
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def exists(self, place: str) -> bool:
        """Whether the server answers, and has something at this path."""
        try:
            self._connection.request("GET", place, headers=self._headers)
            answer = self._connection.getresponse()
            answer.read()
        except (OSError, HTTPException):
            self._connection.close()
            return False
        return answer.status == 200

    def create(self, document: Document) -> Document:
        """The object as the server made it."""
        return self.request("POST", path(document), document)

    def replace(self, document: Document) -> Document:
        """The object as the server has it now."""
        return self.request("PUT", f"{path(document)}/{document['metadata']['name']}", document)

    def patch(self, document: Document, change: Document, *, part: str = "") -> Document:
        """The object with this merged into it, or into a part of it such as `status`."""
        place = f"{path(document)}/{document['metadata']['name']}" + (f"/{part}" if part else "")
        return self.request("PATCH", place, change, kind="application/merge-patch+json")

    def delete(self, document: Document) -> None:
        """Remove an object at once."""
        self.request("DELETE", f"{path(document)}/{document['metadata']['name']}", {"gracePeriodSeconds": 0})

    def request(self, method: str, place: str, body: Document | None = None, *, kind: str = "") -> Document:
        """The answer; fails with what the server says where it refuses."""
        headers = {**self._headers, **({"Content-Type": kind} if kind else {})}
        self._connection.request(method, place, None if body is None else json.dumps(body), headers)
        answer = self._connection.getresponse()
        document = json.loads(answer.read())
        assert answer.status < 300, f"{method} {place}: {document.get('message')}"
        return document


def path(document: Document) -> str:
    """Where objects of this kind and namespace are."""
    version, plural = PLACES.get(document["kind"], ("", ""))
    if not plural:
        version, plural = f"/apis/{document['apiVersion']}", f"{document['kind'].lower()[:-1]}ies"
    namespace = document["metadata"].get("namespace")
    return f"{version}/namespaces/{namespace}/{plural}" if namespace else f"{version}/{plural}"
