"""The passes: each a function of its file's name, from graph to graph, that keeps what the program means."""

from ptc.compiler.passes.drop_unused import drop_unused
from ptc.compiler.passes.share_common import share_common

PASSES = (share_common, drop_unused)
