"""Proposes to weigh kinds of events where a table seems to have some: settings to look at, none is taken by itself."""

import logging
from collections.abc import Collection
from typing import Final

import polars as pl

from rec_sys.data.column_names import LIKELY, compact, known_names, likeness
from rec_sys.ready_command import argument, is_sayable

_LOG: Final = logging.getLogger(__name__)
_MOST_KINDS: Final = 20
_STRONGEST: Final = 1.0


def propose_events(frame: pl.DataFrame, taken: Collection[str | None]) -> None:
    """Says how a column of kinds that nothing reads would be weighed; nothing where there is none.

    Args:
        frame: The first rows of a table, as strings.
        taken: The columns that are something else.
    """
    known = known_names()["events"]
    for name in frame.columns:
        if name in taken or likeness(name, known["columns"]) <= LIKELY:
            continue
        kinds = frame[name].drop_nulls().unique().sort().to_list()
        weights = {kind: known["weights"].get(compact(kind)) for kind in kinds}
        given = {kind: weight for kind, weight in weights.items() if weight is not None}
        if len(kinds) > _MOST_KINDS or len(given) < 2 or not is_sayable(given):
            continue
        targets = [kind for kind, weight in given.items() if weight == _STRONGEST]
        settings = [argument("data.events.column", name), argument("data.events.weights", given)]
        settings += [argument("evaluation.target_events", targets)] if targets else []
        _LOG.info(
            f"the column {name!r} holds kinds of events ({', '.join(kinds)}), which all count alike; to weigh them and"
            f" to predict the strongest, add to rec_sys.train.train for instance {' '.join(settings)}"
        )
