"""Checkpoint folders from elsewhere: what is looked at before any library gets the path, and what is taken over.

Loading a model can run code that came with it: `auto_map` and Python files by `trust_remote_code`, pickles by being
read. vLLM ran `auto_map` although the flag said no (CVE-2026-22807), so the folder is scanned here, first.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from math import prod
from pathlib import Path

from ptc.compiler.graph import Json
from ptc.runtime.artifacts import InputWrong
from ptc.runtime.fsio import share

PICKLES = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"})
WEIGHTS = "model.safetensors"
MANIFEST = "manifest.json"
"""What the store, and an export, say of a folder: true of that folder alone."""
LONGEST_HEADER = 100_000_000
"""Bytes; the limit of the format's own library."""
INDEX = "model.safetensors.index.json"

HEADS = ("ForCausalLM", "ForSequenceClassification", "ForTokenClassification")
"""How the architectures end that write text, that give a number per text, and a number per token."""
ADAPTER = "adapter"
"""Folder of an artifact with the adapter that is over its base; elsewhere its two files lie beside the base's."""
ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"

TAKEN = ("*.safetensors", "*.json", "*.jinja", "*.txt", "tokenizer.model", "*.tiktoken", "LICENSE*", "NOTICE*")
"""Files of a checkpoint that are taken over; weights of other formats beside safetensors are left behind."""


def scan(folder: Path) -> list[Path]:
    """The files to take over. Raises `InputWrong` on anything that could run code, and on what is missing."""
    if not folder.is_dir():
        raise InputWrong(f"{folder} is not a folder: name the folder that holds the model's config.json")
    files = sorted(folder.iterdir())
    refuse_code(folder)
    if not any(path.suffix == ".safetensors" for path in files):
        pickles = [path.name for path in files if path.suffix in PICKLES]
        if pickles:
            raise InputWrong(
                f"{folder} has its weights as a pickle ({pickles[0]}), which runs code when it is read: "
                "convert them to safetensors"
            )
        if any(path.suffix == ".gguf" for path in files):
            raise InputWrong(
                f"{folder} has its weights as GGUF, which cannot be trained: name the safetensors checkpoint"
            )
        raise InputWrong(f"{folder} holds no weights: put its {WEIGHTS} there")
    _require(folder)
    return [path for path in files if path.is_file() and path.name != MANIFEST and _is_taken(path)]


def take(folder: Path, out: Path) -> None:
    """Copies a model into an artifact, its adapter apart. Raises `InputWrong` as `scan` does."""
    files = scan(folder)
    adapter = [path for path in files if path.name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS)]
    copy_files([path for path in files if path not in adapter], out)
    if adapter:
        _require_adapter(folder)
        (out / ADAPTER).mkdir()
        copy_files(adapter, out / ADAPTER)


def refuse_code(folder: Path) -> None:
    """Raises `InputWrong` on anything in a model's folder that could run code when a library is given the path."""
    for path in sorted(folder.iterdir()):
        _refuse_strange(folder, path)
    _refuse_auto_map(folder)


def copy_files(files: Iterable[Path], out: Path) -> None:
    """Copies the content, not the permissions, of each file into a folder; links are followed."""
    for path in files:
        shutil.copyfile(path, out / path.name)


def share_files(files: Iterable[Path], out: Path) -> None:
    """As `copy_files`, for files of an artifact: its weights, which nothing writes to, are not there a second time."""
    for path in files:
        (share if path.suffix == ".safetensors" else shutil.copyfile)(path, out / path.name)


def share_base(artifact: Path, out: Path) -> None:
    """A model artifact as it is, without its adapter and what a stage left beside it."""
    share_files([path for path in sorted(artifact.iterdir()) if path.is_file() and path.name != MANIFEST], out)


def copy_model(source: Path, out: Path) -> None:
    """A model artifact as it is, its adapter included, and nothing of what a stage left beside it."""
    share_base(source, out)
    if (source / ADAPTER).is_dir():
        (out / ADAPTER).mkdir()
        copy_files(sorted((source / ADAPTER).iterdir()), out / ADAPTER)


def read_json(path: Path) -> dict[str, Json]:
    """A configuration file. Raises `InputWrong` if it is not a JSON object."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as problem:
        raise InputWrong(f"{path} is not JSON ({problem}): copy it again") from problem
    if not isinstance(document, dict):
        raise InputWrong(f"{path} is not a JSON object: copy it again")
    return document


def write_index(folder: Path) -> None:
    """Says which files hold the weights, where it is not said: readers that take every safetensors file for one of them
    (vLLM) would take an adapter for one."""
    if (folder / INDEX).is_file():
        return
    tensors = {name: tensor for name, tensor in _header(folder / WEIGHTS).items() if name != "__metadata__"}
    size = sum(end - start for start, end in (tensor["data_offsets"] for tensor in tensors.values()))
    document = {"metadata": {"total_size": size}, "weight_map": dict.fromkeys(sorted(tensors), WEIGHTS)}
    (folder / INDEX).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def complete_generation_config(folder: Path) -> None:
    """Writes `generation_config.json` from `config.json` where there is none: engines stop at the tokens it names."""
    path = folder / "generation_config.json"
    if path.exists():
        return
    config = read_json(folder / "config.json")
    names = ("bos_token_id", "eos_token_id", "pad_token_id")
    kept = {name: config[name] for name in names if config.get(name) is not None}
    path.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")


def parameter_count(folder: Path) -> int:
    """Numbers in the weight files of a checkpoint; tied ones once, as they are stored."""
    return sum(
        prod(tensor["shape"])
        for path in folder.glob("*.safetensors")
        for name, tensor in _header(path).items()
        if name != "__metadata__"
    )


def context_length(folder: Path) -> int:
    """Tokens that fit into the model; families call it by several names."""
    config = read_json(folder / "config.json")
    return int(next(config[name] for name in ("max_position_embeddings", "n_positions", "n_ctx") if name in config))


def _is_taken(path: Path) -> bool:
    return any(path.match(pattern) for pattern in TAKEN)


def _refuse_strange(folder: Path, path: Path) -> None:
    if path.name.startswith("."):
        raise InputWrong(
            f"{folder} holds the hidden file {path.name}: remove it, or name a folder with the model alone"
        )
    if path.suffix == ".py":
        raise InputWrong(f"{folder} brings code of its own ({path.name}), which is never run: name a model without")
    if not path.is_file() and not path.is_dir():
        raise InputWrong(f"{path} is neither a file nor a folder: remove it")


def _refuse_auto_map(folder: Path) -> None:
    for path in sorted(folder.glob("*.json")):
        if path.name.endswith("index.json") or path.name in ("tokenizer.json", "vocab.json"):
            continue
        imported = b"auto_map" in path.read_bytes()
        if path.name == ADAPTER_CONFIG:  # PEFT writes `auto_mapping`, of which it imports what is not null
            imported = any(value is not None for key, value in read_json(path).items() if key.startswith("auto_map"))
        if imported:
            raise InputWrong(
                f"{path} asks for code of the model's own (`auto_map`), which is never run: name a model without"
            )


def _require(folder: Path) -> None:
    """Everything that loading needs is there, down to the header of each weight file."""
    if not (folder / "config.json").is_file() and (folder / ADAPTER_CONFIG).is_file():
        base = read_json(folder / ADAPTER_CONFIG).get("base_model_name_or_path") or "a model that it does not name"
        raise InputWrong(f"{folder} is an adapter over {base}, without it: put the files of both into one folder")
    if not (folder / "config.json").is_file():
        raise InputWrong(f"{folder} has no config.json: name the folder that holds it")
    if not any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer.model", "vocab.json")):
        raise InputWrong(f"{folder} has no tokenizer: put its tokenizer.json there")
    config = read_json(folder / "config.json")
    architectures = tuple(map(str, config.get("architectures") or []))
    if not any(name.endswith(HEADS) for name in architectures):
        raise InputWrong(
            f"{folder}/config.json names no architecture that writes text or judges it: "
            f"name a model of …{', …'.join(HEADS)}"
        )
    numbers = len(config.get("id2label") or "01")
    if numbers != 1 and any(name.endswith(HEADS[1:]) for name in architectures):
        raise InputWrong(f"{folder} gives {numbers} numbers, and a reward or a value is one: name another model")
    names = {WEIGHTS}
    if (folder / INDEX).is_file():
        names = set(read_json(folder / INDEX).get("weight_map", {}).values())
    for name in sorted(names):
        _check_header(folder / name)


def _require_adapter(folder: Path) -> None:
    """An adapter of the one kind that is known: low-rank factors beside the weights, and nothing else that learns."""
    config = read_json(folder / ADAPTER_CONFIG)
    if not (folder / ADAPTER_WEIGHTS).is_file():
        raise InputWrong(f"{folder} has the settings of an adapter and lacks {ADAPTER_WEIGHTS}: put it there")
    kind = config.get("peft_type")
    odd = [name for name in ("use_dora", "target_parameters", "trainable_token_indices") if config.get(name)]
    odd += ["bias"] if config.get("bias", "none") != "none" else []
    odd += ["modules_to_save"] if set(config.get("modules_to_save") or ()) - {"score", "classifier"} else []
    if kind != "LORA" or odd:
        raise InputWrong(
            f"{folder} has an adapter of another kind ({', '.join(odd) or kind}) than plain LoRA: merge it with PEFT"
        )


def _check_header(path: Path) -> None:
    """A safetensors file is as long as its header says. (Its values are checked by nothing but our own digests.)"""
    if not path.is_file():
        raise InputWrong(f"{path.parent} lacks the weight file {path.name}: copy it there")
    try:
        tensors = _header(path)
        ends = [tensor["data_offsets"][1] for name, tensor in tensors.items() if name != "__metadata__"]
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as problem:
        raise InputWrong(f"{path} is not a safetensors file, its header cannot be read: copy it again") from problem
    if path.stat().st_size != 8 + _header_size(path) + max(ends, default=0):
        raise InputWrong(f"{path} is cut off or altered, it is not as long as its header says: copy it again")


def _header(path: Path) -> dict[str, Json]:
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        tensors: dict[str, Json] = json.loads(file.read(size) if size <= LONGEST_HEADER else b"")
    return tensors


def _header_size(path: Path) -> int:
    with path.open("rb") as file:
        return int.from_bytes(file.read(8), "little")
