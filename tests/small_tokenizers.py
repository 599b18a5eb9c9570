"""Small real tokenizers after the families of the field, each with its chat template and its ways."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

CORPUS = (
    "You are a helpful assistant. What is the capital of France? The capital of France is Paris.",
    "What is 2 + 2? It is 4.",
    "<think>The user asks for a sum, so I add the two numbers.</think> The answer is 12. #### 12 \\boxed{7}\n\n",
    "system user assistant tool tool_call tool_response name arguments weather city temperature degrees",
)

CHATML = (
    "{% if tools %}{{ '<|im_start|>system\n# Tools\n' }}"
    "{% for tool in tools %}{{ tool | tojson }}{{ '\n' }}{% endfor %}"
    "{{ '<|im_end|>\n' }}{% endif %}"
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] or [] %}{{ part['text'] }}{% endfor %}{% endif %}"
    "{% for call in message['tool_calls'] or [] %}{{ '<tool_call>' + (call['function'] | tojson) + '</tool_call>' }}"
    "{% endfor %}{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""Qwen2.5's way: every turn ends in the token that ends a sequence, and a line feed."""
LLAMA = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + message['content'] | trim + '<|eot_id|>' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
"""Llama 3's way: one beginning of sequence, and contents without the blanks around them."""
THINKING = (
    "{% for message in messages %}{% set content = message['content'] %}"
    "{% if message['role'] == 'assistant' and not loop.last %}"
    "{% set content = content.split('</think>')[-1] %}{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""Qwen3's way: what was thought in earlier turns is taken out of the history."""
NO_END = CHATML.replace("{{ '<|im_end|>\n' }}{% endfor %}{% if add", "{{ '\n' }}{% endfor %}{% if add")
"""A template that ends no turn."""
GLM = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>\n' + message['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)
"""GLM's way: the next turn's header is what ends a turn."""
TWO_BEGINNINGS = "{{ bos_token }}" + LLAMA
NO_HEADER = CHATML.replace("{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}", "")
"""A template that does not know `add_generation_prompt`."""

_CHATML = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_LLAMA = ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|finetune_right_pad_id|>")
_GLM = ("<|endoftext|>", "<|user|>", "<|assistant|>", "<|system|>", "<|observation|>")


@cache
def _bytes(special: tuple[str, ...], size: int) -> str:
    """Byte-level BPE, trained in an instant, as JSON."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer=trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    return str(tokenizer.to_str())


def _made(special: tuple[str, ...], template: str, size: int = 400, **named: str) -> PreTrainedTokenizerFast:
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(_bytes(special, size)), **named)
    tokenizer.chat_template = template
    return tokenizer


def chatml(template: str = CHATML, size: int = 400) -> PreTrainedTokenizerFast:
    return _made(_CHATML, template, size, eos_token="<|im_end|>", pad_token="<|endoftext|>")


def llama(template: str = LLAMA) -> PreTrainedTokenizerFast:
    return _made(
        _LLAMA, template, bos_token="<|begin_of_text|>", eos_token="<|eot_id|>", pad_token="<|finetune_right_pad_id|>"
    )


def glm() -> PreTrainedTokenizerFast:
    return _made(_GLM, GLM, eos_token="<|endoftext|>", pad_token="<|endoftext|>")


CONFIG = """\
{"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "vocab_size": %d, "max_position_embeddings": %d,
 "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
 "num_key_value_heads": 2, "head_dim": 16%s}
"""


def model_folder(folder: Path, tokenizer: PreTrainedTokenizerFast, context: int = 4096, more: str = "") -> Path:
    """A folder with a model's headers: what a check looks at, without weights."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(folder)
    (folder / "config.json").write_text(CONFIG % (len(tokenizer), context, more), encoding="utf-8")
    return folder
