"""A layered layout: networkx says which layer a box is in, sweeps of barycentres in which order boxes stand there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import networkx as nx

SWEEPS = 12


@dataclass(frozen=True)
class Layout:
    """Where boxes stand (layer, place in it, both from 0), and by which points each edge passes."""

    places: Mapping[str, tuple[float, float]]
    routes: Mapping[tuple[str, str], Sequence[tuple[float, float]]]
    layers: int
    height: float


def layout(boxes: Iterable[str], edges: Iterable[tuple[str, str]], ends: Iterable[str] = ()) -> Layout:
    """Every box stands as late as it can: just before what needs it. Long edges pass between the boxes.

    What only leads to `ends` stands as early as it can instead: it has no part in the rest.
    """
    graph = nx.DiGraph()
    graph.add_nodes_from(boxes)
    graph.add_edges_from(dict.fromkeys(edges))
    layer = _layers(graph, set(ends))
    chains = {(source, target): _chain(source, target, layer) for source, target in graph.edges}
    through = nx.DiGraph()
    through.add_nodes_from(graph)
    for chain in chains.values():
        nx.add_path(through, chain)
        for place, name in enumerate(chain):
            layer[name] = layer[chain[0]] + place
    order = _ordered(through, layer)
    tallest = max(len(each) for each in order)
    places = {
        name: (float(number), (tallest - len(names)) / 2 + place)
        for number, names in enumerate(order)
        for place, name in enumerate(names)
    }
    routes = {ends: [places[name] for name in chain] for ends, chain in chains.items()}
    return Layout({name: places[name] for name in graph}, routes, len(order), float(tallest))


def _layers(graph: nx.DiGraph, ends: set[str]) -> dict[str, int]:
    early = {name: number for number, names in enumerate(nx.topological_generations(graph)) for name in names}
    generations = list(nx.topological_generations(graph.reverse()))
    late = {name: len(generations) - 1 - number for number, names in enumerate(generations) for name in names}
    aside = {name for name in graph if ends and _sinks(graph, name) <= ends}
    return {name: early[name] if name in aside else late[name] for name in graph}


def _sinks(graph: nx.DiGraph, name: str) -> set[str]:
    return {each for each in (name, *nx.descendants(graph, name)) if not graph.out_degree(each)}


def _chain(source: str, target: str, layer: Mapping[str, int]) -> list[str]:
    between = range(layer[source] + 1, layer[target])
    return [source, *(f"{source}>{target}@{number}" for number in between), target]


def _ordered(graph: nx.DiGraph, layer: Mapping[str, int]) -> list[list[str]]:
    order: list[list[str]] = [[] for _ in range(max(layer.values()) + 1)]
    for name in nx.lexicographical_topological_sort(graph):
        order[layer[name]].append(name)
    for sweep in range(SWEEPS):
        forward = sweep % 2 == 0
        for number in range(len(order)) if forward else reversed(range(len(order))):
            place = {name: at for names in order for at, name in enumerate(names)}
            sides = graph.predecessors if forward else graph.successors
            order[number].sort(key=lambda name: _barycentre(list(sides(name)), place, place[name]))
    return order


def _barycentre(neighbours: Sequence[str], place: Mapping[str, int], own: int) -> float:
    return sum(place[each] for each in neighbours) / len(neighbours) if neighbours else float(own)
