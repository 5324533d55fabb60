"""
Errors that people read: what, which object, what to do, in one line.

    TwinwayError
    ├── ConfigError        the node's config: unknown key, bad value, unknown driver
    ├── ManifestError      a manifest: file, document, object, field
    ├── SourceError        where objects come from is out of reach
    ├── LabError           the lab cannot do what was asked
    └── DriverError        the kernel, or a driver
        ├── LoadError      a program the verifier or compiler refused (`.log` has the whole story)
        ├── MapError       a map operation that failed: full, other shape, gone
        └── Unsupported    this node lacks something the driver cannot do without
"""

from __future__ import annotations


class TwinwayError(Exception):
    """Base of all; `str()` is one line for people."""


class ConfigError(TwinwayError):
    """The node's config cannot be used."""


class ManifestError(TwinwayError):
    """A manifest cannot be read at all (a bad object in a good file is a `Rejected` instead)."""


class SourceError(TwinwayError):
    """The source of cluster objects is out of reach; what is known stays in force."""


class LabError(TwinwayError):
    """The lab cannot do what was asked."""


class DriverError(TwinwayError):
    """A driver cannot do what the state asks; what is in the kernel stays in force."""


class LoadError(DriverError):
    """A program was refused. `log` holds the compiler's or verifier's own words."""

    def __init__(self, program: str, reason: str, log: str = "") -> None:
        """`reason` is one line; `log` may be long."""
        super().__init__(f"program {program}: {reason}")
        self.program = program
        self.log = log


class MapError(DriverError):
    """An operation on a BPF map failed."""

    def __init__(self, table: str, operation: str, reason: str, errno: int = 0) -> None:
        """`reason` says what to do, too."""
        super().__init__(f"map {table}: {operation}: {reason}")
        self.table = table
        self.errno = errno


class Unsupported(DriverError):  # noqa: N818 (a state of the node, not a mistake)
    """A must-have is missing on this node."""

    def __init__(self, feature: str, remedy: str) -> None:
        """`remedy` says what would provide it."""
        super().__init__(f"{feature} is missing: {remedy}")
        self.feature = feature
        self.remedy = remedy
