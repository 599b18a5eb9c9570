"""``where tokenizer(teacher) == tokenizer(student)``: what an objective asks of its models and numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ptc.compiler import core
from ptc.compiler.findings import Findings, at
from ptc.compiler.mathematics.constants import Constants
from ptc.compiler.mathematics.forwards import OWN_TOKENS
from ptc.compiler.meaning import same_tokenizer
from ptc.compiler.objectives.call import Call, Given
from ptc.lang import ast

PROPERTIES: dict[str, Callable[[core.ModelType], object]] = {
    "tokenizer": lambda kind: kind.tokenizer,
    "template": lambda kind: kind.template,
    "end_of_sequence": lambda kind: kind.end_of_sequence,
    "head": lambda kind: kind.head,
}
IN_WORDS = {"template": "chat template", "end_of_sequence": "end of a response", "head": "head"}


@dataclass(frozen=True)
class Preconditions:
    """Checks what an objective says under ``where``."""

    findings: Findings

    def hold(self, call: Call, given: Given) -> bool:
        wheres = [statement for statement in call.objective.body if isinstance(statement, ast.Where)]
        return all([self._holds(call, given, where.condition) for where in wheres])

    def one_tokenizer(self, call: Call, given: Given, loss: core.Expression) -> bool:
        """Whether the models that a loss asks about the same tokens share a tokenizer, if nobody has said so."""
        parts = (part for part in loss.walk() if OWN_TOKENS not in part.fields)
        read = dict.fromkeys(role for part in parts for role in part.models)
        parameters = {role: name for name, role in given.roles.items() if role in read}
        learner = next((role for role in read if role.verb == "train"), None)
        if learner is None:
            return True
        pairs = [(role, learner) for role in read if role is not learner]
        return all(self._same_tokenizer(call, [parameters[role] for role in pair], [*pair], given) for pair in pairs)

    def _holds(self, call: Call, given: Given, condition: ast.Expr) -> bool:
        """Whether a condition holds, as far as it can be decided; a report if it does not."""
        if isinstance(condition, ast.Binary) and condition.op == "and":
            return self._holds(call, given, condition.left) and self._holds(call, given, condition.right)
        if isinstance(condition, ast.Binary) and condition.op in ("==", "!="):
            asked = [(_property(side), side) for side in (condition.left, condition.right)]
            if any(found is not None for found, _ in asked):
                return self._models(call, given, condition)
        known = Constants({}, given.numbers, given.models).of(condition, 0)
        if known is None and not any(isinstance(value, core.Anneal) for value in given.numbers.values()):
            return self._unreadable(call, condition)
        if known == 0:
            self._unmet(call, given, condition)
            return False
        return True

    def _models(self, call: Call, given: Given, condition: ast.Binary) -> bool:
        sides = [_property(side) or side for side in (condition.left, condition.right)]
        names = [side[1] for side in sides if isinstance(side, tuple)]
        if any(name not in given.models for name in names):
            return self._unreadable(call, condition)
        if any(given.models[name] is None for name in names):
            return True
        roles = [given.roles[name] for name in names]
        values = [_value(side, given) for side in sides]
        if all(isinstance(side, tuple) and side[0] == "tokenizer" for side in sides):
            return self._same_tokenizer(call, names, roles, given)
        if None in values or (values[0] == values[1]) == (condition.op == "=="):
            return True
        what = next(IN_WORDS.get(side[0], side[0]) for side in sides if isinstance(side, tuple))
        labels = [at(call.place(name), f"`{role.name}`") for name, role in zip(names, roles, strict=True)]
        title = f"`{call.name}` needs models that share their {what}"
        if len(names) == 1:
            has = next(value for side, value in zip(sides, values, strict=True) if isinstance(side, tuple))
            title = f"`{call.name}` does not work with the {what} of `{roles[0].name}`"
            labels = [at(call.place(names[0]), f"its {what} is {has}")]
        self.findings.add("T115", title, labels, helps=self._helps(condition, roles))
        return False

    def _helps(self, condition: ast.Binary, roles: list[core.Role]) -> list[str]:
        literal = next((side.value for side in (condition.left, condition.right) if isinstance(side, ast.String)), "")
        head = {"value": "value_head", "reward": "reward_head"}.get(literal)
        return [f"{roles[0].verb} {roles[0].name} = {head}({roles[0].init.name or '…'})"] if head else []

    def _same_tokenizer(self, call: Call, names: list[str], roles: list[core.Role], given: Given) -> bool:
        first, second = roles
        if same_tokenizer(first.type.tokenizer, second.type.tokenizer) is not False:
            return True
        self.findings.add(
            "D401",
            f"`{first.name}` and `{second.name}` do not share a tokenizer",
            [
                at(call.place(names[0]), f"`{call.name}` compares the two token by token"),
                at(first.span, _tokens(first)),
                at(second.span, _tokens(second)),
            ],
            ["a token of the one means something else to the other"],
            [*_one_tokenizer(first, second), *_without_one(call, given, roles)],
        )
        return False

    def _unmet(self, call: Call, given: Given, condition: ast.Expr) -> None:
        named = [name for name in given.numbers if any(found.id == name for found in _names(condition))]
        told = [name for name in named if name in call.bound.given]
        where = [at(call.place(name), f"`{name}` is {given.numbers[name]:g}") for name in told]
        usual = [f"`{name}` is {given.numbers[name]:g} where nothing is said" for name in named if name not in told]
        self.findings.add(
            "T115",
            f"`{call.name}` does not work with these numbers",
            [*(where or [at(call.span, "as it is called here")]), at(condition.span, "what it asks for")],
            usual,
        )

    def _unreadable(self, call: Call, condition: ast.Expr) -> bool:
        self.findings.add(
            "T115",
            "`where` compares numbers of the head, or what two of its models have",
            [at(condition.span, "neither"), at(call.span, f"`{call.name}` is used here")],
            [f"of a model it asks for {', '.join(PROPERTIES)}"],
            ["where tokenizer(teacher) == tokenizer(student)"],
        )
        return False


def _property(expr: ast.Expr) -> tuple[str, str] | None:
    """``tokenizer(teacher)`` → ``("tokenizer", "teacher")``."""
    match expr:
        case ast.Call(callee=ast.Name(id=what), arguments=(ast.Argument(value=ast.Name(id=name)),)):
            return (what, name) if what in PROPERTIES else None
        case _:
            return None


def _value(side: tuple[str, str] | ast.Expr, given: Given) -> object:
    if isinstance(side, tuple):
        return PROPERTIES[side[0]](given.roles[side[1]].type)
    return side.value if isinstance(side, ast.String) else None


def _names(expr: ast.Expr) -> list[ast.Name]:
    match expr:
        case ast.Name():
            return [expr]
        case ast.Unary(operand=operand):
            return _names(operand)
        case ast.Binary(left=left, right=right):
            return [*_names(left), *_names(right)]
        case _:
            return []


def _one_tokenizer(first: core.Role, second: core.Role) -> list[str]:
    """A model that is made here may have any tokenizer; one that was trained before has its own."""
    made = second.init.kind == "new_model"
    return [f"tokenizer = tokenizer({first.init.name or first.name})"] if made else []


def _without_one(call: Call, given: Given, roles: list[core.Role]) -> list[str]:
    """What can be learned from a teacher whose tokens are others."""
    teacher = next((role for role in roles if role.verb == "freeze"), None)
    student = next((role for role in roles if role.verb == "train"), None)
    rows = next((name for name in map(call.written, given.sources) if name), "…")
    answers = any(source.type.has("response") for source in given.sources.values())
    text = f"or learn from its text instead:  minimize sft(…, {roles[-1].name})"
    if teacher is None or student is None or not answers:
        return [text]
    return [f"or compare sorted probabilities instead:  minimize uld({rows}, {student.name}, {teacher.name})", text]


def _tokens(role: core.Role) -> str:
    """How many tokens a model knows, where that is known."""
    size = role.type.vocabulary
    return f"`{role.name}` has a tokenizer of its own" + (f": {size:,} tokens" if size is not None else "")
