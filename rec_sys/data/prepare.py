"""Prepares a data set: raw files become validated, time-ordered Parquet, and nothing is lost without being named."""

import hashlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError
from rich.table import Table

from rec_sys.checksums import CHECKSUMS, check_folder
from rec_sys.console import print_table, say
from rec_sys.contracts import InputError
from rec_sys.entry import run_entry
from rec_sys.files import atomic_folder, writable_folder
from rec_sys.locks import hold_lock
from rec_sys.settings import DataSettings, EngineSettings, Settings, TableData

if TYPE_CHECKING:
    from rec_sys.data.dataset import DatasetSummary, PreparedDataset
    from rec_sys.data.written import WrittenData

_LOG: Final = logging.getLogger(__name__)

# Scratch and result together were up to 4.9 times the size of a packed input file (a Parquet table, 1,000,000 reviews).
_BYTES_NEEDED_A_BYTE: Final = 5


def prepare(
    data: DataSettings, output_dir: Path, written: "WrittenData | None" = None, engine: EngineSettings | None = None
) -> "PreparedDataset":
    """Prepares a data set, or finds it prepared.

    Bad rows are set aside with their reason. Exact duplicates - same user, product, time, rating and body - are merged
    into the first of them in the file, though headline, style or votes may differ: a shop repeats one review for every
    variant of one purchase.

    Args:
        data: The settings of the data set.
        output_dir: The result goes to `data/<name>-<12 hex digits of the fingerprint>` below it, downloads to `raw`.
        written: What a store adds to it; None for the files alone.
        engine: Who reads a Parquet table of reviews; None: this process. The result is the same.

    Raises:
        InputError: The input or the cluster cannot be used, too many of its rows are bad, or the disk is full.
    """
    from rec_sys.data.dataset import PreparedDataset
    from rec_sys.data.fingerprint import data_fingerprint
    from rec_sys.data.prepared_folder import fill_folder
    from rec_sys.data.readers import open_source

    home = writable_folder(output_dir / "data")
    data = with_columns_found(data)
    source = open_source(data, output_dir / "raw", engine)
    fingerprint = data_fingerprint(data, source.files, home / ".hashes.json")
    if written is not None:
        fingerprint = hashlib.sha256(f"{fingerprint} {written.digest}".encode()).hexdigest()
    folder = home / f"{data.name}-{fingerprint[:12]}"
    left_quarantine = home / f"{data.name}-quarantine.parquet"  # where the bad rows of a failed preparation stay
    with hold_lock(home / f".{data.name}.lock", waiting=f"another process is preparing {data.name}; waiting for it"):
        found = _finished(folder, fingerprint)
        if found is not None:
            _LOG.info(f"{data.name} is already prepared: inputs and settings are unchanged")
            return found
        if engine is not None and engine.kind == "ray" and not source.in_ranges:
            _LOG.info("this process reads the reviews: a cluster reads Parquet tables alone")
        size = sum(file.stat().st_size for file in source.files)
        with atomic_folder(folder, bytes_needed=_BYTES_NEEDED_A_BYTE * size) as unfinished:
            fill_folder(source, data, fingerprint, unfinished, left_quarantine, written)
        left_quarantine.unlink(missing_ok=True)
    return PreparedDataset(folder)


def with_columns_found(data: DataSettings) -> DataSettings:
    """The settings with every column of a table named that they leave open; others are as they were.

    Raises:
        InputError: A file cannot be read, or it is open which column is what.
    """
    if not isinstance(data, TableData):
        return data
    from rec_sys.data.column_map import complete_map
    from rec_sys.data.column_map_file import map_arguments

    found = complete_map(data)
    if found != data:
        _LOG.info(f"columns found: {' '.join(map_arguments(found))}")
    return found


def as_read(data: DataSettings, dataset: "PreparedDataset") -> DataSettings:
    """The settings under which further rows of the same table are read as those of the prepared one were."""
    from rec_sys.data.dataset import TIME_FORM

    form = dataset.summary.found.get(TIME_FORM)
    if form is None or not isinstance(data, TableData):
        return data
    return data.model_copy(update={"timestamp_format" if "%" in form else "timestamp_unit": form})


def _finished(folder: Path, fingerprint: str) -> "PreparedDataset | None":
    from rec_sys.data.dataset import PreparedDataset

    if not (folder / CHECKSUMS).is_file():
        return None
    try:
        check_folder(folder, "the prepared data", "it is prepared again")
        found = PreparedDataset(folder)
    except InputError as error:
        _LOG.warning(f"{error.what}: {error.where}: {error.remedy}")
        return None
    except ValidationError:
        # Written by another version; it is prepared anew.
        return None
    return found if found.summary.fingerprint == fingerprint else None


def run(settings: Settings) -> None:
    """Prepares the data set of the settings and prints what became of its rows."""
    dataset = prepare(settings.data, settings.output_dir, engine=settings.engine)
    print_table(_summary_table(dataset.summary))
    say(f"dataset: {dataset.folder}")


def _summary_table(summary: "DatasetSummary") -> Table:
    table = Table("", "", title=summary.name, show_header=False, title_justify="left")
    table.columns[1].justify = "right"

    figures = {
        "rows read": summary.rows_read,
        "exact duplicates merged": summary.duplicates_merged,
        "rows set aside": summary.rows_set_aside,
    }
    if summary.metadata_rows_read:
        figures["metadata rows read"] = summary.metadata_rows_read
        figures["metadata rows set aside"] = summary.metadata_rows_set_aside
    figures |= {f"  {reason}": number for reason, number in summary.reasons.items()}
    figures |= summary.counts
    totals = {"reviews": summary.num_reviews, "users": summary.num_users, "products": summary.num_products}
    for counts in (figures, totals):
        for label, value in counts.items():
            table.add_row(label, f"{value:,}")
        table.add_section()
    parts = {
        "time": summary.has_time,
        "ratings": summary.has_rating,
        "review texts": summary.has_text,
        "product texts": summary.has_product_text,
    }
    for part, is_there in parts.items():
        table.add_row(part, "yes" if is_there else "no")
    table.add_section()
    for label, found in summary.found.items():
        table.add_row(label, found)
    return table


if __name__ == "__main__":
    run_entry(run, Settings, "config")
