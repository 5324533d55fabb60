"""etcd and kube-apiserver as processes of a test, on loopback of the network namespace that the test is in."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from urllib.request import urlopen

from tests.cluster.api import Api, Document
from tests.cluster.pki import Pki
from twinway_testing.kube.binaries import api_server

READY_SECONDS = 90.0
OWN_OBJECTS = (
    *(f"/api/v1/namespaces/{name}" for name in ("default", "kube-node-lease", "kube-public", "kube-system")),
    "/api/v1/namespaces/default/services/kubernetes",
)
"""What every API server creates by itself, at some time around its first `ok`."""


class ControlPlane:
    """An API server and its storage; everything is in `folder`."""

    def __init__(self, folder: Path, etcd: str, *words: str, authorization: str = "AlwaysAllow") -> None:
        """`words` are further options of the API server."""
        self.folder = folder
        self._words = words
        self._authorization = authorization
        self._etcd_program = etcd
        self._etcd_port, self._peer_port, self._port = _free_port(), _free_port(), _free_port()
        self.pki = Pki(folder / "pki", f"https://127.0.0.1:{self._port}")
        self.etcd: subprocess.Popen[bytes] | None = None
        self.server: subprocess.Popen[bytes] | None = None

    @property
    def api(self) -> Api:
        """A client of the test's own."""
        return Api(self.pki.server, self.pki.authority, self.pki.token)

    def start(self) -> None:
        """Start both and return when the API server is ready."""
        self.start_etcd()
        self.start_server()

    def start_etcd(self) -> None:
        """Start the storage, with the data that is in its folder."""
        client, peer = (f"http://127.0.0.1:{port}" for port in (self._etcd_port, self._peer_port))
        self.etcd = self._spawn(
            "etcd",
            [
                self._etcd_program,
                f"--data-dir={self.folder / 'etcd'}",
                f"--listen-client-urls={client}",
                f"--advertise-client-urls={client}",
                f"--listen-peer-urls={peer}",
                f"--initial-advertise-peer-urls={peer}",
                f"--initial-cluster=default={peer}",
                "--unsafe-no-fsync",
                "--log-level=error",
            ],
        )

    def start_server(self) -> None:
        """Start the API server and return when it is ready and has created its own objects."""
        pki = self.pki.folder
        self.server = self._spawn(
            "kube-apiserver",
            [
                str(api_server()),
                f"--etcd-servers=http://127.0.0.1:{self._etcd_port}",
                "--bind-address=127.0.0.1",
                f"--secure-port={self._port}",
                "--advertise-address=10.0.0.1",
                "--service-cluster-ip-range=10.96.0.0/16",
                f"--tls-cert-file={pki / 'api.crt'}",
                f"--tls-private-key-file={pki / 'api.key'}",
                f"--token-auth-file={pki / 'tokens.csv'}",
                "--service-account-issuer=https://kubernetes.default.svc",
                f"--service-account-key-file={pki / 'sa.key'}",
                f"--service-account-signing-key-file={pki / 'sa.key'}",
                f"--authorization-mode={self._authorization}",
                "--disable-admission-plugins=ServiceAccount",
                "--endpoint-reconciler-type=none",
                "--etcd-compaction-interval=0",
                "--v=1",
                *self._words,
            ],
        )
        self._await_ready()

    def end_server(self, number: int = signal.SIGKILL) -> None:
        """End the API server by a signal."""
        _end(self.server, number)
        self.server = None

    def signal_server(self, number: int) -> None:
        """Send the API server a signal, and do not wait for its end."""
        assert self.server is not None
        self.server.send_signal(number)

    def forget(self) -> None:
        """End both and remove all data: what is started next is another cluster."""
        self.stop()
        shutil.rmtree(self.folder / "etcd")

    def compact(self) -> None:
        """Remove all history from the storage."""
        revision = self._etcd("maintenance/status", {})["header"]["revision"]
        self._etcd("kv/compaction", {"revision": revision, "physical": True})

    def stop(self) -> None:
        """End both; safe to repeat."""
        _end(self.server, signal.SIGKILL)
        _end(self.etcd, signal.SIGKILL)
        self.server = self.etcd = None

    def _etcd(self, method: str, question: Document) -> Document:
        address = f"http://127.0.0.1:{self._etcd_port}/v3/{method}"
        with urlopen(address, json.dumps(question).encode(), timeout=30) as answer:
            return json.load(answer)

    def _spawn(self, name: str, words: list[str]) -> subprocess.Popen[bytes]:
        # The processes end with the test's, however that ends.
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *words], stdout=log, stderr=log)

    def _await_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        # Its own objects are created after it says `ok`: a test that counts snapshots must not meet them.
        api = self.api
        while not all(map(api.exists, ("/readyz", *OWN_OBJECTS))):
            for process, name in ((self.server, "kube-apiserver"), (self.etcd, "etcd")):
                if process is None or process.poll() is not None or time.monotonic() > deadline:
                    log = (self.folder / f"{name}.log").read_text()[-3000:]
                    raise AssertionError(f"{name} is not there:\n{log}")
            time.sleep(0.1)


def _end(process: subprocess.Popen[bytes] | None, number: int) -> None:
    if process is None:
        return
    process.send_signal(number)
    process.send_signal(signal.SIGCONT)
    process.wait(60)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
