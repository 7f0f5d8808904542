"""Words that other tools write where a value is missing: they are null, and counted."""

from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

import polars as pl

Texts = TypeVar("Texts", str, pl.Series)
_CURLY: Final = "\u2019"


def null_missing(frame: pl.DataFrame, words: Sequence[str]) -> tuple[pl.DataFrame, dict[str, int]]:
    """Nulls what is empty or one of the words in columns of text.

    A word is read as it is spelled, since "Nan" may be a name; of several words in a row, a sentence, the case and the
    form of the apostrophe say nothing.

    Returns:
        The frame, and how many words stood in each column that had some.
    """
    counts: dict[str, int] = {}
    longest = 2 + max((len(word.encode()) for word in words), default=0)  # an apostrophe may be of three bytes
    listed = pl.Series(words, dtype=pl.String).implode()
    sentences = pl.Series([_plain(word) for word in words if " " in word.strip()], dtype=pl.String)
    columns = []
    for column in frame:
        # Most texts are longer than any word, and need no second look.
        places = (column.str.len_bytes() <= longest + 2).fill_null(False).arg_true()
        short = column.gather(places).str.strip_chars()
        is_word = short.is_in(listed)
        if len(sentences):
            is_word |= _plain(short).is_in(sentences.implode())
        if number := int(is_word.sum()):
            counts[column.name] = number
        column = column.scatter(places.filter(is_word | (short == "")), None)
        columns.append(column)
    return pl.DataFrame(columns), counts


def _plain(text: Texts) -> Texts:
    if isinstance(text, str):
        return text.lower().replace(_CURLY, "'")
    return text.str.to_lowercase().str.replace_all(_CURLY, "'", literal=True)


def count_words(words: Mapping[str, int]) -> dict[str, int]:
    """What `null_missing` counted, under the labels of a summary."""
    return {f"{column}: words for missing": number for column, number in words.items()}
