"""The command line as a whole: words, exit statuses, and what is imported for a word."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.unit.agents import Site

HEAVY = ("pydantic", "rich", "stevedore", "http.client", "http.server", "yaml", "prometheus_client", "pyroute2")

IMPORTS = """
import json, sys
from twinway.cli.main import main
sys.argv = ["twinway", *sys.argv[1:]]
try:
    main()
except SystemExit as end:
    sys.stderr.write(json.dumps({"status": end.code, "modules": sorted(sys.modules)}))
"""


def imported_for(site: Site, *words: str) -> set[str]:
    """The modules that a command line leaves loaded."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS, *words], env=site.environment, capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stderr.splitlines()[-1])["modules"])


def test_help_lists_every_word_and_imports_none(site: Site) -> None:
    """The help names each word, other distributions' too, without importing what does the work."""
    listed = site.twinway("--help").stdout
    for word in ("agent", "check", "status", "config", "service", "endpoint", "map", "lab", "extra"):
        assert f"\n  {word} " in listed
    modules = imported_for(site, "--help")
    assert modules.isdisjoint(HEAVY)
    assert not {name for name in modules if name.startswith(("twinway_lab", "twinway.agent", "memory_"))}


def test_a_word_imports_its_own_code_alone(site: Site) -> None:
    """A client's word brings no agent, no driver and no lab; another distribution's word no agent."""
    status = imported_for(site, "status", "--help")
    assert "twinway.cli.status" in status
    assert not {name for name in status if name.startswith(("twinway.agent", "twinway_", "stevedore", "rich"))}
    extra = imported_for(site, "extra", "--help")
    assert "memory_commands" in extra
    assert not {name for name in extra if name.startswith(("twinway.agent", "twinway.cli.status", "twinway_"))}


def test_words_of_other_distributions_run(site: Site) -> None:
    """A word from an entry point runs its app, with its own options and exit status."""
    done = site.twinway("extra", "greet", "--name", "pod")
    assert (done.returncode, done.stdout) == (0, "hello pod\n")
    assert site.twinway("extra", "fail").returncode == 1


def test_an_error_of_ours_is_one_line(site: Site) -> None:
    """A TwinwayError is `error: ...` on stderr and status 1, never a traceback."""
    done = site.twinway("extra", "fail")
    assert done.stderr == "error: lab demo: is gone: twinway lab up\n"


@pytest.mark.parametrize(
    "words", [["nonsense"], ["status", "--nonsense"], ["service"], ["service", "nonsense"], ["agent", "x"], []]
)
def test_wrong_usage(site: Site, words: list[str]) -> None:
    """What cannot be understood is exit status 2, with nothing on stdout that a program could mistake."""
    done = site.twinway(*words)
    assert done.returncode == 2
    assert "Usage: twinway" in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("line", "offered"), [("twinway s", "status service"), ("twinway service l", "list")])
def test_shell_completion(site: Site, line: str, offered: str) -> None:
    """A shell is offered words, and the words below them."""
    words = {"COMP_WORDS": line, "COMP_CWORD": str(line.count(" ")), "_TWINWAY_COMPLETE": "complete_bash"}
    site.environment.update(words)
    assert site.twinway().stdout.split() == offered.split()
