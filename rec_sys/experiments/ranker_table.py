"""Where a second stage pays, and what it costs: `uv run --group ranker -m rec_sys.experiments.ranker_table`.

Each data set is trained without a ranker and with each library's. A row shows what the two stages of the decision
measured, whether the bundle got the ranker, and how long an answer takes through Triton. Every training is the main job
in a process of its own; finished ones are kept, their bundles removed.
"""

import json
import logging
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field

from rec_sys.console import say, say_error
from rec_sys.data.prepare import prepare, with_columns_found
from rec_sys.entry import run_entry
from rec_sys.experiments.figures import figure_cell
from rec_sys.experiments.kept_training import compose, trained_figures, write_json
from rec_sys.experiments.training_command import run_command, typed_for_training, untracked
from rec_sys.experiments.training_rows import TrainingRow, each_name_once
from rec_sys.files import atomic_file
from rec_sys.locks import locked_folder
from rec_sys.processes import quote
from rec_sys.settings import Section, Settings

if TYPE_CHECKING:
    from rec_sys.bundle import Bundle

TABLE: Final = "ranker_table.md"
_OWN: Final = frozenset({"ranker_table", "run_dir"})
_FIGURE: Final = "ndcg_at_10_masked"
_HEADS: Final = (
    *("data", "ranker", "NDCG@10 of an earlier stage", "gain", "of validation", "gain", "adopted"),
    *("test", "seconds to learn the trees", "ms an answer through Triton"),
)
_LOG: Final = logging.getLogger(__name__)

Ranker = Literal["none", "lightgbm", "xgboost", "catboost"]


class RankedData(TrainingRow):
    """A data set of the table."""

    is_shop: bool = Field(False, description="The generated shop, whose files are written first.")


class RankerTable(Section):
    """What is trained."""

    datasets: Annotated[tuple[RankedData, ...], AfterValidator(each_name_once)] = Field(
        min_length=1, description="Each with every ranker."
    )
    names: tuple[str, ...] = Field((), description="Those of the data sets that are trained; empty: all.")
    rankers: tuple[Ranker, ...] = Field(("none", "lightgbm", "xgboost", "catboost"), description="In this order.")
    instruments_path: Path | None = Field(None, description="A local file of the data set instruments_2014.")
    seconds: float = Field(5.0, ge=0, le=600, description="Of asking through Triton, for each row; 0: do not.")


class RankerTableSettings(Settings):
    """Everything config/ranker_table.yaml composes."""

    ranker_table: RankerTable


def run(settings: RankerTableSettings) -> None:
    """Trains what is missing; the last line printed is the table's path."""
    say(f"ranker_table: {compare_rankers(settings, typed_for_training(_OWN))}")


def compare_rankers(settings: RankerTableSettings, typed: list[str]) -> Path:
    """Trains what is missing of the table and writes it; the figures stand beside it as JSON.

    Args:
        settings: All settings of the command.
        typed: Those of the command line that every training is given.

    Raises:
        InputError: A row's setting does not exist, or a training failed.
    """
    wanted, base = settings.ranker_table, untracked(typed)
    folder = settings.output_dir.absolute() / "ranker_table"
    rows: list[dict[str, Any]] = []
    with locked_folder(folder, "another table of rankers is made in this folder", "wait for it to end"):
        for data in (one for one in wanted.datasets if not wanted.names or one.name in wanted.names):
            arguments = [*base, *data.changes, *_files_of(data, wanted, folder)]
            for ranker in wanted.rankers:
                own = [*arguments, f"model.ranker={ranker}"]
                label = f"{data.name}, {ranker}"
                composed = compose(label, own)
                dataset = prepare(with_columns_found(composed.data), composed.output_dir, engine=composed.engine)
                ask = partial(_measure_bundle, output_dir=settings.output_dir, seconds=wanted.seconds)
                found = trained_figures(folder, composed, dataset.summary.fingerprint, label, own, ask)
                rows.append({"data": data.name, "ranker": ranker, "figures": found})
                write_json(folder / "ranker_table.json", {"rows": rows})
                with atomic_file(folder / TABLE) as unfinished:
                    unfinished.write_text(markdown(rows))
    say_error((folder / TABLE).read_text())
    return folder / TABLE


def markdown(rows: list[dict[str, Any]]) -> str:
    """The table for people."""
    lines = [f"| {' | '.join(_HEADS)} |", f"|{'---|' * len(_HEADS)}"]
    for row in rows:
        found = row["figures"]
        cells = [row["data"], row["ranker"]]
        for stage in ("earlier", "validation"):
            before, after = (found.get(f"ranker {stage} {name}") for name in ("before", "after"))
            gain = None if before is None or after is None else after - before
            cells += [figure_cell(before), figure_cell(gain, found.get(f"ranker {stage} error"), "+")]
        adopted, seconds, milliseconds = (found.get(f"ranker {name}") for name in ("adopted", "fit_seconds", "p50"))
        cells.append("-" if adopted is None else "yes" if adopted else "no")
        cells.append(figure_cell(found[f"test {_FIGURE}"]))
        cells += ["-" if value is None else f"{value:.1f}" for value in (seconds, milliseconds)]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "All products but the user's own compete; ± paired standard error over the questions."]
    return "\n".join(lines) + "\n"


def _files_of(data: RankedData, wanted: RankerTable, folder: Path) -> list[str]:
    """The settings that name a data set's files; those of the shop are written."""
    if data.is_shop:
        from rec_sys.data.synthetic_shop import write_shop

        events, products = write_shop(folder / "shop", 0)
        return [f"data.reviews_path={quote(events)}", f"data.metadata_path={quote(products)}"]
    if data.name == "instruments_2014" and wanted.instruments_path is not None:
        return [f"data.reviews_path={quote(wanted.instruments_path.absolute())}"]
    return []


def _measure_bundle(bundle: "Bundle", output_dir: Path, seconds: float) -> dict[str, float]:
    """The figures of a bundle's ranker, and the median time of an answer through Triton by its towers and ranker."""
    decision = bundle.metrics().get("ranker", {})
    found = {f"ranker {name}": float(decision[name]) for name in ("adopted", "fit_seconds") if name in decision}
    for stage in ("earlier", "validation"):
        found |= {f"ranker {stage} {name}": value for name, value in decision.get(stage, {}).items()}
    if not seconds:
        return found
    with TemporaryDirectory(prefix="ranker-table-") as scratch:
        # What is measured is written apart; text encoders that are exported already stay.
        (output_dir / "text").mkdir(exist_ok=True)
        Path(scratch, "text").symlink_to((output_dir / "text").absolute())
        given = [f"bundle={quote(bundle.folder)}", f"output_dir={quote(scratch)}"]
        models = f"triton.model_repository={quote(Path(scratch, 'models'))}"
        run_command("rec_sys.vector_database.create_vectorbase", given, "")
        run_command("rec_sys.modules.model_export", [*given, models, "export.check=onnxruntime"], "repository: ")
        measured = [f"measurement.seconds={seconds:g}", "measurement.runtimes=[triton]", "measurement.concurrent=[1]"]
        arguments = [*given, models, *measured, "measurement.texts=[embedded]"]
        report = Path(run_command("rec_sys.experiments.latency", arguments, "latency: "), "latency.json")
        (row,) = json.loads(report.read_text())["rows"]
    return found | {"ranker p50": row["p50"]}


if __name__ == "__main__":
    run_entry(run, RankerTableSettings, "ranker_table")
