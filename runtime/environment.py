"""What a run ran on, for the record: no part of any key, and no name of a host or person."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from importlib import metadata

from ptc.compiler.graph import Json
from ptc.runtime.profile import gpus_here

LIBRARIES = ("accelerate", "numpy", "peft", "pyarrow", "scipy", "tokenizers", "torch", "transformers", "vllm")


def environment() -> dict[str, Json]:
    """Versions of ptc, Python and the libraries that compute; the system, its cores and its GPUs."""
    return {
        "ptc": _version("ptc"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": len(os.sched_getaffinity(0)),
        "gpus": gpu_names(),
        "libraries": {name: version for name in LIBRARIES if (version := _version(name)) is not None},
    }


def gpu_names() -> list[str]:
    """What the driver calls the GPUs that this process may use; empty without any."""
    count = gpus_here()
    if not count:
        return []
    try:
        listing = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=10, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        listing = ""
    names = re.findall(r"^GPU \d+: (.+?)(?: \(UUID.*)?$", listing, re.MULTILINE)
    return [*names, *["GPU"] * count][:count]


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
