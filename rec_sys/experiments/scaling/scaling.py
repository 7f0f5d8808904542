"""What a review costs as the data grows: `uv run -m rec_sys.experiments.scaling`.

Every size gets an invented table with text vectors given, and a fresh process in which the functions behind
`rec_sys.train.train` prepare it, build its graph, split it, fit its memory and train for one epoch.
"""

import json
import shutil
from pathlib import Path
from typing import Any, Final

from rich.table import Table

from rec_sys.console import error_console, print_table, say
from rec_sys.contracts import InputError
from rec_sys.data.synthetic_table import (
    COLUMNS,
    INTERACTION_COLUMNS,
    write_synthetic_table,
    write_synthetic_vectors,
)
from rec_sys.experiments.fresh_process import measure_apart
from rec_sys.experiments.scaling.one_epoch import STAGES, RoadRequest
from rec_sys.experiments.scaling.settings import ScalingSettings
from rec_sys.files import atomic_folder, writable_folder
from rec_sys.settings import Settings, TableData, TextSettings, TrackingSettings

REPORT: Final = "scaling.json"
# Two copies of a float16 text vector, the table, its prepared copy and the graph's columns; measured, rounded up.
BYTES_A_REVIEW: Final = 2_500
_ONE_EPOCH: Final = "rec_sys.experiments.scaling.one_epoch"
_ALL: Final = "all"
_MEGABYTE: Final = 1e6


def run(settings: ScalingSettings) -> None:
    """Measures every size; the last line printed is the report's path."""
    folder = writable_folder(settings.output_dir) / "scaling"
    needed = BYTES_A_REVIEW * max(settings.scaling.sizes)
    refuse_small_disk(settings.output_dir, needed)
    console = error_console()
    measured = []
    with atomic_folder(folder, bytes_needed=needed) as unfinished:
        for size in settings.scaling.sizes:
            console.print(f"{size:,} reviews: writes the table and its text vectors, then measures")
            scratch = unfinished / "scratch"
            measured.append(measure(settings, size, scratch))
            shutil.rmtree(scratch)
        report = compare(measured)
        (unfinished / REPORT).write_text(json.dumps(report, indent=2) + "\n")
    print_table(report_table(report))
    say(f"scaling: {folder / REPORT}")


def refuse_small_disk(folder: Path, needed: int) -> None:
    """Looks for the room before minutes are spent.

    Raises:
        InputError: The disk of `folder` has less than `needed` bytes free.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise InputError(
            f"measuring needs about {needed:,} bytes of disk, and {free:,} are free",
            where=str(folder.absolute()),
            remedy="free some space, choose another folder with output_dir=..., or choose smaller scaling.sizes",
        )


def measure(settings: ScalingSettings, num_reviews: int, scratch: Path) -> dict[str, Any]:
    """What one size takes, measured in a process of its own.

    Args:
        settings: The settings.
        num_reviews: The size.
        scratch: A folder to make; the size's files stay in it.

    Returns:
        What `measure_one_epoch` found.

    Raises:
        InputError: The process was killed.
        SystemExit: It failed, and has said why.
    """
    scratch.mkdir()
    whole = _settings_of_size(settings, scratch)
    assert isinstance(whole.data, TableData)
    assert whole.data.reviews_path
    write_synthetic_table(whole.data.reviews_path, num_reviews, settings.seed, settings.scaling.reviews_a_product)
    if whole.text.vectors_path:
        write_synthetic_vectors(whole.text.vectors_path, num_reviews, settings.seed)
    found: dict[str, Any] = measure_apart(
        _ONE_EPOCH,
        RoadRequest(whole=whole, train_reviews=settings.scaling.train_reviews),
        scratch,
        where=f"{num_reviews:,} reviews",
        remedy="if memory ran out, choose smaller scaling.sizes or a smaller trainer.batch_size",
    )
    return found


def _settings_of_size(settings: ScalingSettings, scratch: Path) -> Settings:
    """All settings of a training run of one epoch on one device."""
    text = settings.scaling.text
    data = TableData(
        name="synthetic",
        reader="table",
        reviews_path=scratch / "reviews.parquet",
        columns=COLUMNS if text else INTERACTION_COLUMNS,
    )
    return Settings(
        seed=settings.seed,
        output_dir=scratch / "output",
        data=data,
        text=TextSettings(source="given", vectors_path=scratch / "vectors.npy")
        if text
        else TextSettings(source="none"),
        graph=settings.graph,
        model=settings.model,
        trainer=settings.trainer.model_copy(update={"max_epochs": 1, "devices": 1}),
        evaluation=settings.evaluation,
        tracking=TrackingSettings(enabled=False),
    )


def compare(measured: list[dict[str, Any]]) -> dict[str, Any]:
    """The report: what was measured, with microseconds a review, and their ratios to the first size's.

    Returns:
        `sizes`, a list of what was measured; in each, `microseconds` and `ratio` give a number for every stage and
        for `all` together.
    """
    sizes: list[dict[str, Any]] = []
    for found in measured:
        seconds = {stage: found["stages"][stage]["seconds"] for stage in STAGES}
        seconds[_ALL] = sum(seconds.values())
        microseconds = {stage: value / found["num_reviews"] * 1e6 for stage, value in seconds.items()}
        first = sizes[0]["microseconds"] if sizes else microseconds
        ratio = {stage: value / first[stage] for stage, value in microseconds.items()}
        sizes.append({**found, "seconds": seconds, "microseconds": microseconds, "ratio": ratio})
    return {"sizes": sizes}


def report_table(report: dict[str, Any]) -> Table:
    """The report for the terminal: a row for every size and stage."""
    headings = ("reviews", "stage", "s", "cpu s", "µs/review", "ratio", "peak MB", "anon. MB")
    table = Table(*headings, title="time a review and memory as the data grows", title_justify="left")
    for column in table.columns:
        column.no_wrap = True
        column.justify = "left" if column.header == "stage" else "right"
    for size in report["sizes"]:
        name = f"{size['num_reviews']:,}"
        for stage in STAGES:
            found = size["stages"][stage]
            memory = _megabytes(found["peak_resident_bytes"]), _megabytes(found["peak_anonymous_bytes"])
            table.add_row(name, stage, *_times(size, stage, found["processor_seconds"]), *memory)
            name = ""
        processor = sum(size["stages"][stage]["processor_seconds"] for stage in STAGES)
        anonymous = [size["stages"][stage]["peak_anonymous_bytes"] for stage in STAGES]
        most = max(anonymous) if all(anonymous) else None
        memory = _megabytes(size["peak_resident_bytes"]), _megabytes(most)
        table.add_row(name, _ALL, *_times(size, _ALL, processor), *memory, end_section=True)
    return table


def _times(size: dict[str, Any], stage: str, processor_seconds: float) -> tuple[str, str, str, str]:
    return (
        f"{size['seconds'][stage]:,.1f}",
        f"{processor_seconds:,.1f}",
        f"{size['microseconds'][stage]:,.1f}",
        f"{size['ratio'][stage]:.2f}",
    )


def _megabytes(count: int | None) -> str:
    return "-" if count is None else f"{count / _MEGABYTE:,.0f}"
