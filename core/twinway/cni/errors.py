"""
Errors as the CNI specification numbers them.

Source: containernetworking/cni SPEC.md, "Error"; STATUS codes 50 and 51 since 1.1.0.
"""

from __future__ import annotations

from enum import IntEnum

from twinway.errors import TwinwayError


class Code(IntEnum):
    """Well-known error codes."""

    INCOMPATIBLE_VERSION = 1
    UNKNOWN_CONTAINER = 3
    INVALID_ENVIRONMENT = 4
    IO_FAILURE = 5
    DECODING_FAILURE = 6
    INVALID_CONFIG = 7
    TRY_AGAIN_LATER = 11
    NOT_AVAILABLE = 50
    LIMITED_CONNECTIVITY = 51


class CniError(TwinwayError):
    """A request that is refused: `str()` says what and what to do, `code` is the specification's."""

    def __init__(self, code: Code, message: str, details: str = "") -> None:
        """`details` may say more than one line."""
        super().__init__(message)
        self.code = code
        self.details = details

    def to_json(self, version: str) -> dict[str, object]:
        """The error result, in the CNI version that was asked in."""
        result: dict[str, object] = {"cniVersion": version, "code": int(self.code), "msg": str(self)}
        return {**result, "details": self.details} if self.details else result
