"""Our model beside the baselines, by one command: `uv run -m rec_sys.experiments.benchmark`.

Every model is fitted and asked in a process of its own on one split; finished rows are kept, so an interrupted
benchmark goes on and a wider one reuses them.
"""

import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from rich.table import Table

from rec_sys.bundle import newest_bundle
from rec_sys.console import print_table, say
from rec_sys.contracts import BundleFile
from rec_sys.data.dataset import PreparedDataset
from rec_sys.data.prepare import prepare
from rec_sys.experiments.benchmark.results import (
    COMPARISONS_FILE,
    REPORT_FILE,
    FinishedRow,
    ResultsFolder,
    compare_rows,
    figure,
    seconds_cell,
    time_columns,
    write_chosen,
    write_figures,
)
from rec_sys.experiments.benchmark.row_contract import (
    DAILY,
    DAILY_FILE,
    GLOBAL_TIME,
    TUNED_FILE,
    RowRequest,
    identify_row,
)
from rec_sys.experiments.benchmark.row_store import RowStore, queries_of, run_request
from rec_sys.experiments.benchmark.rows import BenchmarkRow, by_time, list_rows
from rec_sys.experiments.benchmark.settings import BenchmarkSettings, is_own_model
from rec_sys.experiments.benchmark.tracking import record_rows
from rec_sys.experiments.benchmark.tuning import Tuned, apply_tuned, has_search, own_values
from rec_sys.experiments.training_command import typed_for_training
from rec_sys.settings import Settings
from rec_sys.tracking_address import prove_trackable

_LOG: Final = logging.getLogger(__name__)

# Settings that only the benchmark has; all others go to training as they were typed.
_OWN_SETTINGS: Final = frozenset(BenchmarkSettings.model_fields) - frozenset(Settings.model_fields)


def run(settings: BenchmarkSettings) -> None:
    """Measures everybody; the last line printed is the path of results.json, the exit code 1 where a model failed."""
    prove_trackable(settings.tracking, settings.output_dir.absolute())
    if settings.bundle is not None and not (settings.bundle / BundleFile.MANIFEST).is_file():
        settings = settings.model_copy(update={"bundle": newest_bundle(settings.bundle)[0].absolute()})
    dataset = prepare(settings.data, settings.output_dir, engine=settings.engine)
    rows = list_rows(dataset, settings)
    folder = ResultsFolder(settings, dataset.summary.fingerprint)
    summary = dataset.summary
    _LOG.info(
        f"{summary.name}: {summary.num_reviews:,} reviews, {summary.num_users:,} users, {summary.num_products:,}"
        f" products; {settings.evaluation.protocol}, {len(rows)} rows"
    )
    with folder.locked():
        bench = Bench(dataset, settings, typed_for_training(_OWN_SETTINGS))
        tuned = bench.tune([row for row in rows if not row.unfit])
        write_chosen(folder, bench.settings.baseline_settings, tuned)
        finished: list[FinishedRow] = []
        for row in rows:
            finished.append(bench.finish(row))
            folder.write_rows(finished, settings.shown_k)
        from rec_sys.experiments.report.page import write_report

        compared = compare_rows(finished, settings.shown_k, settings.seed)
        folder.write_json(COMPARISONS_FILE, compared)
        write_report(folder.path / REPORT_FILE, dataset, bench.settings, finished, compared)
        _LOG.info(f"report: {folder.path / REPORT_FILE}")
        if settings.figures is not None:
            write_figures(settings.figures, finished, settings.shown_k)
        record_rows(settings.tracking, settings.output_dir.absolute(), folder.path, [one.row for one in finished])
    for table in _tables([one.row for one in finished], settings.shown_k):
        print_table(table)
    say(f"results: {folder.results}")
    if any(one.row["status"] == "failed" for one in finished):
        sys.exit(1)


class Bench:
    """Fits and measures models one after another, each in its process.

    Args:
        dataset: The prepared data.
        settings: All settings.
        overrides: The command line's arguments that training understands.
    """

    def __init__(self, dataset: PreparedDataset, settings: BenchmarkSettings, overrides: list[str]) -> None:
        self.dataset = dataset
        self.settings = settings
        self.overrides = overrides
        name = f"{dataset.summary.name}-{dataset.summary.fingerprint[:12]}"
        self.store = RowStore(settings.output_dir.absolute() / "benchmark" / "rows" / name, dataset.summary.fingerprint)

    def tune(self, rows: Sequence[BenchmarkRow]) -> list[Tuned]:
        """Searches every model's settings where there is a budget; what is found is what the rows run.

        With time folds the first one that can be used is searched on: the later ones would know its future.
        """
        found: list[Tuned] = []
        if not self.settings.tuning.enabled:
            return found
        fold = min((row.fold for row in rows if row.fold is not None), default=None)
        for name in dict.fromkeys(row.name for row in rows):
            if not has_search(name):
                continue
            place = self.store.search_place(name, self.settings)
            request = self._request(name, "train", fold).model_copy(update={"job": "search", "folder": place})
            _LOG.info(f"tuning: {name}")
            reason = run_request(request)
            if reason:
                _LOG.info(f"tuning: {name} failed, its settings stay as they are: {reason}")
                continue
            found.append(Tuned.model_validate_json((place / TUNED_FILE).read_text()))
            tuned = found[-1]
            _LOG.info(f"tuning: {name} {tuned.metric} {tuned.best:.4f} after {tuned.trials} trials: {tuned.values}")
        self.settings = apply_tuned(self.settings, found)
        self.overrides = [*self.overrides, *(f"{section}.{key}={value}" for section, key, value in own_values(found))]
        return found

    def finish(self, planned: BenchmarkRow) -> FinishedRow:
        """A row: from the store, or computed now."""
        request = self._request(planned.name, planned.fit_on, planned.fold)
        head = identify_row(request)
        label = FinishedRow(head).name
        if planned.unfit:
            _LOG.info(f"{label}: skipped, {planned.unfit}")
            return FinishedRow(head | {"status": "skipped", "reason": planned.unfit})
        row = self.store.read(request.folder)
        if row is None:
            row = self.store.compute(request)
        else:
            label += ", kept from before"
        _LOG.info(f"{label}: {_in_short(row, self.settings.shown_k)}")
        if row["status"] != "done":
            return FinishedRow(row)
        daily = queries_of(request.folder, DAILY_FILE)
        done = FinishedRow(row, queries_of(request.folder), {} if daily is None else {DAILY: daily})
        return self._add_time_column(done, planned) if planned.by_time else done

    def _add_time_column(self, done: FinishedRow, planned: BenchmarkRow) -> FinishedRow:
        """The row with its figures under a split by time, from a row of its own there."""
        protocol = "evaluation.protocol=global_time"
        request = self._request(planned.name, planned.fit_on, None, by_time(self.settings), protocol)
        timed = self.store.read(request.folder) or self.store.compute(request)
        if timed["status"] != "done":
            _LOG.info(f"{done.name}, global time: {timed['reason']}")
            return done
        k = self.settings.shown_k
        for kind in ("metrics", "standard_error"):
            for name in (f"{metric}_at_{k}_masked" for metric in ("recall", "ndcg")):
                for prefix, found in ((GLOBAL_TIME, name), (DAILY, DAILY + name)):
                    if found in timed[kind]:
                        done.row[kind][prefix + name] = timed[kind][found]
        _LOG.info(f"{done.name}, global time: ndcg_at_{k}_masked {figure(timed, f'ndcg_at_{k}_masked')}")
        frames = {GLOBAL_TIME: queries_of(request.folder), DAILY: queries_of(request.folder, DAILY_FILE)}
        return replace(done, by_time={prefix: frame for prefix, frame in frames.items() if frame is not None})

    def _request(
        self, name: str, fit_on: Any, fold: int | None, settings: BenchmarkSettings | None = None, *more: str
    ) -> RowRequest:
        settings = settings or self.settings
        return RowRequest(
            name=name,
            fit_on=fit_on,
            fold=fold,
            settings=settings,
            overrides=(*self.overrides, *more),
            data_folder=self.dataset.folder.absolute(),
            folder=self.store.place(name, fit_on, fold, settings),
        )


def _in_short(row: dict[str, Any], k: int) -> str:
    if row["status"] != "done":
        return f"{row['status']}, {row['reason']}"
    for name in (f"ndcg_at_{k}_masked", "rmse"):
        if name in row["metrics"]:
            fitted = "a bundle" if row["fit_seconds"] is None else f"fitted in {row['fit_seconds']:.1f} s"
            return f"{name} {figure(row, name)}, {fitted}"
    return "done"


def _tables(rows: Sequence[dict[str, Any]], k: int) -> list[Table]:
    """The results for the terminal."""
    ranking = (f"recall_at_{k}_masked", f"ndcg_at_{k}_masked", f"recall_at_{k}", f"ndcg_at_{k}", *time_columns(k))
    rating = (
        *("rmse", "mae", "auc", "balanced_accuracy", "rank_correlation"),
        *("answered_rmse", "answered_rank_correlation"),
    )
    tables = []
    for title, names in (("what is reviewed next", ranking), ("how many stars it gets", rating)):
        shown = [row for row in rows if row["status"] == "done" and any(name in row["metrics"] for name in names)]
        names = tuple(name for name in names if any(name in row["metrics"] for row in shown))
        heads = [name.replace("_at_", "@").replace("_masked", "\nmasked").replace("_", "\n") for name in names]
        table = Table("model", "fit on", *heads, "fit s", title=f"test: {title}", title_justify="left")
        for column in table.columns[2:]:
            column.justify = "right"
        for row in shown:
            fold = f" {row['fold']}" if "fold" in row else ""
            figures = [f"{row['metrics'][name]:.4f}" if name in row["metrics"] else "-" for name in names]
            style = "bold" if is_own_model(row["model"]) else ""
            table.add_row(row["model"] + fold, row["fit_on"], *figures, seconds_cell(row["fit_seconds"]), style=style)
        if shown:
            tables.append(table)
    return tables
