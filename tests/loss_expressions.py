"""The four objectives as expression trees, written by hand and apart from the library's `.pt` files."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]
TOKENS = ["group", "prompt", "token"]
SAMPLES = ["group", "prompt"]


def constant(value: float) -> Json:
    return {"op": "constant", "value": value, "axes": []}


def column(name: str, axes: list[str]) -> Json:
    return {"op": "column", "name": name, "axes": axes}


def logp(model: str, name: str = "response", temperature: float = 1.0) -> Json:
    return {"op": "logp", "model": model, "column": name, "temperature": temperature, "axes": TOKENS}


def logp_all(model: str) -> Json:
    return {"op": "logp_all", "model": model, "column": "response", "temperature": 1.0, "axes": [*TOKENS, "vocab"]}


def apply(op: str, *args: Json) -> Json:
    axes = sorted({axis for arg in args for axis in arg["axes"]})
    return {"op": op, "args": list(args), "axes": axes}


def reduce(op: str, arg: Json, *over: str) -> Json:
    return {"op": op, "args": [arg], "over": list(over), "axes": [axis for axis in arg["axes"] if axis not in over]}


def per_sample(arg: Json) -> Json:
    return reduce("mean", reduce("mean", arg, "token"), "prompt", "group")


def sft() -> Json:
    return apply("neg", reduce("mean", logp("m0"), "token", "prompt", "group"))


def advantage() -> Json:
    reward = column("reward", SAMPLES)
    centred = apply("sub", reward, reduce("mean", reward, "group"))
    return apply("div", centred, apply("add", reduce("std", reward, "group"), constant(1e-4)))


def k3(model: str, reference: str) -> Json:
    log_ratio = apply("sub", logp(reference), logp(model))
    return apply("sub", apply("sub", apply("exp", log_ratio), log_ratio), constant(1.0))


def grpo(clip_low: float = 0.2, clip_high: float = 0.28, kl: float = 0.0, temperature: float = 1.0) -> Json:
    ratio = apply("exp", apply("sub", logp("m0", temperature=temperature), column("logprobs", TOKENS)))
    clipped = apply("clamp", ratio, constant(1 - clip_low), constant(1 + clip_high))
    gain = apply("min", apply("mul", ratio, advantage()), apply("mul", clipped, advantage()))
    if kl:
        return per_sample(apply("sub", apply("mul", constant(kl), k3("m0", "m1")), gain))
    return per_sample(apply("neg", gain))


def margin(beta: float) -> Json:
    def gap(name: str) -> Json:
        return reduce("sum", apply("sub", logp("m0", name), logp("m1", name)), "token")

    return apply("mul", constant(beta), apply("sub", gap("chosen"), gap("rejected")))


def dpo(beta: float = 0.1) -> Json:
    return apply("neg", reduce("mean", apply("log_sigmoid", margin(beta)), "prompt", "group"))


def reverse_kl() -> Json:
    own, theirs = logp_all("m0"), logp_all("m1")
    return per_sample(reduce("sum", apply("mul", apply("exp", own), apply("sub", own, theirs)), "vocab"))
