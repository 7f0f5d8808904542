"""Who is writing: the facts about a user that their reviews let slip, the same ones in every review of a stage of life.

They are how a text reveals what a rating does not: the music, the instrument, the experience, and what comes next.
"""

from typing import Final

from rec_sys.contracts import MILLISECONDS_A_DAY
from rec_sys.data.sample.catalogue import START
from rec_sys.data.sample.population import MAX_STAGES, NEVER, Population
from rec_sys.data.sample.randomness import RandomStream
from rec_sys.data.sample.vocabulary import Vocabulary

_CHILDREN: Final = (
    ("my daughter", "10"), ("my son", "9"), ("my granddaughter", "8"), ("my nephew", "12"), ("our youngest", "7"),
    ("my 11 year old", "11"), ("my grandson", "13"), ("my oldest", "14"),
)  # fmt: skip
_TEASER_DAYS = 110  # how long before a new role somebody begins to speak of it
_NUMBERS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


class Personas:
    """The facts of every user at every review."""

    def __init__(self, population: Population, vocabulary: Vocabulary, seed: int) -> None:
        stream = RandomStream(seed, 4)
        shape = population.stage_role.shape
        self._population = population
        self._roles = list(vocabulary.roles.values())
        self._genres = list(vocabulary.genres.values())
        self._scene = stream.uniform(*shape)
        self._instrument = stream.uniform(*shape)
        self._months = stream.uniform(*shape)
        self._life = stream.uniform(shape[0], 3)

    def speak(self, user: int, time: int, stage: int, level: float) -> tuple[str, dict[str, str]]:
        """The sort of writer (`parent`, `beginner`, `player` or `pro`) and the facts they mention of themselves."""
        population = self._population
        role = self._roles[int(population.stage_role[user, stage])]
        genre = self._genres[int(population.stage_genre[user, stage])]
        scene = genre.scenes[int(self._scene[user, stage] * len(genre.scenes))]
        began = max(int(population.stage_start[user, stage]), int(population.times[user, 0]), START)
        months = 2 + int(5 * self._months[user, stage]) + (time - began) // (30 * MILLISECONDS_A_DAY)
        years = int(3 + 6 * self._months[user, stage]) if level < 1.45 else int(12 + 22 * self._months[user, stage])
        is_parent = bool(population.is_parent[user])
        child, age = _CHILDREN[int(self._life[user, 0] * len(_CHILDREN))]
        facts = {
            "music": scene.music,
            "band": scene.band,
            "place": scene.place,
            "instrument": self.instrument(user, stage),
            "months": _NUMBERS[months - 2] if months < 13 else "eighteen" if months < 19 else "about thirty",
            "years": str(years) if years > 12 else _NUMBERS[years - 2],
            "age": str(int(30 + 38 * self._life[user, 1])),
            "kid": child,
            "kid_age": age,
            "kid_or_i": child if is_parent else "I",
            "kid_s": "s" if is_parent else "",
        }
        if is_parent:
            facts |= {"place": "school" if self._life[user, 2] < 0.6 else "lessons", "band": "school band"}
        else:
            facts["says"] = role.says[time // 1_000 % len(role.says)]
        writer = "parent" if is_parent else "beginner" if level < 0.55 else "player" if level < 1.45 else "pro"
        return writer, facts

    def coming(self, user: int, time: int, stage: int) -> tuple[str, ...]:
        """What the user says about the role they are about to take up; empty where none is near."""
        population = self._population
        if stage + 1 == MAX_STAGES or population.stage_start[user, stage + 1] == NEVER:
            return ()
        if not 0 < population.stage_start[user, stage + 1] - time <= _TEASER_DAYS * MILLISECONDS_A_DAY:
            return ()
        return self._roles[int(population.stage_role[user, stage + 1])].teasers

    def instrument(self, user: int, stage: int) -> str:
        """What the user played in a stage."""
        role = self._roles[int(self._population.stage_role[user, stage])]
        return role.play[int(self._instrument[user, stage] * len(role.play))]
