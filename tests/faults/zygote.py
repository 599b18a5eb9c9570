"""A process that has imported everything and forks a child for each command: `ptc` without its seconds of start-up.

Reads one JSON document a line, ``{"arguments": [...], "folder": ..., "output": ...}``; answers with two lines, the
child's process id when it begins and how it ended (negative: the signal). It computes nothing itself, so that
children inherit no threads.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import sys


def main() -> None:
    import reasoning_gym  # noqa: F401
    import torch  # noqa: F401
    import transformers  # noqa: F401

    import ptc.compiler
    import ptc.lang
    import ptc.runtime.nodes
    import ptc.stdlib
    from ptc import cli

    for package in (ptc.compiler, ptc.lang, ptc.runtime, ptc.runtime.nodes, ptc.stdlib, ptc):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            if not module.ispkg and module.name != "ptc.__main__":
                importlib.import_module(module.name)
    for line in sys.stdin:
        wanted = json.loads(line)
        child = os.fork()
        if child == 0:
            try:
                os.setsid()
                os.chdir(wanted["folder"])
                output = os.open(wanted["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
                os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
                os.dup2(output, 1)
                os.dup2(output, 2)
                code = cli.main(wanted["arguments"])
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
            finally:
                os._exit(99)
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
