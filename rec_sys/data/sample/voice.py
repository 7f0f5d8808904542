"""Habits of writing: capitals, exclamation marks, typing errors. A user keeps theirs, so that no two sound the same."""

import re
from dataclasses import dataclass

from rec_sys.data.sample.grammar import Draws

_SENTENCE_START = re.compile(r"(?:^|(?<=[.!?] ))[a-z]")
_LOOSE_MARK = re.compile(r" +([,.!?])")
_ARTICLE = re.compile(r"\b([Aa]) (?=[aeio](?!ne\b))")
_LONG_WORD = re.compile(r"[a-z]{5,}")
_EMOJI = ("🎸", "👍", "🎶", "😀", "🤘", "❤️", "🔥")
_SAD_EMOJI = ("👎", "😡", "🙄", "😕")


@dataclass(frozen=True)
class Voice:
    """One user's habits, each a probability a review or a yes."""

    lowercase: bool
    drops_apostrophes: bool
    exclaims: float
    trails_off: float
    emoji: float
    typos: float
    verbosity: float  # standard normal


def draw_voice(draws: Draws, verbosity: float) -> Voice:
    """Give a user habits; most have none."""
    sloppy = draws.chance(0.1)
    return Voice(
        lowercase=draws.chance(0.04),
        drops_apostrophes=draws.chance(0.25 if sloppy else 0.04),
        exclaims=0.6 if draws.chance(0.12) else 0.05,
        trails_off=0.4 if draws.chance(0.06) else 0.0,
        emoji=0.35 if draws.chance(0.05) else 0.003,
        typos=0.3 if sloppy else 0.02,
        verbosity=verbosity,
    )


def tidy(text: str) -> str:
    """Capitals at the start of sentences and the right article: what a phone's keyboard does for everybody."""
    text = _LOOSE_MARK.sub(r"\1", " ".join(text.split()))
    text = _ARTICLE.sub(r"\1n ", text)
    return _SENTENCE_START.sub(lambda match: match.group().upper(), text)


def in_voice(text: str, voice: Voice, stars: int, draws: Draws) -> str:
    """Say a text as this user would."""
    if draws.chance(voice.typos):
        text = _mistype(text, draws)
    if voice.drops_apostrophes:
        text = text.replace("'", "")
    if voice.lowercase:
        text = text.lower()
    if draws.chance(voice.trails_off):
        text = text.replace(". ", "... ", 1 + int(draws.uniform() * 2))
    if (stars >= 4 or stars == 1) and draws.chance(voice.exclaims) and text.endswith("."):
        text = text[:-1] + draws.pick(("!", "!", "!!", "!!!"))
    if draws.chance(voice.emoji):
        text += " " + draws.pick(_EMOJI if stars >= 4 else _SAD_EMOJI)
    return text


def _mistype(text: str, draws: Draws) -> str:
    """Swap, drop or double a letter in one word."""
    words = list(_LONG_WORD.finditer(text))
    if not words:
        return text
    word = draws.pick(words)
    at = word.start() + 1 + int(draws.uniform() * (len(word.group()) - 3))
    how = draws.uniform()
    if how < 0.5:
        return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    return text[:at] + text[at + 1 :] if how < 0.8 else text[: at + 1] + text[at:]
