"""A small context-free grammar, because one template said 6,000 times does not read like 6,000 people.

A template is text with `[this|that]` for a choice and `{name}` for a slot; a slot is a fact given by the caller or
another rule. Choices nest, and the value of a slot is itself a template.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

Option = TypeVar("Option")

_TOKEN = re.compile(r"\[|\]|\||\{\w+\}|[^\[\]|{}]+")


class Draws:
    """Uniform numbers in [0, 1), handed out one by one and in a circle where a text needs more than there are.

    They are drawn in one block, which is far cheaper than asking numpy each time.
    """

    def __init__(self, values: Sequence[float]) -> None:
        self._values = values
        self._position = 0

    def uniform(self) -> float:
        """The next number in [0, 1)."""
        value = self._values[self._position % len(self._values)]
        self._position += 1
        return value

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self.uniform() < probability

    def pick(self, options: Sequence[Option]) -> Option:
        """One of the options, each as likely."""
        return options[int(self.uniform() * len(options))]


@dataclass(frozen=True)
class Slot:
    """A place to fill from the facts or from another rule."""

    name: str


@dataclass(frozen=True)
class Choice:
    """One of several templates."""

    options: tuple["Template", ...]


Template = tuple["str | Slot | Choice", ...]


def parse(text: str) -> Template:
    """Reads text with `[a|b]` and `{slot}`.

    Raises:
        ValueError: A bracket or a brace is not closed.
    """
    tokens = _TOKEN.findall(text)
    if "".join(tokens) != text:
        raise ValueError(f"a brace is not closed in {text!r}")
    template, end = _parse_until(tokens, 0, inside=False)
    if end != len(tokens):
        raise ValueError(f"a bracket is not opened in {text!r}")
    return template


def _parse_until(tokens: list[str], start: int, inside: bool) -> tuple[Template, int]:
    parts: list[str | Slot | Choice] = []
    position = start
    while position < len(tokens):
        token = tokens[position]
        if token == "[":
            options: list[Template] = []
            while token != "]":
                option, position = _parse_until(tokens, position + 1, inside=True)
                if position == len(tokens):
                    raise ValueError(f"a bracket is not closed in {''.join(tokens)!r}")
                options.append(option)
                token = tokens[position]
            parts.append(Choice(tuple(options)))
        elif token == "]" or (token == "|" and inside):
            break
        else:
            parts.append(Slot(token[1:-1]) if token[0] == "{" else token)
        position += 1
    return tuple(parts), position


def slots_of(template: Template) -> set[str]:
    """Names of every slot in a template, those inside choices too."""
    names: set[str] = set()
    for part in template:
        if isinstance(part, Slot):
            names.add(part.name)
        elif isinstance(part, Choice):
            for option in part.options:
                names |= slots_of(option)
    return names


class Facts(dict[str, str]):
    """What slots stand for, and which of them were used: a clause said once is not said again."""

    def __init__(self, facts: Mapping[str, str]) -> None:
        super().__init__(facts)
        self.used: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.used.add(name)
        return super().__getitem__(name)


class Grammar:
    """Rules by name, each a list of templates, expanded at random."""

    def __init__(self, rules: Mapping[str, Sequence[str]]) -> None:
        self.rules = {name: tuple(texts) for name, texts in rules.items()}
        self._needs = {
            name: tuple(frozenset(slots_of(parse(text)) - rules.keys()) for text in texts)
            for name, texts in self.rules.items()
        }
        self._parsed: dict[str, Template] = {}

    def expand(self, rule: str, facts: Mapping[str, str], draws: Draws) -> str:
        """Says one of the rule's templates, among those whose facts are all there; "" where there is none.

        A fact hides a rule of the same name.
        """
        known = facts.keys()
        possible = [text for text, needs in zip(self.rules[rule], self._needs[rule], strict=True) if needs <= known]
        return self.fill(draws.pick(possible), facts, draws) if possible else ""

    def fill(self, text: str, facts: Mapping[str, str], draws: Draws) -> str:
        """Say one template.

        Raises:
            KeyError: A slot is neither a fact nor a rule.
        """
        if "{" not in text and "[" not in text:
            return text
        template = self._parsed.get(text)
        if template is None:
            template = self._parsed[text] = parse(text)
        return self._say(template, facts, draws)

    def _say(self, template: Template, facts: Mapping[str, str], draws: Draws) -> str:
        said: list[str] = []
        for part in template:
            if isinstance(part, str):
                said.append(part)
            elif isinstance(part, Choice):
                said.append(self._say(draws.pick(part.options), facts, draws))
            elif part.name in facts:
                said.append(self.fill(facts[part.name], facts, draws))
            else:
                said.append(self.expand(part.name, facts, draws))
        return "".join(said)
