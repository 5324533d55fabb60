"""
`make demo`: a shop on two nodes, served by one driver, then by the other, under traffic.

    python -m twinway_lab.demo [PATH]       PATH: the shop's manifests, examples/shop by default

Everything is done by the command `twinway lab`, and shown as it is done. Ends with status 1 where
something was not as it should be.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from twinway_lab import cleanup

REQUESTS = 60
DRIVERS = ("tc", "sockops", "tc")
_PROGRAM = "from twinway.cli.main import main; main()"

# Who asks, whom, by what, and who must be among those that answer.
WEB = tuple(f"shop/web-{number}" for number in range(3))
PAIRS = {name: tuple(f"shop/{name}-{number}" for number in range(2)) for name in ("api", "cache", "names")}
ASKED = (
    ("shop/visitor", "web.shop:80", "tcp", WEB),
    ("shop/visitor", "[{web6}]:80", "tcp", WEB),
    ("node/n2", "web.shop:80", "tcp", WEB),
    ("shop/web-0", "api.shop:80", "tcp", PAIRS["api"]),
    ("shop/api-1", "cache.shop:6379", "tcp", PAIRS["cache"]),
    ("shop/web-1", "names.shop:53", "udp", PAIRS["names"]),
    ("shop/cache-0", "names.shop:53", "tcp", PAIRS["names"]),
)


@dataclass
class Demo:
    """The show: what is printed, and what was not as it should be."""

    shop: str
    name: str = field(default_factory=lambda: f"demo-{os.getpid()}")
    console: Console = field(default_factory=Console)
    wrong: list[str] = field(default_factory=list)

    def run(self) -> int:
        """All of it; the exit status."""
        begun = time.monotonic()
        try:
            self.lab("up", "-f", self.shop, "--driver", DRIVERS[0])
            self.show_answers(DRIVERS[0])
            with self.traffic() as client:
                for driver in DRIVERS[1:]:
                    self.lab("driver", driver)
                    self.show_answers(driver)
            self.show_traffic(client)
        except DemoFailed as error:
            self.wrong.append(str(error))
        finally:
            self.lab("down")
        if self.name in cleanup.names():
            self.wrong.append("`lab down` left something behind")
        took = time.monotonic() - begun
        for line in self.wrong:
            self.say(f"not as it should be: {line}", style="red")
        verdict, style = ("failed", "red") if self.wrong else ("all as it should be", "green")
        self.say(f"\n{verdict}, in {took:.0f} s; the lab is gone", style=style)
        return 1 if self.wrong else 0

    def say(self, line: str, style: str = "") -> None:
        """One line, printed as it is."""
        self.console.print(line, style=style, highlight=False, markup=False)

    def command(self, verb: str, *words: str) -> list[str]:
        """The words of one command of this lab, for the interpreter that runs the demo."""
        cut = words.index("--") if "--" in words else len(words)
        mine = ("--name", self.name)
        return [sys.executable, "-P", "-c", _PROGRAM, "lab", verb, *words[:cut], *mine, *words[cut:]]

    def lab(self, verb: str, *words: str) -> str:
        """One command, shown and done; raises `DemoFailed` where it does not end well."""
        if verb != "probe":
            self.say(f"\n$ twinway lab {' '.join((verb, *words))}", style="bold")
        done = subprocess.run(self.command(verb, *words), capture_output=True, text=True, check=False)
        if done.returncode:
            raise DemoFailed(f"`twinway lab {verb}`: {(done.stderr or done.stdout).strip()}")
        if verb == "up":
            self.say(done.stdout.strip())
        return done.stdout

    def show_answers(self, driver: str) -> None:
        """A table of who answered, each asked many times, and a remark where somebody did not."""
        title = f"{REQUESTS} requests each, driver {driver}"
        table = Table("asked from", "Service", "by", "answered by", title=title)
        for source, target, protocol, due in ASKED:
            to = target.format(web6=self.addresses("web")[-1]) if "{" in target else target
            answers = self.probe(source, to, protocol)
            met = Counter(answer["backend"] for answer in answers if answer["outcome"] == "connected")
            shown = ", ".join(f"{name.removeprefix('shop/')} {number}×" for name, number in sorted(met.items()))
            table.add_row(source, Text(to), protocol, shown)
            if sum(met.values()) != REQUESTS or set(met) != set(due):
                self.wrong.append(f"{driver}: {source} to {to} by {protocol}: answered by {shown or 'nobody'}")
        self.console.print(table)

    def probe(self, source: str, to: str, protocol: str) -> list[dict[str, Any]]:
        """The answers to many requests."""
        words = ("--from", source, "--to", to, "--protocol", protocol, "--count", str(REQUESTS), "--json")
        answers: list[dict[str, Any]] = json.loads(self.lab("probe", *words))
        return answers

    def addresses(self, service: str) -> list[str]:
        """The cluster IPs of a Service of the shop."""
        done = subprocess.run(self.command("status", "--json"), capture_output=True, text=True, check=True)
        (found,) = (each for each in json.loads(done.stdout)["services"] if each["service"] == f"shop/{service}")
        return list(found["addresses"])

    @contextmanager
    def traffic(self) -> Iterator[subprocess.Popen[str]]:
        """Steady traffic from the visitor, from here to the end of the block."""
        web, names = self.addresses("web")[0], self.addresses("names")[0]
        program = (sys.executable, "-P", "-m", "twinway_lab.probe.traffic", web, "80", names, "53")
        self.say(f"\nsteady traffic from shop/visitor to {web}:80 and {names}:53 begins")
        command = self.command("exec", "shop/visitor", "--", *program)
        client = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            yield client
        finally:
            client.terminate()

    def show_traffic(self, client: subprocess.Popen[str]) -> None:
        """What the drivers' changes did to the traffic: nothing, or a remark."""
        said, _ = client.communicate(timeout=30)
        changes = " → ".join(DRIVERS)
        table = Table("steady traffic", "answered", "failed", "slowest", "answered by", title=changes)
        counts = json.loads(said) if said else {}
        for kind, count in counts.items():
            met = ", ".join(sorted(name.removeprefix("shop/") for name in count["backends"]))
            slowest = f"{count['slowest_ms']:.0f} ms"
            table.add_row(kind, f"{count['answered']}", f"{len(count['failed'])}", slowest, met)
            if count["failed"] or not count["answered"]:
                self.wrong.append(f"{kind}: {len(count['failed'])} failed: {', '.join(count['failed'][:3])}")
        if not counts:
            self.wrong.append("the steady traffic ended without a word")
        self.console.print(table)


class DemoFailed(Exception):  # noqa: N818 (what happened, not a mistake)
    """A command of the demo failed; going on makes no sense."""


def main() -> None:
    """Run with the command's words."""
    shop = sys.argv[1] if len(sys.argv) > 1 else "examples/shop"
    if not Path(shop).exists():
        sys.exit(f"error: {shop}: no such folder: run this from the top of the repository")
    sys.exit(Demo(shop).run())


if __name__ == "__main__":
    main()
