"""Nodes that mean the same are one.

The meaning of a node is the digest of its document, and `inputs` name meanings; so equal subgraphs have equal digests
and one entry. What is left to do is to keep one label and to join what is never part of a meaning.
"""

from __future__ import annotations

from dataclasses import replace

from ptc.compiler.graph import Graph, Node


def share_common(graph: Graph) -> Graph:
    """Joins nodes of equal meaning; roots keep their order, each once."""
    nodes: dict[str, Node] = {}
    for node in graph.nodes.values():
        meaning = node.meaning
        first = nodes.get(meaning)
        if first is not None:
            after = tuple(dict.fromkeys((*first.after, *node.after)))
            guards = tuple(dict.fromkeys((*first.guards, *node.guards)))
            node = replace(first, after=after, watches=(*first.watches, *node.watches), guards=guards)
        nodes[meaning] = node
    return Graph(nodes, tuple(dict.fromkeys(graph.roots)))
