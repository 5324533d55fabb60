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

    files: dict[Path, None]
    """Files to read, in order, each once."""
    folders: dict[Path, None]
    """Where files may come and go: whoever watches these misses nothing."""
    missing: dict[Path, str]
    """Paths, and folders below them, that cannot be listed, each with the reason."""


def listing(paths: Iterable[Path]) -> Listing:
    """
    The files that `paths` mean: files themselves, and folders with all below them.

    In folders only `*.yaml`, `*.yml` and `*.json` count, and nothing whose name begins with a dot;
    they are in the order of their names.
    """
    found = Listing({}, {}, {})
    for path in paths:
        if path.is_dir():
            _walk(path, found, set())
            continue
        found.folders[path.parent] = None
        if path.exists():
            found.files[path] = None
        else:
            found.missing[path] = "no such file or folder"
    return found


def files_in(paths: Iterable[Path]) -> tuple[Path, ...]:
    """The files that `paths` mean; raises `ManifestError` where one of them cannot be listed."""
    found = listing(paths)
    for path, reason in found.missing.items():
        raise ManifestError(f"{path}: {reason}")
    return tuple(found.files)


def _walk(folder: Path, found: Listing, seen: set[tuple[int, int]]) -> None:
    try:
        status = folder.stat()
        with os.scandir(folder) as entries:
            visible = sorted((each for each in entries if not is_hidden(each.name)), key=lambda each: each.name)
    except FileNotFoundError:
        return  # gone since it was listed
    except OSError as error:
        found.missing[folder] = str(error.strerror)
        return
    if (status.st_dev, status.st_ino) in seen:
        return  # a symbolic link back to where we are
    seen.add((status.st_dev, status.st_ino))
    found.folders[folder] = None
    for entry in visible:
        path = folder / entry.name
        try:
            if entry.is_dir():
                _walk(path, found, seen)
            elif entry.name.endswith(SUFFIXES) and (entry.is_file() or not path.exists()):
                # A link that leads nowhere is a file that cannot be read, not one that is not there.
                found.files[path] = None
        except OSError as error:  # a link to itself
            found.missing[path] = str(error.strerror)


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is passed over in folders."""
    return name.startswith(".")
