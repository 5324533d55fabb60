"""The command: `python -m twinway_testing.kube build|up|down|status|kubectl|exec|e2e`."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from twinway.errors import TwinwayError
from twinway_testing.kube import binaries, build, e2e, held, policy
from twinway_testing.kube.chains import DEVICES
from twinway_testing.kube.cluster import Cluster, default_folder
from twinway_testing.kube.networks import DEPLOY, network

MANIFESTS = DEPLOY / "manifests" / "twinway.yaml"


def main() -> int:
    """Do what the command line says; returns the exit status."""
    options, rest = _parser().parse_known_args()
    if rest and options.verb not in ("kubectl", "exec"):
        _parser().error(f"unknown words: {' '.join(rest)}")
    try:
        return _do(options, rest)
    except TwinwayError as error:
        print(error, file=sys.stderr)
    except subprocess.CalledProcessError as error:
        # What the command itself has said is above; the words before `--` enter its host's namespaces.
        words = " ".join(error.cmd).rpartition(" -- ")[2]
        print(f"cluster: exit status {error.returncode}: {words}", file=sys.stderr)
    return 1


def _do(options: argparse.Namespace, rest: list[str]) -> int:
    cluster = Cluster(options.folder)
    match options.verb:
        case "build":
            build.build(options.programs) if options.programs else build.build_all()
        case "up":
            if os.geteuid() != 0:
                raise TwinwayError("cluster: namespaces and cgroups need root")
            installed = (options.image, MANIFESTS) if options.image else None
            cluster.up(options.nodes, network(options.driver, options.device, installed))
        case "down":
            cluster.down()
        case "status":
            cluster.print_status()
        case "kubectl":
            return cluster.kubectl(*rest, check=False).returncode
        case "exec":
            if len(rest) < 2:
                raise TwinwayError("cluster: give a host and a command: exec node1 twinway status")
            return cluster.host(rest[0]).do(*rest[1:], check=False).returncode
        case "e2e":
            selection = e2e.Selection(options.focus, options.skip)
            return e2e.run(cluster, selection, e2e.Places(options.out, options.record), options.jobs)
        case "policy":
            return policy.run(cluster, e2e.Places(options.out, options.record))
        case "held":
            return held.run(cluster)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="cluster", description="A real Kubernetes cluster on this machine.")
    parser.add_argument("--folder", type=Path, default=default_folder(), help="where the cluster is")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("build", help="compile the programs and make the images that are not there yet")
    verb.add_argument("programs", nargs="*", help="these programs alone, without images")
    verb = verbs.add_parser("up", help="start the cluster")
    verb.add_argument("--nodes", type=int, default=3)
    verb.add_argument("--driver", default="tc", help="a driver of twinway, or kube-proxy")
    verb.add_argument("--device", default="veth", choices=DEVICES, help="the pods' devices")
    verb.add_argument("--image", type=Path, help="install this image as a DaemonSet; else agents run on the nodes")
    verbs.add_parser("down", help="end it; programs and images stay")
    verbs.add_parser("status", help="memory, nodes and pods")
    verbs.add_parser("kubectl", help="kubectl WORDS, as the administrator")
    verbs.add_parser("exec", help="exec HOST COMMAND: run a command on control, node1, node2, ...")
    verbs.add_parser("held", help="hold connections while the DaemonSet is rolled and its driver changed")
    verb = verbs.add_parser("e2e", help="run tests of the official suite")
    verb.add_argument("--focus", default=e2e.GROUP, help="regular expression of names")
    verb.add_argument("--skip", default="", help="regular expression of further names to leave out")
    verb.add_argument("--jobs", type=int, default=4, help="tests at once")
    _add_places(verb)
    verb = verbs.add_parser("policy", help="run the conformance test of ClusterNetworkPolicy")
    _add_places(verb)
    return parser


def _add_places(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--out", type=Path, default=binaries.cache() / "e2e", help="folder for the report")
    verb.add_argument("--record", type=Path, help="write the results into this file and its page, too")


if __name__ == "__main__":
    sys.exit(main())
