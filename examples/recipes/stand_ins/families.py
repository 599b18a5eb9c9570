"""The families of models that the recipes name: their special tokens, chat formats and public shapes.

Shapes, vocabulary sizes, context lengths and token ids are the published ones. The chat formats are written here, in
the manner of each family; the tokenizers are tiny. No weight is anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

CHATML = """\
{%- if tools %}{{ '<|im_start|>system\\nTools:\\n' }}{% for tool in tools %}{{ tool | tojson }}{{ '\\n' }}{% endfor %}\
{{ '<|im_end|>\\n' }}{% endif -%}
{%- for message in messages -%}
{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}
"""

THINKING = CHATML.replace("assistant\\n' }}{%- endif", "assistant\\n<think>\\n' }}{%- endif")
"""A model that cannot but think: its header opens the tag."""

LLAMA_3 = """\
{{- bos_token -}}
{%- for message in messages -%}
{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] + '<|eot_id|>' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif -%}
"""

TULU = """\
{%- for message in messages -%}
{{ '<|' + message['role'] + '|>\\n' + message['content'] }}
{%- if message['role'] == 'assistant' -%}{{ eos_token }}{%- endif -%}{{ '\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|assistant|>\\n' }}{%- endif -%}
"""

ZEPHYR = """\
{%- for message in messages -%}
{{ '<|' + message['role'] + '|>\\n' + message['content'] + eos_token + '\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|assistant|>\\n' }}{%- endif -%}
"""

INST = """\
{{- bos_token -}}
{%- for message in messages -%}
{%- if message['role'] == 'assistant' -%}{{ message['content'] + eos_token }}
{%- else -%}{{ '[INST] ' + message['content'] + ' [/INST]' }}{%- endif -%}
{%- endfor -%}
"""

GEMMA = """\
{{- bos_token -}}
{%- for message in messages -%}
{%- set role = 'model' if message['role'] == 'assistant' else message['role'] -%}
{{ '<start_of_turn>' + role + '\\n' + message['content'] + '<end_of_turn>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<start_of_turn>model\\n' }}{%- endif -%}
"""

DEEPSEEK = """\
{{- bos_token -}}
{%- for message in messages -%}
{%- if message['role'] == 'user' -%}{{ '<｜User｜>' + message['content'] }}
{%- elif message['role'] == 'assistant' -%}{{ '<｜Assistant｜>' + message['content'] + eos_token }}
{%- else -%}{{ message['content'] }}{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<｜Assistant｜>' }}{%- endif -%}
"""


@dataclass(frozen=True)
class Family:
    """What models of one tokenizer share."""

    special: dict[str, int]
    first: int
    """Number of the first plain token."""
    merges: int
    begin: str | None
    end: str
    """What ends a turn."""
    pad: str
    config: dict[str, Any]


QWEN = Family(
    {
        "<|endoftext|>": 151643,
        "<|im_start|>": 151644,
        "<|im_end|>": 151645,
        "<tool_call>": 151657,
        "</tool_call>": 151658,
        "<think>": 151667,
        "</think>": 151668,
    },
    0,
    96,
    None,
    "<|im_end|>",
    "<|endoftext|>",
    {"vocab_size": 151936},
)
OLMO_3 = Family(
    {"<|endoftext|>": 100257, "<|im_start|>": 100264, "<|im_end|>": 100265, "<|pad|>": 100277},
    0,
    92,
    None,
    "<|im_end|>",
    "<|pad|>",
    {"model_type": "olmo3", "architectures": ["Olmo3ForCausalLM"], "vocab_size": 100278},
)
LLAMA = Family(
    {
        "<|begin_of_text|>": 128000,
        "<|end_of_text|>": 128001,
        "<|finetune_right_pad_id|>": 128004,
        "<|start_header_id|>": 128006,
        "<|end_header_id|>": 128007,
        "<|eot_id|>": 128009,
    },
    0,
    88,
    "<|begin_of_text|>",
    "<|eot_id|>",
    "<|finetune_right_pad_id|>",
    {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 128256, "rope_theta": 500_000.0},
)
LLAMA_2 = Family(
    {"<unk>": 0, "<s>": 1, "</s>": 2},
    3,
    84,
    "<s>",
    "</s>",
    "<unk>",
    {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 32000},
)
MISTRAL = Family(
    {"<unk>": 0, "<s>": 1, "</s>": 2},
    3,
    80,
    "<s>",
    "</s>",
    "<unk>",
    {"model_type": "mistral", "architectures": ["MistralForCausalLM"], "vocab_size": 32000, "sliding_window": 4096},
)
DEEPSEEK_V3 = Family(
    {
        "<｜begin▁of▁sentence｜>": 0,
        "<｜end▁of▁sentence｜>": 1,
        "<｜▁pad▁｜>": 2,
        "<think>": 128798,
        "</think>": 128799,
        "<｜User｜>": 128803,
        "<｜Assistant｜>": 128804,
    },
    3,
    76,
    "<｜begin▁of▁sentence｜>",
    "<｜end▁of▁sentence｜>",
    "<｜▁pad▁｜>",
    {"model_type": "deepseek_v3", "architectures": ["DeepseekV3ForCausalLM"], "vocab_size": 129280},
)
GPT_J = Family(
    {"<|endoftext|>": 50256},
    0,
    72,
    None,
    "<|endoftext|>",
    "<|endoftext|>",
    {"model_type": "gptj", "architectures": ["GPTJForCausalLM"], "vocab_size": 50400},
)
GEMMA_1 = Family(
    {"<pad>": 0, "<eos>": 1, "<bos>": 2, "<unk>": 3, "<start_of_turn>": 106, "<end_of_turn>": 107},
    200,
    68,
    "<bos>",
    "<end_of_turn>",
    "<pad>",
    {"model_type": "gemma", "architectures": ["GemmaForCausalLM"], "vocab_size": 256000},
)


@dataclass(frozen=True)
class Stand:
    """One model on the hub, without its weights."""

    name: str
    family: Family
    config: dict[str, Any]
    template: str | None
    end: str | None = None
    """What ends a completion, where it is not the family's."""
    ends: tuple[str, ...] = field(default=())
    """Further tokens that end a completion."""


def shape(hidden: int, layers: int, heads: int, kv_heads: int, wide: int, context: int, **more: Any) -> dict[str, Any]:
    """The part of a `config.json` that says how large a model is."""
    return {
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "intermediate_size": wide,
        "max_position_embeddings": context,
        "attention_dropout": 0.0,
        "torch_dtype": "bfloat16",
        **more,
    }


QWEN_3 = {"model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"], "head_dim": 128, "rope_theta": 1_000_000}
QWEN_2 = {"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"]}
LARGE_VOCABULARY = {"vocab_size": 152064}


def qwen_3(name: str, sizes: tuple[int, int, int, int, int], base: bool, tied: bool = False) -> Stand:
    config = shape(*sizes, 32768 if base else 40960, tie_word_embeddings=tied, **QWEN_3)
    if base:
        return Stand(name, QWEN, config, CHATML, end="<|endoftext|>")
    return Stand(name, QWEN, config, CHATML, ends=("<|endoftext|>",))


Q06 = (1024, 28, 16, 8, 3072)
Q17 = (2048, 28, 16, 8, 6144)
Q4 = (2560, 36, 32, 8, 9728)
Q8 = (4096, 36, 32, 8, 12288)
Q14 = (5120, 40, 40, 8, 17408)
Q32 = (5120, 64, 64, 8, 25600)
QWEN_25_32 = (5120, 64, 40, 8, 27648)
V3 = shape(
    *(7168, 61, 128, 128, 18432, 163840),
    n_routed_experts=256,
    n_shared_experts=1,
    num_experts_per_tok=8,
    moe_intermediate_size=2048,
    q_lora_rank=1536,
    kv_lora_rank=512,
)

MODELS = (
    qwen_3("Qwen/Qwen3-0.6B", Q06, base=False, tied=True),
    qwen_3("Qwen/Qwen3-1.7B", Q17, base=False, tied=True),
    qwen_3("Qwen/Qwen3-4B-Base", Q4, base=True, tied=True),
    qwen_3("Qwen/Qwen3-8B-Base", Q8, base=True),
    qwen_3("Qwen/Qwen3-8B", Q8, base=False),
    qwen_3("Qwen/Qwen3-14B-Base", Q14, base=True),
    qwen_3("Qwen/Qwen3-32B", Q32, base=False),
    Stand("Qwen/QwQ-32B", QWEN, shape(*QWEN_25_32, 40960, **QWEN_2, **LARGE_VOCABULARY), THINKING),
    Stand("Qwen/Qwen2.5-0.5B", QWEN, shape(896, 24, 14, 2, 4864, 32768, **QWEN_2), CHATML, end="<|endoftext|>"),
    Stand("Qwen/Qwen2.5-3B", QWEN, shape(2048, 36, 16, 2, 11008, 32768, **QWEN_2), CHATML, end="<|endoftext|>"),
    Stand(
        "Qwen/Qwen2.5-7B-Instruct",
        QWEN,
        shape(3584, 28, 28, 4, 18944, 32768, **QWEN_2, **LARGE_VOCABULARY),
        CHATML,
        ends=("<|endoftext|>",),
    ),
    Stand(
        "Qwen/Qwen2.5-72B-Instruct",
        QWEN,
        shape(8192, 80, 64, 8, 29568, 32768, **QWEN_2, **LARGE_VOCABULARY),
        CHATML,
        ends=("<|endoftext|>",),
    ),
    Stand(
        "Qwen/Qwen2.5-14B",
        QWEN,
        shape(5120, 48, 40, 8, 13824, 131072, **QWEN_2, **LARGE_VOCABULARY),
        CHATML,
        end="<|endoftext|>",
    ),
    Stand(
        "Qwen/Qwen2.5-32B",
        QWEN,
        shape(*QWEN_25_32, 131072, **QWEN_2, **LARGE_VOCABULARY),
        CHATML,
        end="<|endoftext|>",
    ),
    Stand(
        "Qwen/Qwen2.5-Math-1.5B",
        QWEN,
        shape(1536, 28, 12, 2, 8960, 4096, rope_theta=10_000, tie_word_embeddings=True, **QWEN_2),
        CHATML,
        end="<|endoftext|>",
    ),
    Stand(
        "Qwen/Qwen2.5-Math-7B",
        QWEN,
        shape(3584, 28, 28, 4, 18944, 4096, rope_theta=10_000, **QWEN_2, **LARGE_VOCABULARY),
        CHATML,
        end="<|endoftext|>",
    ),
    Stand(
        "Elliott/Qwen2.5-Math-7B-16k-think",
        QWEN,
        shape(3584, 28, 28, 4, 18944, 16384, rope_theta=40_000, **QWEN_2, **LARGE_VOCABULARY),
        CHATML,
    ),
    Stand("allenai/Olmo-3-1025-7B", OLMO_3, shape(4096, 32, 32, 32, 11008, 65536), None, end="<|endoftext|>"),
    Stand("meta-llama/Llama-3.1-8B", LLAMA, shape(4096, 32, 32, 8, 14336, 131072), None, end="<|end_of_text|>"),
    Stand("meta-llama/Llama-3.1-405B", LLAMA, shape(16384, 126, 128, 8, 53248, 131072), None, end="<|end_of_text|>"),
    Stand(
        "meta-llama/Llama-3.3-70B-Instruct",
        LLAMA,
        shape(8192, 80, 64, 8, 28672, 131072),
        LLAMA_3,
        ends=("<|end_of_text|>",),
    ),
    Stand("meta-llama/Llama-2-70b-hf", LLAMA_2, shape(8192, 80, 64, 8, 28672, 4096), None),
    Stand("meta-llama/Llama-2-70b-chat-hf", LLAMA_2, shape(8192, 80, 64, 8, 28672, 4096), INST),
    Stand("mistralai/Mistral-7B-v0.1", MISTRAL, shape(4096, 32, 32, 8, 14336, 32768), None),
    Stand("mistralai/Mistral-7B-Instruct-v0.1", MISTRAL, shape(4096, 32, 32, 8, 14336, 32768), INST),
    Stand("alignment-handbook/zephyr-7b-sft-full", MISTRAL, shape(4096, 32, 32, 8, 14336, 32768), ZEPHYR),
    Stand("deepseek-ai/DeepSeek-V3-Base", DEEPSEEK_V3, V3, DEEPSEEK),
    Stand("deepseek-ai/DeepSeek-V3", DEEPSEEK_V3, V3, DEEPSEEK),
    Stand(
        "EleutherAI/gpt-j-6b",
        GPT_J,
        {"n_embd": 4096, "n_layer": 28, "n_head": 16, "n_positions": 2048, "resid_pdrop": 0.0, "attn_pdrop": 0.0},
        None,
    ),
    Stand("google/gemma-7b", GEMMA_1, shape(3072, 28, 16, 16, 24576, 8192, head_dim=256), None, end="<eos>"),
    Stand(
        "weqweasdas/RM-Gemma-7B",
        GEMMA_1,
        shape(
            *(3072, 28, 16, 16, 24576, 8192),
            head_dim=256,
            architectures=["GemmaForSequenceClassification"],
            id2label={"0": "LABEL_0"},
        ),
        GEMMA,
    ),
    Stand("google/gemma-7b-it", GEMMA_1, shape(3072, 28, 16, 16, 24576, 8192, head_dim=256), GEMMA),
)
