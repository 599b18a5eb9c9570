"""Made-up rows in the published shape of every data set that the recipes name: its columns, not its content."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from made_up import Pool, Task

Row = dict[str, Any]
Made = Callable[[Pool], Task]
ROWS = 16

ARITHMETIC, HEAT, FUNCTION, NOTE = Pool.arithmetic, Pool.heat, Pool.function, Pool.note
CONSTRAINT, WISH = Pool.constraint, Pool.wish
ANY = (ARITHMETIC, FUNCTION, NOTE, HEAT, CONSTRAINT, WISH)


def tasks(pool: Pool, kinds: tuple[Made, ...], count: int = ROWS) -> Iterator[tuple[int, Task]]:
    for number in range(count):
        yield number, kinds[number % len(kinds)](pool)


def turns(prompt: str, response: str) -> list[Row]:
    return [{"role": "user", "content": prompt}, {"role": "assistant", "content": response}]


def thought(task: Task, answer: str | None = None) -> str:
    """An answer, by default the good one, behind a train of thought."""
    return f"<think>\n{task.reasoning}\n</think>\n\n{answer or task.good}"


def messages(kinds: tuple[Made, ...], think: bool = False, **more: Any) -> Callable[[Pool], list[Row]]:
    """`messages` beside an id and a source."""
    return lambda pool: [
        {"id": f"row-{number}", "messages": turns(task.prompt, thought(task) if think else task.good), **more}
        for number, task in tasks(pool, kinds)
    ]


def conversations(pool: Pool) -> list[Row]:
    domains = {ARITHMETIC: "math", FUNCTION: "code", HEAT: "science"}
    kinds = (ARITHMETIC, ARITHMETIC, FUNCTION, HEAT)
    return [
        {
            "difficulty": 5 + number % 4,
            "source": "made up",
            "domain": domains[kinds[number % 4]],
            "conversations": [{"from": "human", "value": task.prompt}, {"from": "gpt", "value": thought(task)}],
        }
        for number, task in tasks(pool, kinds)
    ]


def pairs(kinds: tuple[Made, ...], think: bool = False, **more: Any) -> Callable[[Pool], list[Row]]:
    """`prompt` with `chosen` and `rejected` as conversations."""
    return lambda pool: [
        {
            "prompt": task.prompt,
            "chosen": turns(task.prompt, thought(task) if think else task.good),
            "rejected": turns(task.prompt, thought(task, task.bad) if think else task.bad),
            **more,
        }
        for _, task in tasks(pool, kinds)
    ]


def scored_pairs(pool: Pool) -> list[Row]:
    return [
        {
            "prompt": task.prompt,
            "prompt_id": f"{number:08x}",
            "chosen": turns(task.prompt, task.good),
            "rejected": turns(task.prompt, task.bad),
            "messages": turns(task.prompt, task.good),
            "score_chosen": 8.5,
            "score_rejected": 4.0,
        }
        for number, task in tasks(pool, (NOTE, ARITHMETIC))
    ]


def columns(
    kinds: tuple[Made, ...], shape: Callable[[int, Task], Row], count: int = ROWS
) -> Callable[[Pool], list[Row]]:
    """Rows of a flat table."""
    return lambda pool: [shape(number, task) for number, task in tasks(pool, kinds, count)]


def rlvr(kinds: dict[Made, str], **more: Any) -> Callable[[Pool], list[Row]]:
    """`messages` without an answer, with its `ground_truth` and the verifier's name in `dataset`."""

    def made(pool: Pool) -> list[Row]:
        makers = tuple(kinds)
        return [
            {
                "messages": [{"role": "user", "content": task.prompt}],
                "ground_truth": task.answer,
                "dataset": kinds[makers[number % len(makers)]],
                **more,
            }
            for number, task in tasks(pool, makers)
        ]

    return made


def commonsense(pool: Pool) -> list[Row]:
    rows = []
    for number in range(ROWS):
        task, texts = pool.choice()
        choices = {"label": list("ABCDE"), "text": texts}
        concept = task.prompt.split()[4]
        rows.append(
            {
                "id": f"{number:032x}",
                "question": task.prompt,
                "question_concept": concept,
                "choices": choices,
                "answerKey": task.answer,
            }
        )
    return rows


def chat_prompts(pool: Pool) -> list[Row]:
    return [
        {"prompt": task.prompt, "prompt_id": f"{number:08x}", "messages": turns(task.prompt, task.good)}
        for number, task in tasks(pool, (NOTE, CONSTRAINT, HEAT))
    ]


def apps(pool: Pool) -> list[Row]:
    return columns(
        (FUNCTION,),
        lambda number, task: {
            "problem_id": number,
            "question": task.prompt,
            "solutions": json.dumps([task.good]),
            "input_output": json.dumps({"tests": [task.answer]}),
            "difficulty": "introductory",
            "url": "",
            "starter_code": "",
        },
    )(pool)


def luffy(pool: Pool) -> list[Row]:
    return columns(
        (ARITHMETIC,),
        lambda number, task: {
            "data_source": "openr1",
            "prompt": [{"role": "user", "content": task.prompt}],
            "target": [{"role": "assistant", "content": thought(task)}],
            "ability": "math",
            "reward_model": {"ground_truth": task.answer, "style": "rule"},
            "extra_info": {"index": number, "split": "train"},
        },
    )(pool)


def tools(pool: Pool) -> list[Row]:
    """Conversations in which the assistant may call a tool."""
    adder = {"name": "add", "description": "Adds whole numbers.", "parameters": {"numbers": "list of integers"}}
    return [
        {
            "messages": turns(task.prompt, thought(task)),
            "tools": [adder] if number % 2 else [],
            "category": "made up",
            "generator": "DeepSeek-R1-0528",
            "thinking": True,
        }
        for number, task in tasks(pool, ANY)
    ]


def competition(number: int, task: Task) -> Row:
    return {
        "id": number,
        "problem": task.prompt,
        "solution": task.good,
        "answer": task.answer,
        "url": "",
        "year": "2024",
    }


def mathematics(number: int, task: Task) -> Row:
    return {
        "problem": task.prompt,
        "solution": task.good,
        "answer": task.answer,
        "subject": "Arithmetic",
        "level": 1 + number % 5,
        "unique_id": f"arithmetic/{number}.json",
    }


DATASETS: dict[str, Callable[[Pool], list[Row]]] = {
    # Mathematics
    "zwhe99/DeepMath-103K.train": columns(
        (ARITHMETIC,),
        lambda number, task: {
            "question": task.prompt,
            "final_answer": task.answer,
            "difficulty": 4.0 + number % 5,
            "topic": "Arithmetic",
            "r1_solution_1": thought(task),
        },
    ),
    "agentica-org/DeepScaleR-Preview-Dataset.train": columns(
        (ARITHMETIC,),
        lambda _, task: {"problem": task.prompt, "answer": task.answer, "solution": task.good},
        24,
    ),
    "nvidia/Nemotron-Cascade-RL-Math.train": columns(
        (ARITHMETIC,), lambda _, task: {"problem": task.prompt, "answer": task.answer, "source": "made up"}
    ),
    "nlile/hendrycks-MATH-benchmark.train": columns((ARITHMETIC,), mathematics),
    "HuggingFaceH4/MATH-500.test": columns((ARITHMETIC,), mathematics),
    "HuggingFaceH4/aime_2024.train": columns((ARITHMETIC,), competition, 30),
    "math-ai/aime25.test": columns(
        (ARITHMETIC,), lambda number, task: {"problem": task.prompt, "answer": task.answer, "id": str(number)}, 30
    ),
    "openai/gsm8k.main.test": columns(
        (ARITHMETIC,),
        lambda _, task: {"question": task.prompt, "answer": f"{task.reasoning}\n#### {task.answer}"},
    ),
    "Elliott/Openr1-Math-46k-8192.train": luffy,
    # Code
    "PrimeIntellect/verifiable-coding-problems.train": columns(
        (FUNCTION,),
        lambda number, task: {
            "source": "made up",
            "task_type": "verifiable_code",
            "in_source_id": str(number),
            "prompt": task.prompt,
            "gold_standard_solution": task.good,
            "verification_info": json.dumps({"language": "python", "test_cases": [task.answer]}),
            "metadata": "{}",
            "problem_id": f"vfc_{number}",
        },
    ),
    "codeparrot/apps.train": apps,
    "codeparrot/apps.test": apps,
    "openai/openai_humaneval.test": columns(
        (FUNCTION,),
        lambda number, task: {
            "task_id": f"HumanEval/{number}",
            "prompt": task.prompt,
            "canonical_solution": task.good,
            "test": task.answer,
            "entry_point": "solve",
        },
    ),
    "livecodebench/code_generation_lite.test": columns(
        (FUNCTION,),
        lambda number, task: {
            "question_title": f"Problem {number}",
            "question_content": task.prompt,
            "platform": "made up",
            "question_id": str(number),
            "contest_date": "2025-02-01",
            "starter_code": "",
            "difficulty": "medium",
            "public_test_cases": json.dumps([task.answer]),
            "private_test_cases": json.dumps([task.answer]),
        },
    ),
    "nvidia/Nemotron-RL-lucy-competitive_coding.train": columns(
        (FUNCTION,), lambda _, task: {"prompt": task.prompt, "unit_tests": task.answer, "source": "made up"}
    ),
    "nvidia/Nemotron-Cascade-RL-SWE.train": columns(
        (FUNCTION,),
        lambda number, task: {
            "instance_id": f"made__up-{number}",
            "prompt": task.prompt,
            "golden_patch": task.good,
            "source": "made up",
        },
    ),
    "princeton-nlp/SWE-bench_Verified.test": columns(
        (FUNCTION,),
        lambda number, task: {
            "repo": "made/up",
            "instance_id": f"made__up-verified-{number}",
            "problem_statement": task.prompt,
            "patch": task.good,
            "FAIL_TO_PASS": task.answer,
        },
    ),
    # Science
    "TIGER-Lab/WebInstruct-verified.train": columns(
        (HEAT,),
        lambda number, task: {
            "id": number,
            "question": task.prompt,
            "answer": task.answer,
            "answer_type": "Integer",
            "category": "Physics",
            "difficulty": "Senior High School",
        },
    ),
    "tau/commonsense_qa.train": commonsense,
    "tau/commonsense_qa.validation": commonsense,
    # Instructions with a rule to follow
    "google/IFEval.train": columns(
        (CONSTRAINT,),
        lambda number, task: {
            "key": 1000 + number,
            "prompt": task.prompt,
            "instruction_id_list": ["punctuation:no_comma"],
            "kwargs": [{}],
        },
    ),
    "nvidia/Nemotron-Cascade-RL-Instruction-Following.train": columns(
        (CONSTRAINT,),
        lambda _, task: {"prompt": task.prompt, "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]},
    ),
    "allenai/RLVR-GSM.train": rlvr({ARITHMETIC: "gsm8k"}),
    "allenai/RLVR-MATH.train": rlvr({HEAT: "MATH"}),
    "allenai/RLVR-IFeval.train": rlvr({CONSTRAINT: "ifeval"}, constraint_type="No Commas", constraint="Use no comma."),
    "allenai/Dolci-Think-RL-7B.train": rlvr(
        {ARITHMETIC: "math", FUNCTION: "code", CONSTRAINT: "ifeval", NOTE: "general-quality_ref"}
    ),
    "allenai/Dolci-RL-Zero-Math-7B.train": rlvr({ARITHMETIC: "math"}),
    # Demonstrations
    "allenai/tulu-3-sft-mixture.train": messages(ANY, source="made up"),
    "allenai/Dolci-Think-SFT-7B.train": messages(ANY, think=True, dataset_source="made up"),
    "nvidia/Nemotron-Cascade-SFT-Stage-1.train": tools,
    "nvidia/Nemotron-Cascade-SFT-Stage-2.train": tools,
    "open-thoughts/OpenThoughts3-1.2M.train": conversations,
    "HuggingFaceH4/ultrachat_200k.train_sft": chat_prompts,
    "HuggingFaceH4/ultrachat_200k.test_sft": chat_prompts,
    # Preferences, and what is safe
    "allenai/llama-3.1-tulu-3-8b-preference-mixture.train": pairs(ANY, source="made up"),
    "allenai/Dolci-Think-DPO-7B.train": pairs(
        ANY, think=True, chosen_model="Qwen/Qwen3-32B", rejected_model="Qwen/Qwen3-0.6B"
    ),
    "HuggingFaceH4/ultrafeedback_binarized.train_prefs": scored_pairs,
    "HuggingFaceH4/ultrafeedback_binarized.test_prefs": scored_pairs,
    "trl-lib/hh-rlhf-helpful-base.train": pairs((NOTE, HEAT)),
    "trl-lib/hh-rlhf-helpful-base.test": pairs((NOTE, HEAT)),
    "HuggingFaceH4/cai-conversation-harmless.train_sft": columns(
        (WISH,), lambda _, task: {"init_prompt": task.prompt, "init_response": task.bad, "revision_response": task.good}
    ),
    "HuggingFaceH4/cai-conversation-harmless.train_prefs": columns(
        (WISH,), lambda _, task: {"init_prompt": task.prompt, "init_response": task.bad, "revision_response": task.good}
    ),
    "PKU-Alignment/BeaverTails.330k_train": columns(
        (WISH,),
        lambda number, task: {
            "prompt": task.prompt,
            "response": task.bad if number % 2 else task.good,
            "category": {"theft": bool(number % 2)},
            "is_safe": not number % 2,
        },
    ),
    "PKU-Alignment/BeaverTails.330k_test": columns(
        (WISH,),
        lambda number, task: {
            "prompt": task.prompt,
            "response": task.bad if number % 2 else task.good,
            "category": {"theft": bool(number % 2)},
            "is_safe": not number % 2,
        },
    ),
    "nvidia/Nemotron-Cascade-RL-RLHF.train": columns((NOTE,), lambda _, task: {"prompt": task.prompt}),
    # Chat
    "tatsu-lab/alpaca_eval.eval": columns(
        (NOTE,),
        lambda _, task: {
            "instruction": task.prompt,
            "output": task.good,
            "generator": "text_davinci_003",
            "dataset": "made up",
        },
    ),
    "lmarena-ai/arena-hard-auto-v0.1.train": columns(
        (NOTE, FUNCTION),
        lambda number, task: {"question_id": f"{number:032x}", "category": "arena-hard-v0.1", "prompt": task.prompt},
    ),
}
