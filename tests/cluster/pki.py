"""
Keys, certificates and tokens of a control plane.

What the server takes when it is started next is renewed at once; a client that reads the kubeconfig
sees it after `publish`.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from twinway_testing.kube.pki import openssl, write_kubeconfig


class Pki:
    """A folder with an authority, the server's certificate, tokens and a kubeconfig."""

    def __init__(self, folder: Path, server: str) -> None:
        self.folder = folder
        self.server = server
        self.authority = folder / "ca.crt"
        folder.mkdir(parents=True)
        self._openssl("genrsa", "-out", "sa.key", "2048")
        self.renew_authority("first")
        self.renew_token("first-token")
        self.publish()
        user = {"tokenFile": str(folder / "client-token")}
        write_kubeconfig(self.kubeconfig, server, folder / "client-ca.crt", user)

    @property
    def kubeconfig(self) -> Path:
        """A kubeconfig that names the authority and the token by their files."""
        return self.folder / "kubeconfig"

    def publish(self) -> None:
        """Let the client see the newest authority and token."""
        shutil.copy(self.authority, self.folder / "client-ca.crt")
        (self.folder / "client-token").write_text(self.token)

    def renew_token(self, token: str) -> None:
        """Have another token, the only one that counts."""
        self.token = token
        (self.folder / "tokens.csv").write_text(f'{token},admin,admin,"system:masters"\n')

    def renew_authority(self, name: str) -> None:
        """Have another authority, and a certificate of the server by it."""
        subject = ("-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj")
        self._openssl("req", "-x509", *subject, f"/CN={name}", "-keyout", "ca.key", "-out", "ca.crt")
        extensions = ("-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE")
        signed = ("-CA", "ca.crt", "-CAkey", "ca.key")
        self._openssl(
            "req", "-x509", *signed, *subject, "/CN=api", *extensions, "-keyout", "api.key", "-out", "api.crt"
        )

    def _openssl(self, *words: str) -> None:
        openssl(self.folder, *words)
