"""Which files a list of paths means."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from twinway.errors import ManifestError

SUFFIXES = frozenset({".yaml", ".yml", ".json"})


@dataclass(frozen=True, slots=True)
class Listing:
    """Files to read, in order, and the folders in which files may come and go."""

    files: tuple[Path, ...]
    folders: tuple[Path, ...]


def listing(paths: Iterable[Path]) -> Listing:
    """
    The files that `paths` mean: files themselves, folders with all below them, each file once.

    In folders only `*.yaml`, `*.yml` and `*.json` count, and nothing whose name begins with a dot;
    they are in the order of their names. Raises `ManifestError` for a path that is not there.
    """
    files: dict[Path, None] = {}
    folders: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            _walk(path, files, folders, set())
        elif path.exists():
            files[path] = None
        else:
            raise ManifestError(f"{path}: no such file or folder")
    return Listing(tuple(files), tuple(folders))


def _walk(folder: Path, files: dict[Path, None], folders: dict[Path, None], seen: set[tuple[int, int]]) -> None:
    status = folder.stat()
    if (status.st_dev, status.st_ino) in seen:
        return  # a symbolic link back to where we are
    seen.add((status.st_dev, status.st_ino))
    folders[folder] = None
    for path in sorted(_visible(folder)):
        if path.suffix in SUFFIXES and path.is_file():
            files[path] = None
        elif path.is_dir():
            _walk(path, files, folders, seen)


def _visible(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if not path.name.startswith("."))
