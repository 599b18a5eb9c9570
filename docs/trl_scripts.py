"""The scripts of TRL's documentation beside their programs: a part of `docs/from-trl.md`."""

from __future__ import annotations

from pathlib import Path
from textwrap import fill

FOLDER = Path(__file__).resolve().parent / "from_trl"

HEAD = """\
## Scripts

What TRL's documentation begins with, trainer by trainer, and the program that does the same. Each pair is a test
(`tests/test_from_trl_scripts.py`): trained on the same rows, in the same order, from the same weights, both end in the
same weights, within 1e-4. What they have in common and where they differ in minimising stands in [Against
TRL](against-trl.md), how to come from a longer script in [Porting a DPO script](porting-a-dpo-script.md).
"""

NOTES = {
    "sft": (
        "Supervised fine-tuning",
        "Without `assistant_only_loss=True` TRL trains the model to write its users' questions, too; here that is an "
        'error, and `mask = "assistant"` what is meant where nothing is said. Of a `prompt` and its `completion` TRL '
        "also learns what a template writes behind the end of a turn (ChatML's line feed); here the token that ends "
        "the turn is the last. TRL cuts a row that is too long and says nothing; here it is an error that names it, "
        "unless `truncate` says otherwise.",
    ),
    "dpo": (
        "Preferences",
        "TRL makes a reference of the weights that it loads; here it has a name, and has to be what the policy starts "
        "from. The two sides of a pair may each be the whole conversation, as here, or follow a `prompt`. A prompt of "
        "plain text is a user's turn here where the model has a chat template; TRL hands it to the model as it is.",
    ),
    "grpo": (
        "Rewards",
        "`per_device_train_batch_size=64` are 64 completions, of 8 prompts. TRL's `GRPOTrainer` minimises DAPO's token "
        'mean unless `loss_type="grpo"` is said, with one epsilon for both sides. `require` looks at 64 prompts before '
        "anything is trained. In the test TRL is given the responses that `ptc run` drew, and judges them by its own "
        "`accuracy_reward`.",
    ),
    "reward": (
        "Reward models",
        "A pair that is longer than `max_length` is left out by TRL; `truncate` says that here. The head is made of "
        "the program's seed. What comes out is a folder that `AutoModelForSequenceClassification` loads.",
    ),
    "gkd": (
        "Teachers",
        "TRL throws a coin for each batch, whether it learns from the rows or from what the student says now "
        "(`lmbda`); here both are terms of one loss, with weights. TRL learns the last turn of a conversation, "
        '`mask = "last"`, and cuts it on the left. The test compares both sides of the coin, each by itself.',
    ),
}


def scripts() -> str:
    parts = [HEAD]
    for name, (title, note) in NOTES.items():
        python, program = ((FOLDER / f"{name}.{kind}").read_text(encoding="utf-8").rstrip() for kind in ("py", "pt"))
        parts.append(f"### {title}\n\n```python\n{python}\n```\n\n```pt\n{program}\n```\n\n{fill(note, 118)}\n")
    return "\n".join(parts)
