"""Real labs with the real agent, on a driver in memory: what is tested is the lab itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.lab.objects import Object

REPOSITORY = Path(__file__).parents[2]
NETNS = Path("/run/netns")

DRIVERS = """
from tests.fakes import FakeDriver
class Plain(FakeDriver):
    name = "plain"
class Other(FakeDriver):
    name = "other"
class Failing(FakeDriver):
    name = "failing"
    def start(self):
        from twinway.errors import Unsupported
        raise Unsupported("tcx", "use a kernel of 6.6 or newer")
"""
ENTRY_POINTS = """
[twinway.drivers]
plain = lab_test_drivers:Plain
other = lab_test_drivers:Other
failing = lab_test_drivers:Failing
"""


class Lab:
    """One lab by name, driven by the command alone."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder = name, folder
        packages = folder / "packages"
        info = packages / "lab_test_drivers-1.0.dist-info"
        info.mkdir(parents=True)
        (packages / "lab_test_drivers.py").write_text(DRIVERS)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lab-test-drivers\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(ENTRY_POINTS)
        self.environment = os.environ | {"PYTHONPATH": f"{packages}{os.pathsep}{REPOSITORY}"}

    def command(self, verb: str, *words: str) -> list[str]:
        """The words of one command."""
        program = [sys.executable, "-c", "from twinway.cli.main import main; main()"]
        cut = words.index("--") if "--" in words else len(words)
        return [*program, "lab", verb, *words[:cut], "--name", self.name, *words[cut:]]

    def run(self, verb: str, *words: str) -> subprocess.CompletedProcess[str]:
        """One command, however it ends."""
        command = self.command(verb, *words)
        return subprocess.run(
            command, capture_output=True, text=True, env=self.environment, timeout=90, check=False
        )

    def do(self, verb: str, *words: str) -> str:
        """What a command printed that ended well."""
        done = self.run(verb, *words)
        assert done.returncode == 0, f"{verb} {words}: {done.returncode}: {done.stderr or done.stdout}"
        return done.stdout

    def fail(self, verb: str, *words: str, status: int = 1) -> str:
        """What a command said on stderr that ended with `status`."""
        done = self.run(verb, *words)
        assert done.returncode == status, f"{verb} {words}: {done.returncode}: {done.stderr or done.stdout}"
        assert "Traceback" not in done.stderr
        return done.stderr

    def file(self, *objects: Object) -> str:
        """A file with these objects."""
        path = self.folder / f"{len(list(self.folder.iterdir()))}.json"
        path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))
        return str(path)

    def up(self, *objects: Object, driver: str = "plain", device: str = "veth") -> None:
        """The lab is up with these objects."""
        self.do("up", "-f", self.file(*objects), "--driver", driver, "--pod-device", device)

    def status(self) -> dict[str, Any]:
        """The lab's own account of itself."""
        answer: dict[str, Any] = json.loads(self.do("status", "--json"))
        return answer

    def probe(self, source: str, to: str, *words: str) -> dict[str, Any]:
        """The answer to one probe."""
        answer: dict[str, Any] = json.loads(self.do("probe", "--from", source, "--to", to, *words, "--json"))
        return answer

    def batch(self, *queries: dict[str, Any]) -> list[dict[str, Any]]:
        """The answers to several probes, side by side."""
        path = self.folder / "batch.jsonl"
        path.write_text("".join(json.dumps(query) + "\n" for query in queries))
        answers: list[dict[str, Any]] = json.loads(self.do("probe", "--batch", str(path), "--json"))
        return answers

    def matrix(self) -> list[dict[str, Any]]:
        """The whole matrix."""
        answers: list[dict[str, Any]] = json.loads(self.do("matrix", "--json"))
        return answers

    def traces(self) -> list[str]:
        """All that there is of the lab on this machine."""
        groups = [Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified")]
        mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
        found: Iterable[str] = [
            *(str(path) for path in NETNS.glob(f"twl-{self.name}.*")),
            *(str(group / "twinway-lab" / self.name) for group in groups),
            *(target for target in mounts if f"/{self.name}" in target),
            f"/run/twinway/lab/{self.name}",
            f"/run/twinway/lab/{self.name}.lock",
        ]
        return [*(path for path in found if Path(path).exists()), *self._processes()]

    def _processes(self) -> list[str]:
        words = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue  # it has ended
            if self.name in line and "pytest" not in line:
                words.append(f"process {path.parent.name}: {line}")
        return words
