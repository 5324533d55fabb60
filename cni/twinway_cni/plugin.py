"""Where the CNI plugin's binary is."""

from __future__ import annotations

from pathlib import Path

from twinway.errors import TwinwayError

_BUILT = Path(__file__).with_name("build") / "twinway"


def plugin_path() -> Path:
    """The static binary that a runtime calls as `twinway`; raises `TwinwayError` if it is not built."""
    if not _BUILT.is_file():
        raise TwinwayError(f"CNI plugin: {_BUILT} is not built: run `make -C cni/plugin`")
    return _BUILT
