"""The table of text encoders: a row each, as Markdown and JSON."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rec_sys.experiments.figures import figure_cell, mean_and_deviation
from rec_sys.experiments.kept_training import write_json
from rec_sys.files import atomic_file

RESULTS: Final = "text_benchmark.json"
TABLE: Final = "text_benchmark.md"
_FIGURES: Final = {
    "content validation": "content, validation",
    "content test": "test",
    "whole validation": "whole, validation",
    "whole test": "test",
}


@dataclass
class Measured:
    """A row of the table.

    Attributes:
        texts_a_second: On one core.
        share_of_peak: Of what the core's matrix products reach in float32; None without a transformer.
        bytes_a_text: As they are stored.
        cosine: Mean and least, to the first row's vectors; None where it is another model.
        figures: NDCG@10 by name of `_FIGURES`, one a seed.
    """

    name: str
    texts_a_second: float
    share_of_peak: float | None = None
    bytes_a_text: int | None = None
    cosine: tuple[float, float] | None = None
    figures: dict[str, list[float]] = field(default_factory=dict)


def write_table(folder: Path, table: Mapping[str, Measured], seeds: tuple[int, ...]) -> None:
    """Writes the table and its figures."""
    write_json(folder / RESULTS, {"seeds": seeds, "rows": [vars(row) for row in table.values()]})
    with atomic_file(folder / TABLE) as unfinished:
        unfinished.write_text(markdown(table, seeds))


def markdown(table: Mapping[str, Measured], seeds: tuple[int, ...]) -> str:
    """The table for people: costs, then mean and deviation of the figures over the seeds."""
    heads = ["", "texts a second", "times the first", "of the peak", "bytes a text", "cosine", *_FIGURES.values()]
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    first = next(iter(table.values()))
    for row in table.values():
        cells = [
            row.name,
            f"{row.texts_a_second:,.0f}",
            f"{row.texts_a_second / first.texts_a_second:.1f}",
            "-" if row.share_of_peak is None else f"{row.share_of_peak:.0%}",
            "-" if row.bytes_a_text is None else f"{row.bytes_a_text:,}",
            "-" if row.cosine is None else "{:.4f}, least {:.4f}".format(*row.cosine),
            *(figure_cell(*mean_and_deviation(row.figures[name])) if name in row.figures else "-" for name in _FIGURES),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    said = (
        "Texts a CPU second of one core; peak: float32 matrix products of the same core in the same run; NDCG@10 masked"
    )
    lines += ["", f"{said}, seeds {', '.join(map(str, seeds)) or '-'}: mean ± deviation."]
    return "\n".join(lines) + "\n"
