"""The error of objects that cannot have a place in a lab, by object and field."""

from __future__ import annotations

from twinway.errors import ManifestError
from twinway.model.net import ObjectRef, Rejected


class Refused(ManifestError):  # noqa: N818 (a state of the object, as `Rejected` is)
    """An object that cannot have a place in this lab."""

    def __init__(self, ref: ObjectRef, field: str, reason: str) -> None:
        """The three parts of a `Rejected`."""
        self.rejected = Rejected(ref, field, reason)
        super().__init__(str(self.rejected))
