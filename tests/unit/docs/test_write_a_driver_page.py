"""The page on writing a driver says what the example is, and leads to a driver that runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "write-a-driver.md").read_text()
EXAMPLE = ROOT / "examples" / "driver-noop"
FILES = re.findall(r"^`(driver-noop/\S+)`:\n\n```\w+\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
COMMANDS = re.findall(r"^```sh\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
WRAPPERS = {
    "twinway": "-c 'from twinway.cli.main import main; main()'",
    "pytest": "-m pytest",
}


def test_page_and_example_agree() -> None:
    """Every file of the page is that of the example, and the example has no other code."""
    assert dict(FILES) == {
        f"driver-noop/{name}": (EXAMPLE / name).read_text()
        for name in ("pyproject.toml", "twinway_noop/driver.py")
    }
    assert {path.name for path in EXAMPLE.rglob("*.py")} == {"driver.py", "__init__.py"}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the reader has after `make setup`: the examples, and an environment with all of twinway."""
    folder = tmp_path_factory.mktemp("checkout")
    (folder / "examples").symlink_to(ROOT / "examples")
    subprocess.run([sys.executable, "-m", "venv", "--system-site-packages", folder / ".venv"], check=True)
    library = folder / ".venv/lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    (library / "all.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    for name, words in WRAPPERS.items():
        program = folder / ".venv/bin" / name
        program.write_text(f'#!/bin/sh\nexec "{folder}/.venv/bin/python" {words} "$@"\n')
        program.chmod(0o755)
    return folder


@pytest.mark.timeout(600)
def test_page_works_when_followed(checkout: Path) -> None:
    """Its files written and its commands carried out one after the other give a driver that runs and is judged."""
    script = [f"set -e\n{COMMANDS[0]}"]
    for name, text in FILES:
        script.append(f"cat > {name} <<'END-OF-FILE'\n{text}END-OF-FILE\n")
    # a lab of the test's own: the reader's has the default name
    script += [re.sub(r"(twinway lab \w+)", rf"\1 --name page-{os.getpid()}", block) for block in COMMANDS[1:]]
    done = subprocess.run(
        ["bash", "-xc", "".join(script)],
        cwd=checkout,
        env={key: value for key, value in os.environ.items() if key != "COLUMNS"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=580,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert re.search(r"noop \* +needs nothing", done.stdout), done.stdout
    assert re.search(r"web\.shop:80 +tcp +dropped", done.stdout), done.stdout
    table = (checkout / "semantics.md").read_text()
    assert re.search(r"`headless`.*pass", table), table
    assert re.search(r"FAIL", table), table
