"""What the packet programs do with the frame by which tc's health sees that they run."""

from __future__ import annotations

import pytest

from tests.packets.probes import PROBE, probe_frame
from tests.packets.rig import REDIRECT, SHOT, UNSPEC
from tests.packets.scene import Scene
from twinway_bpf.load import programs
from twinway_bpf.tables.layout import Reason

OUT_AND_IN = [
    pytest.param("hosta", programs.HOST_TO, programs.HOST_FROM, id="host side"),
    pytest.param("eth0", programs.POD_OUT, programs.POD_IN, id="in the pod"),
]


@pytest.mark.parametrize(("at", "leaves", "enters"), OUT_AND_IN)
def test_meets_both_programs(scene: Scene, at: str, leaves: programs.Program, enters: programs.Program) -> None:
    """The program at the egress sends the frame back in, where the other one drops it and counts it."""
    scene.tables.settings.write(probe=PROBE)
    sent = scene.rig.run(leaves, probe_frame(PROBE), at)
    assert (sent.reason, sent.action) == (Reason.PASS_REDIRECTED, REDIRECT)
    back = scene.rig.run(enters, probe_frame(PROBE), at)
    assert (back.reason, back.action) == (Reason.DROP_PROBE, SHOT)


@pytest.mark.parametrize("expected", [0, PROBE])
@pytest.mark.parametrize(("at", "leaves", "enters"), OUT_AND_IN)
def test_of_anybody_else(
    scene: Scene, at: str, leaves: programs.Program, enters: programs.Program, expected: int
) -> None:
    """A frame with another number, or while none is awaited, is one that is not IP."""
    scene.tables.settings.write(probe=expected)
    for program in (leaves, enters):
        for frame in (probe_frame(PROBE + 1), probe_frame(0), probe_frame(PROBE)[:16]):
            other = scene.rig.run(program, frame, at)
            assert (other.reason, other.action) == (Reason.PASS_NOT_IP, UNSPEC)
