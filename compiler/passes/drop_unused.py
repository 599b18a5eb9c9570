"""What no root needs does not run."""

from __future__ import annotations

import networkx

from ptc.compiler.graph import Graph


def digraph(graph: Graph) -> networkx.DiGraph:
    """The graph as networkx sees it: an edge from every node to each node that waits for it."""
    result = networkx.DiGraph()
    for meaning, node in graph.nodes.items():
        result.add_node(meaning, kind=node.kind, label=node.label)
        for role, source in node.inputs.items():
            result.add_edge(source, meaning, role=role)
        for gate in node.after:
            result.add_edge(gate, meaning, role="after")
        for watch in node.watches:
            result.add_edge(watch.prompts, meaning, role="watch")
    return result


def drop_unused(graph: Graph) -> Graph:
    """Keeps the roots and everything upstream of them."""
    edges = digraph(graph)
    needed = set(graph.roots).union(*(networkx.ancestors(edges, root) for root in graph.roots))
    kept = {meaning: node for meaning, node in graph.nodes.items() if meaning in needed}
    return Graph(kept, graph.roots)
