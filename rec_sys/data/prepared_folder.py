"""Fills the folder of a prepared data set from a source, and refuses a source with too many bad rows."""

import logging
import shutil
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import polars as pl
from rich.progress import Progress, SpinnerColumn, TimeElapsedColumn

from rec_sys.checksums import write_checksums
from rec_sys.console import error_console, text_column
from rec_sys.contracts import InputError, PreparedFile, ProductColumn, QuarantineColumn, ReviewColumn, UserColumn
from rec_sys.data.dataset import DatasetSummary
from rec_sys.data.product_join import join_products
from rec_sys.data.products import product_table
from rec_sys.data.readers.batches import QUARANTINE_SCHEMA, Batch, Source
from rec_sys.data.time_order import WeightRules, write_in_time_order
from rec_sys.data.titled_reviews import summarise
from rec_sys.data.written import WrittenData
from rec_sys.files import atomic_file
from rec_sys.raw_files.listing import first_of
from rec_sys.raw_files.product_texts import PRODUCT_FACTS_SCHEMA
from rec_sys.settings import DataSettings, TableData

_LOG: Final = logging.getLogger(__name__)


@dataclass
class _Read:
    """What one pass over a raw file found."""

    num_rows: int = 0
    num_records: int = 0
    files: list[Path] = field(default_factory=list)
    num_bytes: int = 0
    filled: set[str] = field(default_factory=set)  # columns with a value in some row
    set_aside: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=QUARANTINE_SCHEMA))
    found: dict[str, str] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    remedies: dict[str, str] = field(default_factory=dict)


def fill_folder(
    source: Source,
    data: DataSettings,
    fingerprint: str,
    folder: Path,
    left_quarantine: Path,
    written: WrittenData | None = None,
) -> None:
    """Writes every file of `contracts.PreparedFile`, the summary last, and their checksums.

    Too many bad rows are written to `left_quarantine`.

    Raises:
        InputError: The source cannot be read, holds no review, or too many bad rows.
    """
    scratch = folder / "unsorted"
    scratch.mkdir()
    raw = source.reviews() if written is None else written.without_forgotten(source.reviews())
    reviews = _read(raw, scratch, "reviews", data.max_reviews)
    if written is not None:
        _add(reviews, _read(iter([written.reviews(data, source.has_time)]), scratch, "written"))
    facts = source.products() if source.products else iter(())
    metadata = _read(facts if written is None else written.product_batches(facts), scratch, "products")
    known = source.users() if source.users else iter(())
    users = _read(known if written is None else written.without_forgotten(known), scratch, "users")
    for found in (reviews, metadata, users):
        _refuse_too_many_bad(found, data, left_quarantine)
    if not reviews.files:
        raise InputError("there is no review in the data", where=_names(source), remedy="check the file")
    weights = WeightRules()
    if isinstance(data, TableData):
        weights = WeightRules(data.equal_rows == "quantity", data.events.half_life_days, data.equal_rows == "latest")
    merged = write_in_time_order(
        reviews.files, reviews.num_bytes, scratch, folder / PreparedFile.REVIEWS, weights=weights
    )
    put = frozenset[str]() if written is None else written.products.asins()
    reviews.found |= _write_products(data, metadata, folder, source, put)
    if source.users is not None:
        reviews.found["users of whom more is known"] = _write_users(users, folder, source)
    if source.titles is not None:
        titles = source.titles()
        titles.write_csv(folder / PreparedFile.TITLES)
        reviews.found |= summarise(titles)
    pl.concat([reviews.set_aside, metadata.set_aside, users.set_aside]).write_parquet(folder / PreparedFile.QUARANTINE)
    shutil.rmtree(scratch)
    if source.has_time:
        first, last = _first_and_last(folder)
        reviews.found |= {"first review": first, "last review": last}
    summary = _summary(source, data, fingerprint, reviews, metadata, users, merged, folder)
    if written is not None:
        summary = summary.model_copy(update={"store_position": written.place})
    (folder / PreparedFile.SUMMARY).write_text(summary.model_dump_json(indent=2) + "\n")
    write_checksums(folder)


def _first_and_last(folder: Path) -> tuple[str, str]:
    time = pl.col(ReviewColumn.TIMESTAMP)
    ends = pl.scan_parquet(folder / PreparedFile.REVIEWS).select(first=time.min(), last=time.max()).collect()
    return tuple(ends.cast(pl.Datetime("ms")).select(pl.all().dt.to_string("%Y-%m-%d")).row(0))


def _summary(
    source: Source,
    data: DataSettings,
    fingerprint: str,
    reviews: _Read,
    metadata: _Read,
    users: _Read,
    merged: int,
    folder: Path,
) -> DatasetSummary:
    reasons = Counter(reviews.set_aside[QuarantineColumn.REASON].to_list())
    counts, labels = Counter(reviews.counts), dict(reviews.found)
    for name, other in (("metadata", metadata), ("users", users)):
        reasons += Counter(f"{name}: {reason}" for reason in other.set_aside[QuarantineColumn.REASON].to_list())
        counts += Counter({f"{name}: {label}": number for label, number in other.counts.items()})
        labels |= {f"{name}: {label}": value for label, value in other.found.items()}
    counted = pl.scan_parquet(folder / PreparedFile.REVIEWS).select(
        num_reviews=pl.len(), num_users=pl.col(ReviewColumn.USER_ID).n_unique()
    )
    products = pl.read_parquet(folder / PreparedFile.PRODUCTS, columns=[ProductColumn.TEXT, ProductColumn.KNOWN_RATING])
    figures = {
        "name": data.name,
        "fingerprint": fingerprint,
        "rows_read": reviews.num_rows,
        "duplicates_merged": merged,
        "rows_set_aside": reviews.set_aside.height,
        "metadata_rows_read": metadata.num_rows,
        "metadata_rows_set_aside": metadata.set_aside.height,
        "reasons": dict(reasons.most_common()),
        "found": labels,
        "counts": counts,
        "has_time": source.has_time,
        "has_rating": ReviewColumn.RATING in reviews.filled,
        "has_text": bool(reviews.filled & {ReviewColumn.TITLE, ReviewColumn.TEXT}),
        "num_products": products.height,
        "has_product_text": products[ProductColumn.TEXT].count() > 0,
        "has_known_rating": products[ProductColumn.KNOWN_RATING].count() > 0,
    }
    return DatasetSummary.model_validate(figures | counted.collect(engine="streaming").row(0, named=True))


def _read(batches: Iterator[Batch], scratch: Path, what: str, limit: int | None = None) -> _Read:
    """Writes the good rows of each batch, `limit` at most, to a part file and keeps the bad ones."""
    found = _Read()
    bad = []
    columns = SpinnerColumn(), text_column("reading {task.description}: {task.completed:,.0f}"), TimeElapsedColumn()
    console = error_console()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=None)
        num_good = 0
        for batch in batches:
            if limit is not None:
                batch = replace(batch, rows=batch.rows.head(limit - num_good))
            num_good += batch.rows.height
            found.num_rows += batch.rows.height + batch.set_aside.height + batch.left_out
            found.num_records += batch.num_records
            found.num_bytes += int(batch.rows.estimated_size())
            found.counts.update(batch.counts)
            found.remedies = {**batch.remedies} | found.remedies
            for label, value in batch.found.items():
                if label not in found.found:
                    _LOG.info(f"{what}: {label}: {value}")
                    found.found[label] = value
            found.filled |= {column.name for column in batch.rows if column.null_count() < len(column)}
            if batch.rows.height:
                found.files.append(scratch / f"{what}-{len(found.files):05}.parquet")
                batch.rows.write_parquet(found.files[-1], compression="lz4")
            if batch.set_aside.height:
                bad.append(batch.set_aside)
            progress.advance(task, batch.rows.height)
            if num_good == limit:
                break
    if bad:
        found.set_aside = pl.concat(bad)
    return found


def _add(reviews: _Read, written: _Read) -> None:
    """Takes written reviews in behind those of the raw files."""
    reviews.num_rows += written.num_rows
    reviews.num_records += written.num_records
    reviews.files += written.files
    reviews.num_bytes += written.num_bytes
    reviews.filled |= written.filled


def _refuse_too_many_bad(found: _Read, data: DataSettings, left_quarantine: Path) -> None:
    num_bad = found.set_aside.height
    share = num_bad / max(found.num_records, 1)
    if share <= data.max_bad_share:
        return
    with atomic_file(left_quarantine) as unfinished:
        found.set_aside.write_parquet(unfinished)
    first = found.set_aside.row(0, named=True)
    reasons = Counter(found.set_aside[QuarantineColumn.REASON].to_list()).most_common()
    counted = ", ".join(f"{count:,} {reason}" for reason, count in reasons)
    meant = " ".join(f"{setting}={value}" for setting, value in found.remedies.items())
    mend = f"mend the file or raise data.max_bad_share (here {share:.4g})"
    if meant and isinstance(data, TableData):
        mend = f"as the values look, add {meant}"
    elif meant:
        mend += f"; the values look like {meant} of a table, and data=table reads those"
    raise InputError(
        f"{num_bad:,} of {found.num_records:,} rows are bad, more than data.max_bad_share="
        f"{data.max_bad_share:g} allows: {counted}",
        where=f"{first[QuarantineColumn.FILE]}, first at line {first[QuarantineColumn.LINE]}",
        remedy=f"see them in {left_quarantine}; {mend}",
    )


def _write_products(
    data: DataSettings, metadata: _Read, folder: Path, source: Source, put: Collection[str]
) -> dict[str, str]:
    """Writes the product table and says, as `Batch.found`, how many products the metadata describe.

    Products that were put while the service ran, `put`, are kept though nobody has reviewed them.
    """
    from rec_sys.data.schemas import ProductTable

    reviews = pl.scan_parquet(folder / PreparedFile.REVIEWS)
    facts = [pl.DataFrame(schema=PRODUCT_FACTS_SCHEMA)]
    reviewed = reviews.select(ReviewColumn.ASIN).unique().collect(engine="streaming")
    found = {}
    if metadata.files and source.products:
        asins = pl.scan_parquet(metadata.files).select(ProductColumn.ASIN).collect().to_series()
        join = join_products(reviewed[ReviewColumn.ASIN], asins)
        if not join.num_described:
            raise InputError(
                f"none of the {metadata.num_rows:,} products of the metadata is reviewed: {join}",
                where=_names(source),
                remedy=join.remedy,
            )
        if not join.is_whole:
            _LOG.warning(f"{join}: {join.remedy}")
        found["product metadata"] = str(join)
    for file in metadata.files:
        known = pl.read_parquet(file)
        if not data.keep_unreviewed_products:
            known = known.filter(
                pl.col(ProductColumn.ASIN).is_in(reviewed[ReviewColumn.ASIN].implode())
                | pl.col(ProductColumn.ASIN).is_in(list(put))
            )
        facts.append(known)
    products = product_table(reviews, pl.concat(facts), keep_unreviewed=data.keep_unreviewed_products or bool(put))
    ProductTable.validate(products, lazy=True)
    products.write_parquet(folder / PreparedFile.PRODUCTS)
    return found


def _write_users(users: _Read, folder: Path, source: Source) -> str:
    """Writes what is known of the users who have reviews, the first row of each, and says of how many."""
    reviewers = pl.scan_parquet(folder / PreparedFile.REVIEWS).select(UserColumn.USER_ID).unique().collect()
    rows = pl.concat([pl.read_parquet(file) for file in users.files]) if users.files else pl.DataFrame()
    known = rows.join(reviewers, on=UserColumn.USER_ID, how="semi") if users.files else rows
    if not known.height:
        raise InputError(
            f"none of the {rows.height:,} users of the table of users has a review",
            where=_names(source),
            remedy="write the ids as text, in one form, to both files; see data.user_columns.user_id",
        )
    further = known.height - known[UserColumn.USER_ID].n_unique()
    users.counts.update({"rows after a user's first (left out)": further} if further else {})
    known = known.unique(UserColumn.USER_ID, keep="first", maintain_order=True).sort(UserColumn.USER_ID)
    known.write_parquet(folder / PreparedFile.USERS)
    return f"{known.height:,} of {reviewers.height:,}"


def _names(source: Source) -> str:
    return first_of([str(file) for file in source.files])
