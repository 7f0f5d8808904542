"""Words that other tools write where a value is missing: they are null, and counted."""

from collections.abc import Mapping, Sequence

import polars as pl


def null_missing(frame: pl.DataFrame, words: Sequence[str]) -> tuple[pl.DataFrame, dict[str, int]]:
    """Nulls what is empty or one of the words in columns of text.

    Returns:
        The frame, and how many words stood in each column that had some.
    """
    counts: dict[str, int] = {}
    longest = max((len(word.encode()) for word in words), default=0)
    listed = pl.Series(words, dtype=pl.String).implode()
    columns = []
    for column in frame:
        # Most texts are longer than any word, and need no second look.
        places = (column.str.len_bytes() <= longest + 2).fill_null(False).arg_true()
        short = column.gather(places).str.strip_chars()
        is_word = short.is_in(listed)
        if number := int(is_word.sum()):
            counts[column.name] = number
        column = column.scatter(places.filter(is_word | (short == "")), None)
        columns.append(column)
    return pl.DataFrame(columns), counts


def count_words(words: Mapping[str, int]) -> dict[str, int]:
    """What `null_missing` counted, under the labels of a summary."""
    return {f"{column}: words for missing": number for column, number in words.items()}
