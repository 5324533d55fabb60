"""Each word against a running agent: JSON for programs, tables for people."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.agents import POD, SERVICE, Site, attach
from twinway.build import version


@pytest.fixture
def serving(site: Site) -> Site:
    """A site whose agent has one Service in force."""
    version = site.put("a.json", SERVICE)
    site.agent().client.wait(version, 20)
    return site


def asked(site: Site, *words: str) -> Any:
    """The JSON that a word prints."""
    done = site.twinway(*words, "--socket", site.run_dir / "agent.sock", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def table(site: Site, *words: str) -> list[list[str]]:
    """The table that a word prints, in words."""
    done = site.twinway(*words, "--socket", site.run_dir / "agent.sock")
    assert (done.returncode, done.stderr) == (0, "")
    return [line.split() for line in done.stdout.splitlines() if line.strip()]


def test_status(serving: Site) -> None:
    """The status is the agent's own, and the table says the same."""
    status = asked(serving, "status")
    assert (status["node"], status["driver"], status["complete"]) == ("n1", "fake", True)
    rows = table(serving, "status")
    assert ["node", "n1"] in rows
    assert ["health", "ok:", "in", "memory"] in rows


def test_service_list(serving: Site) -> None:
    """A Service without backends is shown as one that rejects, as the kernel has it."""
    (service,) = asked(serving, "service", "list")["services"]
    assert service["service"] == "shop/web"
    row = table(serving, "service", "list")[-1]
    assert row == ["shop/web", "10.96.0.10:80", "TCP", "internal", "none:", "rejected", "yes"]


def test_endpoint_list_of_a_node_without_pods(serving: Site) -> None:
    """Where there is nothing to show, that is what is shown."""
    assert asked(serving, "endpoint", "list") == {"endpoints": []}
    assert table(serving, "endpoint", "list") == [["no", "pods"]]


def test_policy_words(site: Site) -> None:
    """Policies, denials and the reason of a denial are reported by name, to programs and to people."""
    lonely = {"metadata": {"name": "shut", "namespace": "shop"}, "spec": {"podSelector": {}}}
    shut = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", **lonely}
    attach(site, POD)
    site.put("a.json", POD)
    version = site.put("b.json", shut)
    site.agent().client.wait(version, 20)
    (found,) = asked(site, "policy", "list")["policies"]
    assert (found["policy"], found["pods"], found["directions"]) == (
        "NetworkPolicy shop/shut",
        ["shop/web"],
        ["ingress"],
    )
    assert "NetworkPolicy shop/shut" in " ".join(table(site, "endpoint", "list")[-1])
    assert table(site, "policy", "denials") == [["nothing", "was", "denied"]]
    words = ("policy", "explain", "--from", "8.8.8.8", "--to", "shop/web", "--port", "80")
    denied = site.twinway(*words, "--socket", site.run_dir / "agent.sock")
    assert denied.returncode == 1
    assert "isolated for ingress by NetworkPolicy shop/shut; no rule allows it" in denied.stdout
    unknown = site.twinway(*words[:4], "--to", "shop/wob", "--socket", site.run_dir / "agent.sock")
    assert unknown.stderr == (
        "error: shop/wob: no pod of this node (namespace/name), and no address: see `twinway endpoint list`\n"
    )


def test_map_list(serving: Site) -> None:
    """Tables and verdict counters are listed."""
    assert [usage["name"] for usage in asked(serving, "map", "list")["maps"]] == ["fake_state"]
    rows = table(serving, "map", "list")
    assert ["fake_state", "1", "1024", "0"] in rows
    assert ["forwarded", "7"] in rows


@pytest.mark.parametrize(
    "words", [["status"], ["service", "list"], ["endpoint", "list"], ["policy", "list"], ["map", "list"]]
)
def test_agent_away(site: Site, words: list[str]) -> None:
    """Without an agent each word fails in one line that says what to start."""
    done = site.twinway(*words, "--socket", site.folder / "none.sock")
    assert done.returncode == 1
    assert done.stderr == f"error: agent {site.folder}/none.sock: not running: start it with `twinway agent`\n"


def test_config_explain(site: Site) -> None:
    """Every key is explained with its origin, the chosen driver's own ones included."""
    path = site.config(log={"level": "debug"}, drivers={"fake": {"depth": 3}})
    done = site.twinway("config", "explain", "--config", path, "--json")
    explained = {entry["key"]: entry for entry in json.loads(done.stdout)}
    assert (explained["log.level"]["value"], explained["log.level"]["origin"]) == ("debug", "file")
    assert (explained["drivers.fake.depth"]["value"], explained["resync_seconds"]["origin"]) == (3, "default")
    people = site.twinway("config", "explain", "--config", path).stdout
    assert any(line.split()[:3] == ["log.level", "debug", "file"] for line in people.splitlines())


def test_config_explain_refuses_what_the_agent_would(site: Site) -> None:
    """Faults of the file, and of the driver's own section, are reported line by line."""
    done = site.twinway("config", "explain", "--config", site.config(drivr="tc", lgo={}))
    assert done.returncode == 1
    assert [line.split(": ", 2)[2] for line in done.stderr.splitlines()] == [
        "drivr: unknown key, did you mean driver?",
        "lgo: unknown key, did you mean log?",
    ]
    done = site.twinway("config", "explain", "--config", site.config(drivers={"fake": {"dept": 3}}))
    assert "drivers.fake.dept: unknown key, did you mean depth?" in done.stderr


def test_check_of_a_node_that_has_everything(site: Site) -> None:
    """The chosen driver's needs are listed; all are there, so the exit status is 0."""
    done = site.twinway("check", "--config", site.config(), "--json")
    assert done.returncode == 0
    found = json.loads(done.stdout)
    assert found["engines"] == []
    (chosen,) = [entry for entry in found["drivers"] if entry["chosen"]]
    assert (chosen["driver"], chosen["usable"], chosen["fault"]) == ("fake", True, None)
    assert chosen["requirements"][0]["feature"] == "memory"


def test_check_of_a_node_that_lacks_a_must_have(site: Site) -> None:
    """A must-have that is missing is reported with what to do, and the exit status is 1."""
    done = site.twinway("check", "--config", site.config(), "--driver", "failing")
    assert done.returncode == 1
    row = next(line.split() for line in done.stdout.splitlines() if line.startswith("failing *"))
    assert row == ["failing", "*", "tcx", "no", "yes", "use", "a", "kernel", "of", "6.6", "or", "newer"]


def test_check_takes_the_driver_of_this_node(site: Site) -> None:
    """An entry of `nodes` that names this node names the driver that is judged."""
    entries = [{"names": ["n1"], "driver": "failing"}]
    done = site.twinway("check", "--config", site.config(nodes=entries))
    assert done.returncode == 1
    assert "failing *" in done.stdout


def test_check_of_a_driver_that_is_not_installed(site: Site) -> None:
    """A driver that is not there is reported with those that are."""
    done = site.twinway("check", "--config", site.config(), "--driver", "nope")
    assert done.returncode == 1
    assert done.stderr.startswith("error: driver nope: not installed; installed are clinging, failing, fake")


def test_config_from_the_environment(site: Site) -> None:
    """The config's path may come from the environment."""
    site.environment["TWINWAY_CONFIG"] = str(site.folder / "none.yaml")
    done = site.twinway("config", "explain")
    assert done.stderr == f"error: {site.folder}/none.yaml: No such file or directory: " + (
        "give the agent's config with --config FILE\n"
    )


def test_config_explain_without_a_file(site: Site) -> None:
    """Where there is no file yet, the defaults are explained, and that is said beside them."""
    words = ("config", "explain", "--json")
    done = site.twinway(
        *words, prefix=("unshare", "--mount", "sh", "-c", 'mount -t tmpfs t /etc; exec "$@"', "sh")
    )
    assert {entry["origin"] for entry in json.loads(done.stdout)} == {"default"}
    assert done.stderr == "/etc/twinway/node.yaml: there is no such file, these are the defaults\n"
    missing = site.twinway(*words, "--config", site.folder / "none.yaml")
    assert "none.yaml: No such file or directory: give the agent's config with --config FILE" in missing.stderr


def test_version(site: Site) -> None:
    """The version is one line."""
    done = site.twinway("--version")
    assert (done.returncode, done.stdout) == (0, f"twinway {version()}\n")


def test_cleanup_asks_twice_and_not_under_an_agent(site: Site) -> None:
    """Cleanup is refused while an agent runs, asks twice, and says what it did and what stays."""
    attach(site, POD)
    agent = site.agent()
    config = site.config()
    refused = site.twinway("cleanup", "--yes", "--config", config)
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"error: run_dir: {site.run_dir}: another agent runs here (pid ")
    agent.end()
    pin = site.folder / "bpf" / "twinway" / "maps" / "left"
    pin.parent.mkdir()
    pin.touch()
    doubtful = site.twinway("cleanup", "--config", config, words_in="y\nn\n")
    assert (doubtful.returncode, pin.exists()) == (1, True)
    assert "for 1 attached pod interfaces of node n1. Go on?" in doubtful.stdout
    sure = site.twinway("cleanup", "--config", config, words_in="y\ny\n")
    assert "removed the hooks of" in sure.stdout
    assert not (site.folder / "bpf" / "twinway").exists()
    assert [path.name for path in site.run_dir.iterdir()] == ["attachments", "deleted"]


def test_tables_obey_columns(serving: Site) -> None:
    """A table is as wide as COLUMNS says, cuts nothing off, and has one row a line in a pipe without it."""
    words = ("config", "explain", "--config", serving.config())
    wide = serving.twinway(*words).stdout
    serving.environment["COLUMNS"] = "60"
    narrow = serving.twinway(*words).stdout
    assert max(map(len, wide.splitlines())) > 100
    assert max(map(len, narrow.splitlines())) <= 60
    assert "".join(sorted(wide.replace(" ", "").replace("\n", "").replace("─", ""))) == "".join(
        sorted(narrow.replace(" ", "").replace("\n", "").replace("─", ""))
    )


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("twinway pol", ["policy"]),
        ("twinway policy den", ["denials"]),
        ("twinway check --driver cl", ["clinging"]),
        ("twinway policy explain --from sh", ["shop/web"]),
        ("twinway policy explain --protocol ud", ["udp"]),
    ],
)
def test_words_complete_in_bash(site: Site, line: str, offered: list[str]) -> None:
    """Commands, drivers, pods and protocols complete in the shell."""
    if "--from" in line:
        attach(site, POD)
        version = site.put("a.json", POD)
        site.agent().client.wait(version, 20)
    site.environment |= {
        "_TWINWAY_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split()) - 1),
        "TWINWAY_AGENT": str(site.run_dir / "agent.sock"),
    }
    assert site.twinway().stdout.split() == offered
