"""Tokenizers, models, and what is refused before anything is loaded."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from nodes_world import World

from ptc.runtime import render
from ptc.runtime.artifacts import Artifact, InputWrong, InvariantBroken, ResourceMissing

SHAPE: dict[str, Any] = dict(
    family="qwen3",
    hidden=32,
    layers=1,
    heads=2,
    kv_heads=1,
    head_dim=32,
    intermediate=64,
    context=64,
    tied=True,
    rope_theta=1e4,
    seed=3,
)


def files(artifact: Artifact) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in artifact.path.iterdir() if path.is_file()}


def rows(world: World) -> Artifact:
    return world.rows(
        question=["what is 4 + 5?\n", "und 6 + 7 für dich?"] * 20, answer=["9", "13"] * 20, entry=["€"] * 40
    )


def made(world: World, **changes: Any) -> Artifact:
    return world.run("new_model", {**SHAPE, **changes}, tokenizer=world.run("characters", rows=rows(world)))


@pytest.mark.parametrize(("kind", "settings"), [("characters", {}), ("bpe", {"vocabulary": 300})])
def test_tokenizers_render_chats_and_give_equal_bytes(tmp_path: Path, kind: str, settings: dict[str, Any]) -> None:
    from transformers import AutoTokenizer

    world = World(tmp_path)
    first, second = (world.run(kind, settings, rows=rows(world)) for _ in range(2))
    assert files(first) == files(second)
    tokenizer = AutoTokenizer.from_pretrained(first.path)
    assert tokenizer.eos_token == "<|end|>" and tokenizer.pad_token_id != tokenizer.eos_token_id
    assert tokenizer.is_fast
    prompt, response = "4 + 5?\n", " für\n 9 "
    tokens = render.render_prompt(tokenizer, prompt) + render.render_response(tokenizer, prompt, response)
    text = f"<|user|>{prompt}<|end|><|assistant|>{response}<|end|>"
    assert tokenizer.decode(tokens) == text
    assert render.decode(tokenizer, render.render_response(tokenizer, prompt, response)) == response
    assert len(render.render_prompt(tokenizer, prompt)) >= 3


def test_characters_know_the_rows_and_nothing_else(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    world = World(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(world.run("characters", rows=rows(world)).path)
    unknown = tokenizer.unk_token_id
    assert unknown not in tokenizer("4ü\n", add_special_tokens=False)["input_ids"]
    assert tokenizer("€", add_special_tokens=False)["input_ids"] == [unknown]


def test_bpe_has_the_size_asked_for_and_reads_any_text(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    world = World(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(world.run("bpe", {"vocabulary": 280}, rows=rows(world)).path)
    assert len(tokenizer) == 280
    text = "emoji 🙂, 中文, tab\t, <|pad|"
    assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text
    with pytest.raises(InputWrong, match="at least 260 tokens, not 100"):
        world.run("bpe", {"vocabulary": 100}, rows=rows(world))


@pytest.mark.parametrize("family", ["qwen3", "llama"])
def test_a_new_model_is_a_plain_checkpoint_of_equal_bytes(tmp_path: Path, family: str) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    world = World(tmp_path)
    first, second, other = made(world, family=family), made(world, family=family), made(world, family=family, seed=4)
    assert files(first) == files(second)
    assert files(first)["model.safetensors"] != files(other)["model.safetensors"]
    model, tokenizer = AutoModelForCausalLM.from_pretrained(first.path), AutoTokenizer.from_pretrained(first.path)
    assert model.config.model_type == family and model.config.head_dim == 32
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
    assert model.generation_config.pad_token_id == tokenizer.pad_token_id
    assert model.get_input_embeddings().num_embeddings == len(tokenizer)


def test_untied_heads_and_wrong_shapes(tmp_path: Path) -> None:
    world = World(tmp_path)
    assert len(files(made(world, tied=False))["model.safetensors"]) > len(files(made(world))["model.safetensors"])
    with pytest.raises(InputWrong, match="heads = 3 is not a multiple of kv_heads = 2"):
        made(world, heads=3, kv_heads=2)


def test_a_models_tokenizer_is_its_own(tmp_path: Path) -> None:
    world = World(tmp_path)
    tokenizer = world.run("characters", rows=rows(world))
    model = world.run("new_model", SHAPE, tokenizer=tokenizer)
    assert files(world.run("tokenizer_of", model=model)) == files(tokenizer)


def test_a_local_model_is_copied_without_what_does_not_belong_to_it(tmp_path: Path) -> None:
    world = World(tmp_path)
    model = made(world)
    (model.path / "pytorch_model.bin").write_bytes(b"\x80\x02")
    (model.path / "notes").mkdir()
    (model.path / "manifest.json").write_text("{}")
    (model.path / "generation_config.json").unlink()
    copy = files(world.run("local_model", {"path": str(model.path), "sha256": None}))
    assert not {"pytorch_model.bin", "manifest.json"} & set(copy)
    assert copy["model.safetensors"] == files(model)["model.safetensors"]
    assert json.loads(copy["generation_config.json"])["eos_token_id"] == 3


def spoil_config(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "auto_map": {"AutoModel": "evil.Model"}}))


def spoil_tokenizer(folder: Path) -> None:
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**config, "auto_map": {"AutoTokenizer": ["x.T", None]}}))


def only_pickle(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def only_gguf(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model.gguf")


def cut_weights(folder: Path) -> None:
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[:-5])


def huge_header(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes((1 << 60).to_bytes(8, "little") + b"{}")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_config, "code of the model's own"),
        (spoil_tokenizer, "code of the model's own"),
        (lambda folder: (folder / "modeling.py").write_text("boom"), "brings code of its own"),
        (lambda folder: (folder / ".hidden").write_text("x"), "hidden file .hidden"),
        (only_pickle, "as a pickle"),
        (only_gguf, "as GGUF"),
        (lambda folder: (folder / "model.safetensors").unlink(), "holds no weights"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "has no tokenizer"),
        (lambda folder: (folder / "config.json").unlink(), "has no config.json"),
        (lambda folder: (folder / "config.json").write_text("{"), "is not JSON"),
        (lambda folder: (folder / "config.json").write_text("{}"), "names no architecture"),
        (cut_weights, "cut off or altered"),
        (huge_header, "is not a safetensors file"),
    ],
)
def test_local_models_that_are_refused(tmp_path: Path, spoil: Callable[[Path], Any], message: str) -> None:
    world = World(tmp_path)
    model = made(world)
    spoil(model.path)
    with pytest.raises(InputWrong, match=message):
        world.run("local_model", {"path": str(model.path), "sha256": None})


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(InputWrong, match="is not a folder"):
        World(tmp_path).run("local_model", {"path": str(tmp_path / "absent"), "sha256": None})


def test_a_hub_model_that_is_not_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    world = World(tmp_path)
    with pytest.raises(ResourceMissing, match="`nobody/nothing` is not in the cache: allow_hub = true"):
        world.run("hub_model", {"name": "nobody/nothing", "revision": None})
    with pytest.raises(InputWrong, match="no public model `a/b/c`"):
        world.run("hub_model", {"name": "a/b/c", "revision": None})


def refusal(kind: str, status: int) -> Exception:
    import httpx
    from huggingface_hub import errors

    response = httpx.Response(status, request=httpx.Request("GET", "https://huggingface.co/x"))
    error: Exception = getattr(errors, kind)("no", response=response)
    return error


@pytest.mark.parametrize(
    ("kind", "status", "error", "message"),
    [
        ("GatedRepoError", 403, InputWrong, "is gated: accept its conditions"),
        ("RepositoryNotFoundError", 404, InputWrong, "the hub has no public model"),
        ("RevisionNotFoundError", 404, InputWrong, "has no such revision"),
        ("HfHubHTTPError", 401, InputWrong, "refuses the model `a/b`"),
        ("HfHubHTTPError", 503, ResourceMissing, "HTTP 503 for the model `a/b`: run again later"),
    ],
)
def test_what_the_hub_answers_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, status: int, error: type[Exception], message: str
) -> None:
    def answer(*args: Any, **kwargs: Any) -> None:
        raise refusal(kind, status)

    monkeypatch.setattr("huggingface_hub.snapshot_download", answer)
    with pytest.raises(error, match=message):
        World(tmp_path).run("hub_model", {"name": "a/b", "revision": None})


# Export


def test_an_export_loads_and_generates_as_it_is(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    world = World(tmp_path)
    exported = world.run("export", {"path": "out/small"}, model=made(world))
    model, tokenizer = (kind.from_pretrained(exported.path) for kind in (AutoModelForCausalLM, AutoTokenizer))
    turn = [{"role": "user", "content": "4 + 5"}]
    inputs = tokenizer.apply_chat_template(turn, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    assert model.generate(**inputs, max_new_tokens=4).shape[0] == 1


def test_an_export_that_could_not_stop_is_refused(tmp_path: Path) -> None:
    world = World(tmp_path)
    model = made(world)
    (model.path / "generation_config.json").write_text('{"eos_token_id": 1}')
    with pytest.raises(InvariantBroken, match="would not stop"):
        world.run("export", {"path": "out"}, model=model)
    (model.path / "generation_config.json").write_text('{"eos_token_id": [1, 3]}')
    world.run("export", {"path": "out"}, model=model)
    (model.path / "chat_template.jinja").unlink()
    with pytest.raises(InvariantBroken, match="no chat template"):
        world.run("export", {"path": "out"}, model=model)
