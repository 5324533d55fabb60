"""The settings of a node, which programs read on every packet and call, and the notices that they write back."""

from __future__ import annotations

from twinway.errors import DriverError
from twinway_bpf.load.maps import Map
from twinway_bpf.tables.layout import Cfg, CfgFlag, Notes

_KEY = bytes(4)


class Settings:
    """tw_cfg, which programs read on every packet and call. Only the agent writes it."""

    def __init__(self, table: Map) -> None:
        self._table = table

    def read(self) -> Cfg:
        """The present settings."""
        return Cfg.from_buffer_copy(_entry(self._table, "tw_cfg"))

    def write(self, **fields: int) -> bool:
        """Set fields. False if they had these values already."""
        cfg = self.read()
        if all(getattr(cfg, name) == value for name, value in fields.items()):
            return False
        for name, value in fields.items():
            setattr(cfg, name, value)
        self._table.write({_KEY: bytes(cfg)})
        return True

    def grow(self, field: str) -> None:
        """Increment a field. Programs that compare it with an earlier reading notice the change."""
        self.write(**{field: (getattr(self.read(), field) + 1) & 0xFFFFFFFF})

    def flag(self, flag: CfgFlag, *, on: bool) -> bool:
        """Set or clear a flag. False if it was so already."""
        flags = self.read().flags & ~flag
        return self.write(flags=flags | (flag if on else 0))


class Notices:
    """tw_notes: notices from the programs to the agent. Only the programs write it."""

    def __init__(self, table: Map) -> None:
        self._table = table

    def read(self) -> Notes:
        """The notices that have been written so far."""
        return Notes.from_buffer_copy(_entry(self._table, "tw_notes"))


def _entry(table: Map, name: str) -> bytes:
    value = table.lookup(_KEY)
    if value is None:
        raise DriverError(f"map {name}: its one entry is missing, which an array cannot lack")
    return value
