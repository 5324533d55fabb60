"""Guests that run at the same time, one for each kernel. Each runs every case of the smoke test."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twinway_testing.machines.fetch import Unpacked
from twinway_testing.machines.table import HarnessError
from twinway_testing.machines.vm import Finished, boot, with_bundles

BOOT_SECONDS, START_SECONDS, CASE_SECONDS = 120, 240, 400


@dataclass(frozen=True, slots=True)
class Case:
    """One driver on one device under one kernel, with the results that its guest wrote."""

    kernel: str
    driver: str
    device: str
    checks: tuple[dict[str, Any], ...]
    seconds: dict[str, float]

    @property
    def faults(self) -> list[str]:
        """One line for each check that failed."""
        return [f"{_title(check)}: {check['fault']}" for check in self.checks if check["fault"] is not None]

    def count(self, family: int | None) -> tuple[int, int]:
        """The number of passed checks of a family, and of all of them. None means those without a family."""
        mine = [check for check in self.checks if check["family"] == family]
        return sum(check["fault"] is None for check in mine), len(mine)


def _title(check: dict[str, Any]) -> str:
    return f"{check['name']}, IPv{check['family']}" if check["family"] else str(check["name"])


class Fleet:
    """The guests of a run. As many run at a time as there are processors."""

    def __init__(self, folder: Path, words: Sequence[str]) -> None:
        """`words` has the cases, as DRIVER/DEVICE."""
        self._folder = folder
        self._words = words
        self._pool = ThreadPoolExecutor(max_workers=os.cpu_count())
        self._guests: dict[str, Future[Finished]] = {}
        self.cases: list[Case] = []
        """The cases whose results were read."""

    @property
    def kernels(self) -> list[str]:
        """The names of the kernels in the order in which their guests were started."""
        return list(self._guests)

    def start(self, kernel: str, unpacked: Callable[[str], Unpacked], bundles: Path) -> None:
        """Run the guest of a kernel as soon as a processor is free."""
        command = [
            *with_bundles(bundles),
            *(".venv/bin/python", "-m", "tests.kernels.guest.smoke"),
            "/run/shared/results",
        ]

        def run() -> Finished:
            return boot(
                unpacked(kernel),
                [*command, *self._words],
                folder=self._folder / kernel,
                timeout=BOOT_SECONDS + START_SECONDS + CASE_SECONDS * len(self._words),
            )

        self._guests[kernel] = self._pool.submit(run)

    def result(self, kernel: str, driver: str, device: str) -> Case:
        """
        The result of a case. Waits until its guest has ended.

        A result that a guest wrote before it failed counts. Raises `GuestFailure` if there is none.
        """
        error = self._guests[kernel].exception()
        file = self._folder / kernel / "shared/results" / f"{driver}-{device}.json"
        if not file.is_file():
            raise error or HarnessError(f"kernel {kernel}: {self.output(kernel)}")
        document = json.loads(file.read_text())
        case = Case(kernel, driver, device, tuple(document["checks"]), document["seconds"])
        self.cases.append(case)
        return case

    def guest(self, kernel: str) -> Finished | None:
        """The guest of a kernel, or None if it has not ended, or failed."""
        future = self._guests.get(kernel)
        return future.result() if future and future.done() and not future.exception() else None

    def output(self, kernel: str) -> str:
        """The output of a kernel's guest. Raises `GuestFailure` if the guest failed."""
        return self._guests[kernel].result().output

    def features(self, kernel: str) -> list[dict[str, Any]]:
        """The output of `twinway check` in the guest, by driver; empty if there is none."""
        file = self._folder / kernel / "shared/results/check.json"
        return list(json.loads(file.read_text())["drivers"]) if file.is_file() else []

    def starts(self, kernel: str) -> dict[str, dict[str, dict[str, float]]]:
        """
        Seconds that agents took to start in the guest, by driver and by first or second start.

        Waits until the guest has ended. Empty if it wrote none.
        """
        self._guests[kernel].exception()
        file = self._folder / kernel / "shared/results/agents.json"
        text = file.read_text() if file.is_file() else ""
        return dict(json.loads(text)) if text else {}

    def close(self) -> None:
        """Start no more guests, and wait for those that run."""
        self._pool.shutdown(cancel_futures=True)
