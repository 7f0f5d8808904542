"""The reviews' words: what is said follows from the stars, the product's strengths and weaknesses, and who writes.

A review is a row of moves (an opening, who is writing, praise, a complaint, a comparison, ...), each a rule of the
grammar, each made with a probability that depends on the stars and on how long the writer feels like writing.
"""

import re
from bisect import bisect
from typing import Final

from rec_sys.data.sample.catalogue import Catalogue
from rec_sys.data.sample.circumstances import Circumstances, Occasion
from rec_sys.data.sample.grammar import Draws, Facts, Grammar
from rec_sys.data.sample.opinions import Opinions, form_opinions
from rec_sys.data.sample.persona import Personas
from rec_sys.data.sample.vocabulary import Vocabulary
from rec_sys.data.sample.voice import Voice, in_voice, tidy

_MOODS: Final = {1: "bad", 2: "poor", 3: "mixed", 4: "good", 5: "great"}
_LENGTHS: Final = (-1.0, 0.05, 1.0)  # cuts of the wish to write: tiny, short, middling, long
_CONTENT: Final = ("open", "praise", "gripe", "contrast", "suits")  # a text makes at least one of these moves
_CONNECTIVE: Final = re.compile(
    r"^(also|plus|and|that said|to be fair|on the other hand|worse|on top of that|then)\b,? ?", re.I
)  # nobody begins with these


class ReviewWriter:
    """Writes headlines and bodies."""

    def __init__(self, catalogue: Catalogue, personas: Personas, vocabulary: Vocabulary) -> None:
        self._catalogue = catalogue
        self._personas = personas
        self._vocabulary = vocabulary
        self._circumstances = Circumstances(catalogue, vocabulary)
        self._grammar = Grammar(vocabulary.phrases)
        self._aspect_quality = [quality.tolist() for quality in catalogue.aspect_quality]

    def write(self, occasion: Occasion, voice: Voice, draws: Draws) -> tuple[str | None, str | None]:
        """Headline and body of one review, null where the user left one out; `draws` are this review's alone."""
        writer, facts = self._facts(occasion, draws)
        product = self._catalogue.products[occasion.product]
        aspects, quality = self._vocabulary.families[product.family].aspects, self._aspect_quality[occasion.product]
        opinions = form_opinions(product.kind, aspects, quality, occasion.stars, draws)
        # A headline sums up what the body then says, so it does not use the body's opinions up.
        headline = _Draft(self._grammar, facts, opinions.copy(), draws).headline(occasion.stars)
        draft = _Draft(self._grammar, facts, opinions, draws)
        length = bisect(_LENGTHS, 0.75 * voice.verbosity + 1.3 * (draws.uniform() + draws.uniform() - 1))
        body = draft.tiny(occasion.stars) if length == 0 else self._moves(occasion, writer, length, draft)
        body = in_voice(tidy(body), voice, occasion.stars, draws)
        silent = draws.uniform()
        return None if silent > 0.97 else headline, None if silent < 0.02 else body

    def _facts(self, occasion: Occasion, draws: Draws) -> tuple[str, Facts]:
        """The sort of writer, and everything they could mention."""
        writer, person = self._personas.speak(occasion.user, occasion.time, occasion.stage, occasion.level)
        if not occasion.is_own:
            writer = "stranger"
        facts = Facts(self._circumstances.of(occasion, draws) | person)
        purposes = self._grammar.rules[f"purpose_{writer}"]
        facts["purpose"] = draws.pick(purposes)
        facts["use"] = draws.pick([purpose for purpose in purposes if purpose.startswith("for ")])
        coming = self._personas.coming(occasion.user, occasion.time, occasion.stage)
        if coming:
            facts["coming"] = draws.pick(coming)
        if occasion.is_arrival:
            earlier = self._personas.instrument(occasion.user, max(occasion.stage - 1, 0))
            if earlier.split()[-1] != person["instrument"].split()[-1]:  # nobody moves from guitar to lead guitar
                facts["earlier_instrument"] = earlier
        return writer, facts

    def _moves(self, occasion: Occasion, writer: str, length: int, draft: "_Draft") -> str:
        draws, mood = draft.draws, _MOODS[occasion.stars]
        close = {"great": "close_great_pro" if writer == "pro" else "close_great", "poor": "close_bad"}
        is_new = occasion.is_arrival and draws.chance(0.5)
        rules = {"who": "arrived" if is_new else f"who_{writer}", "close": close.get(mood, f"close_{mood}")}
        skipped = {"suits_not" if occasion.fit >= 0 else "", "suits" if occasion.fit <= 0 else ""}
        if writer == "stranger":
            skipped |= {"who", "suits", "suits_not"}
        said: list[str] = []
        has_content = False
        for move in self._vocabulary.templates[mood]:
            if not draws.chance(move.chance[length - 1]) or move.move in skipped:
                continue
            sentence = draft.say(rules.get(move.move, move.move))
            if not sentence and move.move in ("better", "worse"):
                sentence = draft.say(f"{move.move}_plain")
            if not said:
                sentence = _CONNECTIVE.sub("", sentence, count=1)
            if sentence:
                said.append(sentence)
                has_content |= move.move.startswith(_CONTENT)
                skipped |= {"wish"} if move.move == "teaser" else set()
                skipped |= {"value", "value_bad"} if "price" in draft.facts.used else set()
        if not has_content:
            said.insert(0, draft.tiny(occasion.stars))
        return " ".join(said)


class _Draft:
    """A review in the making: what is left to say, and how to say it."""

    def __init__(self, grammar: Grammar, facts: Facts, opinions: Opinions, draws: Draws) -> None:
        self._grammar = grammar
        self._opinions = opinions
        self.facts = facts
        self.draws = draws

    def say(self, rule: str) -> str:
        """Expand a rule; an opinion that was said is not said again."""
        self._opinions.offer(self.facts)
        text = self._grammar.expand(rule, self.facts, self.draws)
        self._opinions.withdraw(self.facts)
        return text

    def tiny(self, stars: int) -> str:
        """A review of a few words."""
        if stars == 5 and self.draws.chance(0.1):
            return self.say("tiny_same")
        text = self.say("tiny_bad" if stars <= 2 else f"tiny_{_MOODS[stars]}")
        return f"{text} {self.say('wish')}" if self.draws.chance(0.14) else text

    def headline(self, stars: int) -> str:
        """The line above the review."""
        if stars == 5 and self.draws.chance(0.12):
            return self.say("head_same")
        text = tidy(self.say(f"head_{_MOODS[stars]}"))
        return text.title() if self.draws.chance(0.1) and text.isascii() and "'" not in text else text
