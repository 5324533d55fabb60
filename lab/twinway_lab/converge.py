"""
Take a lab from its present plan to a new one; `up`, `apply`, `delete` and `sync` all do it this way.

The state on disk names the old and the new plan until the change is complete, so that the next command knows
all that an interrupted one may have left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from twinway_lab import store
from twinway_lab.names import LabName, node_place
from twinway_lab.network import netns, routes, wiring
from twinway_lab.network.wiring import Wiring
from twinway_lab.nodes import agents, cgroups, manifests, nodes
from twinway_lab.nodes.processes import Container, side_by_side
from twinway_lab.nodes.publish import published
from twinway_lab.objects.objects import Understood
from twinway_lab.plan.difference import Difference, difference
from twinway_lab.plan.plan import NodePlan, Plan, PodPlan
from twinway_lab.probe import places
from twinway_lab.store import LabState


@dataclass(frozen=True, slots=True)
class Step:
    """One change of a lab."""

    lab: LabName
    driver: str
    device: str
    config: Mapping[str, Any]
    before: Sequence[Plan]
    """Earlier plans of which something may exist."""
    wanted: Understood
    timeout: float

    @property
    def node_names(self) -> list[str]:
        """The nodes of the new plan."""
        return [node.name for node in self.wanted.plan.nodes]


def raise_up(lab: LabName, state: LabState, wanted: Understood, timeout: float) -> None:
    """Make a lab; `state` holds its driver and device."""
    nodes.make_underlay(lab)
    places.start_external(lab)
    _carry_out(Step(lab, state.driver, state.pod_device, state.config, (Plan(),), wanted, timeout))
    store.save(lab, replace(state, documents=wanted.documents, plan=wanted.plan))


def converge(lab: LabName, state: LabState, wanted: Understood, timeout: float) -> None:
    """Change the lab from `state` to what `wanted` says; it is in force on every node when this returns."""
    before = (*state.unsettled, state.plan)
    underway = replace(state, documents=wanted.documents, plan=wanted.plan, unsettled=before)
    store.save(lab, underway)
    _carry_out(Step(lab, state.driver, state.pod_device, state.config, before, wanted, timeout))
    store.save(lab, replace(underway, unsettled=()))


def _carry_out(step: Step) -> None:
    lab, wanted = step.lab, step.wanted
    steps = difference(step.before, wanted.plan, partial(_is_whole, step))
    # Endpoints become ready after their pods answer, and are removed before their pods end.
    waiting = {pod.place for pod in steps.new_pods}
    version = manifests.publish(lab, published(wanted.objects, wanted.plan, waiting))
    if steps.gone_pods:
        staying = [node.name for node in wanted.plan.nodes if steps.stays(node)]
        agents.wait_in_force(lab, staying, version, step.timeout)
    _remove(step, steps)
    _make_nodes(step, steps)
    if steps.new_pods:
        agents.wait_in_force(lab, step.node_names, version, step.timeout)  # the CNI plugin asks the agents
    _make_pods(step, steps)
    version = manifests.publish(lab, published(wanted.objects, wanted.plan))
    agents.wait_in_force(lab, step.node_names, version, step.timeout)


def _is_whole(step: Step, pod: PodPlan, node: NodePlan) -> bool:
    running = bool(cgroups.members(places.pod_container(step.lab, pod).group))
    return running and (pod.host_network or wiring.is_whole(Wiring(step.lab, step.device, node, pod)))


def _remove(step: Step, steps: Difference) -> None:
    jobs = []
    for pod, node in steps.gone_pods:
        places.stop(step.lab, pod.place, places.pod_container(step.lab, pod).group)
        at = Wiring(step.lab, step.device, node, pod)
        if pod.host_network:
            continue
        if node in steps.gone_nodes:
            wiring.forget(at)
        else:
            jobs.append((_plugins_container(at), partial(wiring.unwire, at)))
    side_by_side(jobs)
    for node in steps.gone_nodes:
        nodes.remove(step.lab, node)


def _make_nodes(step: Step, steps: Difference) -> None:
    for node in steps.new_nodes:
        nodes.make(step.lab, node, step.device)
        agents.configure(step.lab, node.name, step.driver, step.config)
    _replug(step, steps)
    for node in steps.new_nodes:
        agents.start(step.lab, node.name)
        places.start_node(step.lab, node.name)


def _replug(step: Step, steps: Difference) -> None:
    wanted = routes.lines_of(step.lab, step.wanted.plan, step.device)
    before = [routes.lines_of(step.lab, plan, step.device) for plan in step.before]
    fresh = {step.lab.netns(node_place(node.name)) for node in steps.new_nodes}
    for name, lines in wanted.items():
        had = {line for earlier in before for line in earlier.get(name, ()) if name not in fresh}
        if had == lines:
            continue
        with netns.inside(name):
            netns.ip((line.take for line in had - lines), whatever_is_there=True)
            netns.ip(line.put for line in lines - had)


def _make_pods(step: Step, steps: Difference) -> None:
    nodes_by_name = {node.name: node for node in step.wanted.plan.nodes}
    jobs = []
    for pod in steps.new_pods:
        if not pod.host_network:
            at = Wiring(step.lab, step.device, nodes_by_name[pod.node], pod)
            jobs.append((_plugins_container(at), partial(wiring.wire, at)))
    side_by_side(jobs)
    for pod in steps.other_ports:
        places.stop(step.lab, pod.place, places.pod_container(step.lab, pod).group)
    places.start_pods(step.lab, [*steps.new_pods, *steps.other_ports])


def _plugins_container(at: Wiring) -> Container:
    log = at.lab.node_dir(at.node.name) / "cni.log"
    return Container(cgroups.of_wiring(at.lab, at.node.name), at.lab.netns(node_place(at.node.name)), log)
