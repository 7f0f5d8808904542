"""Pairs of texts to learn from: what somebody wrote, and what stands of the product that they came to next.

They are of the train split alone, and no text is among them that also stands in a later one.
"""

from typing import Final

import numpy as np
import polars as pl

from rec_sys import ragged
from rec_sys.contracts import InputError, ProductColumn
from rec_sys.data.dataset import PreparedDataset, embedded_review_text
from rec_sys.data.interactions import IntArray, SmallIntArray
from rec_sys.data.splits import Split
from rec_sys.graph.review_graph import ReviewGraph

_FEWEST: Final = 32  # a batch's


def draw_pairs(dataset: PreparedDataset, graph: ReviewGraph, split: Split, most: int, seed: int) -> pl.DataFrame:
    """Texts that shall lie near each other, and one that shall not, of the train split alone.

    The anchor is a review. The positive is the text of the product that its author came to next or, where products
    have none, somebody else's review of it; the negative is the same of a product drawn among all.

    Returns:
        `anchor`, `positive` and `negative`, strings.

    Raises:
        InputError: There are too few.
    """
    random = np.random.default_rng(seed)
    columns, edges = graph.interactions, split.train_edges
    user, product = columns.user_index[edges], columns.product_index[edges]
    whole = dataset.reviews().select(text=embedded_review_text())["text"]
    texts = whole.gather(columns.review_row[edges]).set(~pl.Series(split.text_visible[edges]), None)
    described = dataset.products()[ProductColumn.TEXT]
    if described.null_count() < len(described):
        said, about, writer = described, np.arange(len(described)), np.full(len(described), -1)
    else:
        said, about, writer = texts, product.astype(np.int64), user.astype(np.int64)
    order = np.argsort(user, kind="stable")
    older, newer = order[:-1], order[1:]
    follows = (user[older] == user[newer]) & texts.is_not_null().to_numpy()[older]
    older, newer = older[follows], newer[follows]
    written = np.flatnonzero(said.is_not_null())
    chosen = _choose(product[newer], user[older], about[written], writer[written], random)
    pairs = pl.DataFrame({"anchor": texts.gather(older), "positive": said.gather(written[chosen])})
    pairs = pairs.filter(pl.Series(chosen >= 0) & (pl.col("anchor") != pl.col("positive")))
    if pairs.height < _FEWEST:
        raise InputError(
            f"only {pairs.height} pairs of texts can be made of the train split",
            where=str(dataset.folder),
            remedy="bring more reviews with texts by users with several of them",
        )
    pairs = pairs.sample(min(most, pairs.height), shuffle=True, seed=seed)
    return pairs.with_columns(negative=said.gather(random.choice(written, pairs.height)))


def _choose(
    wanted: SmallIntArray,
    asking: SmallIntArray,
    about: IntArray,
    writer: IntArray,
    random: np.random.Generator,
) -> IntArray:
    """For each product wanted the place of a text about it that is not by who asks, drawn; -1 where there is none."""
    offsets, order = ragged.group_rows(about, int(max(wanted.max(initial=0), about.max(initial=0))) + 1)
    count = np.diff(offsets)[wanted]
    order = np.append(order, 0)
    drawn = random.integers(0, np.maximum(count, 1))
    # The next text about the product where the drawn one is the asking user's own.
    is_own = writer[order[offsets[wanted] + drawn]] == asking
    place = order[offsets[wanted] + (drawn + is_own) % np.maximum(count, 1)]
    return np.where((count > 0) & (writer[place] != asking), place, -1)
