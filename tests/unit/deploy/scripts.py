"""The scripts of `deploy/`, which no distribution has, as modules."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

DEPLOY = Path(__file__).parents[3] / "deploy"


def script(place: str) -> ModuleType:
    """The module at `place` below `deploy/`."""
    name = f"deploy_{Path(place).stem}"
    spec = spec_from_file_location(name, DEPLOY / place)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
