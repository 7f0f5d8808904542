"""What a reviewer thinks of a product: clauses of praise and of complaint that follow its hidden strengths."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rec_sys.data.sample.grammar import Draws, Facts
from rec_sys.data.sample.vocabulary import Aspect, Kind

# Clauses that begin like a sentence of their own; only they can follow an "and" or a "but".
_SUBJECT: Final = re.compile(
    r"(the|it|they|i|i've|my|you|we|these|those|this|that|there|there's|one|two|every|everything|a|no|all)\b", re.I
)
# Complaints about something that broke: too much for a good review, and the only ones that come "within a week".
_FAILURE: Final = re.compile(
    r"\b(died|dead|quit|broke|broken|snapped|cracked?|burning|silent|junk|joke|fail(ed|ing)?|useless|disaster|terrible"
    r"|came (apart|off|loose|bent)|fell (off|out)|ripped|tore|split|peel(ed|ing)|stripped|blood|nightmare|will not"
    r"|won't|unravell(ed|ing)|crash(es)?|rusted|popped|gave out|went out|cut out|lost)\b"
)
_PERIOD: Final = re.compile(r"\b(days?|weeks?|months?|minutes?|hours?|first|second|third|time|arrival|box)\b")
_KIND: Final = ""  # the name of the aspect that is special about a kind of product
_NOISE: Final = 2.4  # how far reviewers of one product differ in what strikes them; its qualities deviate by 1


@dataclass(frozen=True)
class Opinion:
    """A clause about a product; `aspect` is "" where it is about what is special about the kind."""

    clause: str
    aspect: str


class Opinions:
    """A reviewer's praise and complaints, the most telling first, used up as they are said."""

    def __init__(self, strengths: Sequence[Opinion], weaknesses: Sequence[Opinion]) -> None:
        self._sides = (("good", "tag", list(strengths)), ("bad", "tag_bad", list(weaknesses)))

    def copy(self) -> "Opinions":
        """The same opinions, to be used up on their own."""
        (_, _, strengths), (_, _, weaknesses) = self._sides
        return Opinions(strengths, weaknesses)

    def offer(self, facts: Facts) -> None:
        """Put the next clauses among the facts: `good`, `good2`, `tag` and the like for praise, `bad` ... for the rest.

        `good_full` is there where the clause can follow an "and", `bad_fail` where it can follow "within a week"; `tag`
        is the aspect it speaks of.
        """
        for clause, tag, opinions in self._sides:
            for name in (clause, f"{clause}_full", f"{clause}_fail", f"{clause}2", tag, f"{tag}_is"):
                facts.pop(name, None)
            if opinions:
                facts[clause] = opinions[0].clause
                if _SUBJECT.match(opinions[0].clause):
                    facts[f"{clause}_full"] = opinions[0].clause
                    if _FAILURE.search(opinions[0].clause) and not _PERIOD.search(opinions[0].clause):
                        facts[f"{clause}_fail"] = opinions[0].clause
                if opinions[0].aspect != _KIND:
                    facts[tag] = opinions[0].aspect
                    is_plural = opinions[0].aspect.endswith("s") and not opinions[0].aspect.endswith("ss")
                    facts[f"{tag}_is"] = "are" if is_plural else "is"
            if len(opinions) > 1:
                facts[f"{clause}2"] = opinions[1].clause
        facts.used.clear()

    def withdraw(self, facts: Facts) -> None:
        """Forget the clauses that were said since the offer."""
        for clause, tag, opinions in self._sides:
            first = {clause, f"{clause}_full", f"{clause}_fail", tag}
            count = 2 if f"{clause}2" in facts.used else 1 if facts.used & first else 0
            del opinions[:count]


def form_opinions(
    kind: Kind, aspects: Sequence[Aspect], quality: Sequence[float], stars: int, draws: Draws
) -> Opinions:
    """Lets a reviewer find strengths and weaknesses; no aspect is both praised and blamed.

    `quality` says how good each of the family's aspects is, and last what is special about the kind; the stars decide
    how many are praised.
    """
    ranked = [
        (value + _NOISE * draws.uniform(), Opinion(draws.pick(aspect.praise), aspect.name), draws.pick(aspect.gripes))
        for value, aspect in zip(quality, aspects, strict=False)
        if aspect.name not in kind.skips
    ]
    # What is special about a kind is talked about most.
    special = quality[len(aspects)] + (0.5 if stars >= 3 else -0.5)
    praise = Opinion(draws.pick(kind.praise), _KIND)
    ranked.append((special + _NOISE * draws.uniform(), praise, draws.pick(kind.gripes)))
    ranked.sort(key=lambda entry: entry[0])
    most = len(ranked) - 1
    num_weak = {5: min(1, most), 4: min(1, most), 3: len(ranked) // 2}.get(stars, max(1, most))
    weaknesses = [Opinion(gripe, good.aspect) for _, good, gripe in ranked[:num_weak]]
    strengths = [good for _, good, _ in reversed(ranked[num_weak:])]
    if stars >= 4:
        weaknesses = [opinion for opinion in weaknesses if not _FAILURE.search(opinion.clause)]
    same = {_KIND, kind.about}  # both names of one thing: keep the side that fits the stars
    if any(o.aspect in same for o in weaknesses) and any(o.aspect in same for o in strengths):
        if stars >= 3:
            weaknesses = [opinion for opinion in weaknesses if opinion.aspect not in same]
        else:
            strengths = [opinion for opinion in strengths if opinion.aspect not in same]
    return Opinions(strengths, weaknesses)
