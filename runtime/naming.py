"""What to call a node to the user."""

from __future__ import annotations

from ptc.compiler.graph import Node


def name(node: Node) -> str:
    return node.label or node.kind


def placed(message: str, node: Node | None) -> str:
    """What is wrong, behind the node that it is wrong in, unless that is said already."""
    if node is None or name(node) in message:
        return message
    return f"{name(node)}: {message}"
