"""Every test here may ADD a pod."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _place(pod_netns: str) -> None:
    """The namespace of the requests' pod is there."""
