"""Which files a list of paths means."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from twinway.errors import ManifestError

SUFFIXES = (".yaml", ".yml", ".json")


@dataclass(frozen=True, slots=True)
class Listing:
    """What paths mean at one moment."""

    files: tuple[Path, ...]
    """Files to read, in order, each once."""
    folders: tuple[Path, ...]
    """Where files may come and go: whoever watches these misses nothing."""
    missing: tuple[Path, ...]
    """Paths at which there is nothing."""


def listing(paths: Iterable[Path]) -> Listing:
    """
    The files that `paths` mean: files themselves, and folders with all below them.

    In folders only `*.yaml`, `*.yml` and `*.json` count, and nothing whose name begins with a dot;
    they are in the order of their names. Raises `ManifestError` for a folder that cannot be listed.
    """
    try:
        return _listing(paths)
    except OSError as error:
        raise ManifestError(f"{error.filename}: {error.strerror}") from error


def files_in(paths: Iterable[Path]) -> tuple[Path, ...]:
    """The files that `paths` mean; raises `ManifestError` where one of them is not there."""
    found = listing(paths)
    refuse_missing(found)
    return found.files


def refuse_missing(found: Listing) -> None:
    """Raise `ManifestError` for a path at which there is nothing."""
    if found.missing:
        raise ManifestError(f"{found.missing[0]}: no such file or folder")


def _listing(paths: Iterable[Path]) -> Listing:
    files: dict[Path, None] = {}
    folders: dict[Path, None] = {}
    missing: list[Path] = []
    for path in paths:
        if path.is_dir():
            _walk(path, files, folders, set())
            continue
        folders[path.parent] = None
        if path.exists():
            files[path] = None
        else:
            missing.append(path)
    return Listing(tuple(files), tuple(folders), tuple(missing))


def _walk(folder: Path, files: dict[Path, None], folders: dict[Path, None], seen: set[tuple[int, int]]) -> None:
    try:
        status = folder.stat()
        with os.scandir(folder) as entries:
            visible = sorted((each for each in entries if not is_hidden(each.name)), key=lambda each: each.name)
    except FileNotFoundError:
        return  # gone since it was listed
    if (status.st_dev, status.st_ino) in seen:
        return  # a symbolic link back to where we are
    seen.add((status.st_dev, status.st_ino))
    folders[folder] = None
    for entry in visible:
        if entry.is_dir():
            _walk(folder / entry.name, files, folders, seen)
        elif entry.name.endswith(SUFFIXES) and (entry.is_file() or not (folder / entry.name).exists()):
            # A link that leads nowhere is a file that cannot be read, not one that is not there.
            files[folder / entry.name] = None


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is passed over in folders."""
    return name.startswith(".")
