"""How well cold-start users and new products are served, by one command: `uv run -m rec_sys.experiments.cold_start`.

Each seed trains twice: once as usual, to ask about users of whom only the first reviews are known; once without some
products, to place those by their texts and their first reviews. Beside the table lies a picture of what the known
products pay for the new ones. The protocol is in `cold_start.protocol`.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from rec_sys.console import say, say_error
from rec_sys.experiments.cold_start.settings import ColdStartSettings
from rec_sys.experiments.figures import figure_cell, mean_and_deviation
from rec_sys.files import atomic_file
from rec_sys.train.run_folder import RunFolder

_LOG: Final = logging.getLogger(__name__)

RESULTS: Final = "cold_start.json"
TABLE: Final = "cold_start.md"
TRADE_OFF: Final = "trade_off.json"
PICTURE: Final = "trade_off.png"
_SHOWN: Final = ("ndcg_at_10_masked", "recall_at_10_masked", "mean_rank_share", "own_minus_ndcg")


def run(settings: ColdStartSettings) -> None:
    """Measures every seed and writes a table; the last line printed is its path."""
    from rec_sys.experiments.cold_start.runs import measure_cold_start  # torch takes seconds to import
    from rec_sys.experiments.cold_start.trade_off import draw_trade_off

    found: list[dict[str, Any]] = []
    points: list[dict[str, Any]] = []
    for seed in settings.cold_start.seeds:
        _LOG.info(f"seed {seed}")
        cases, curve = measure_cold_start(settings.model_copy(update={"seed": seed}), settings.cold_start)
        found, points = found + cases, points + curve
    folder = settings.output_dir.absolute() / "cold_start" / RunFolder(settings).name
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_file(folder / RESULTS) as unfinished:
        unfinished.write_text(json.dumps(found, indent=2))
    with atomic_file(folder / TRADE_OFF) as unfinished:
        unfinished.write_text(json.dumps(points, indent=2))
    draw_trade_off(points, folder / PICTURE)
    table = markdown(found)
    with atomic_file(folder / TABLE) as unfinished:
        unfinished.write_text(table)
    say_error(table)
    say(f"cold start: {folder / TABLE}")


def markdown(found: Sequence[Mapping[str, Any]]) -> str:
    """One line a case and name: means over the seeds; with one seed the standard errors over the questions."""
    heads = ("who is asked about", "", "questions", "NDCG@10", "Recall@10", "mean rank share", "ours - theirs, NDCG@10")
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for case, name in dict.fromkeys((row["case"], row["name"]) for row in found):
        rows = [row for row in found if (row["case"], row["name"]) == (case, name)]
        cells = [case, name, f"{np.mean([row['num_queries'] for row in rows]):.0f}"]
        for key in _SHOWN:
            values = [row[key] for row in rows if key in row]
            if not values:
                cells.append("-")
                continue
            mean, deviation = mean_and_deviation(values)
            cells.append(figure_cell(mean, rows[0].get(f"{key}_error", 0.0) if deviation is None else deviation))
        lines.append(f"| {' | '.join(cells)} |")
    spread = "standard error over the questions" if len({row["seed"] for row in found}) == 1 else "deviation over seeds"
    lines += ["", f"± {spread}. Mean rank share: 0 = always first, 0.5 = chance. The history is left out everywhere."]
    return "\n".join(lines) + "\n"
