"""Follow every link from one page of the repository to a file, and every heading it names."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def broken(page: Path) -> list[str]:
    """One line for each link of `page` that leads nowhere; links to other sites are not followed."""
    found = []
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        for link in LINK.findall(line):
            if "://" not in link and (reason := _fault(page, link)):
                found.append(f"{page}:{number}: {link}: {reason}")
    return found


def _fault(page: Path, link: str) -> str:
    path, _, heading = link.partition("#")
    target = page.parent / path if path else page
    if not target.exists():
        return "no such file"
    if heading and heading not in _headings(target):
        return f"no heading of that name in {target}"
    return ""


def _headings(page: Path) -> set[str]:
    titles = re.findall(r"^#+ +(.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def main() -> int:
    """Check every page that git knows."""
    names = subprocess.run(["git", "ls-files", "-z", "*.md"], capture_output=True, text=True, check=True).stdout
    faults = [fault for name in names.split("\0") if name for fault in broken(Path(name))]
    sys.stdout.writelines(f"{fault}\n" for fault in faults)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
