"""Recommendations on the command line: `uv run -m rec_sys.inference.infer user_id=...`.

`liked=FILE` answers for titles that somebody rated, `reviews=FILE` for whoever wrote what stands in a file,
`users=FILE` for each user of a table, `export=NAME` for everybody that a shop's own format of submissions asks for.
"""

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from pydantic import Field
from rich.table import Table
from rich.text import Text

from rec_sys.console import print_table, say
from rec_sys.contracts import InputError
from rec_sys.entry import run_entry
from rec_sys.files import atomic_file, writable_folder
from rec_sys.settings import CommandSettings, EngineSettings, IndexSettings, InferenceSettings
from rec_sys.shown_text import escape_controls

if TYPE_CHECKING:
    from rec_sys.inference.contract import RecommendationAnswer
    from rec_sys.inference.recommender import Recommender

_LOG: Final = logging.getLogger(__name__)

_SHOWN_SNIPPET = 60  # characters
_SHOWN_REVIEWS = 3


class InferSettings(CommandSettings):
    """Everything config/infer.yaml composes."""

    bundle: Path | None = Field(None, description="Empty: the one that the index was made from.")
    user_id: str | None = Field(None, description="A user of the bundle.")
    reviews: Path | None = Field(
        None,
        description="A JSON, CSV or Parquet file: a list of reviews, the newest last (timestamps order those that have"
        " one); in JSON also an object with reviews.",
    )
    liked: Path | None = Field(
        None,
        description="A CSV, JSON or Parquet file of titles that somebody has rated: title, author, rating, and for"
        " those that the catalogue may not have description, genres.",
    )
    users: Path | None = Field(None, description="A CSV, JSON or Parquet file with a column user_id: a batch export.")
    limit: int = Field(10, ge=1, le=100, description="Products a user.")
    format: Literal["table", "json"] = Field("table", description="Of an answer.")
    output: Path | None = Field(None, description="Of an answer a file; of a batch export its folder.")
    export: str | None = Field(
        None, description="A shop's own file for all of its users, or those of users: the name of its format."
    )
    truth: Path | None = Field(
        None, description="export: a raw file of the shop's of what happened next; the export is measured by it."
    )
    index: IndexSettings
    inference: InferenceSettings
    engine: EngineSettings = Field(EngineSettings(), description="What answers many users: users=... and export=....")


def run(settings: InferSettings) -> None:
    """Answers.

    Raises:
        InputError: Nobody is asked for, or the request cannot be answered.
    """
    if settings.export is not None:
        asyncio.run(_export_submission(settings, settings.export))
        return
    if settings.engine.kind != "local" and (settings.users is None or settings.liked is not None):
        raise InputError(
            "a cluster answers many users, and a single one is asked for",
            where=f"setting engine={settings.engine.kind}",
            remedy="give users=FILE or export=NAME, or leave engine out",
        )
    if settings.output is not None:
        writable_folder(settings.output if settings.users is not None else settings.output.absolute().parent, "output")
    if settings.liked is not None:
        asyncio.run(_recommend_for_liked(settings, settings.liked))
    elif settings.users is not None:
        if settings.user_id is not None or settings.reviews is not None:
            raise InputError(
                "a table of users and a single one are asked for",
                where="settings users, user_id and reviews",
                remedy="give users=..., or the others",
            )
        asyncio.run(_export(settings, settings.users))
    elif settings.user_id is not None or settings.reviews is not None:
        _show(asyncio.run(_recommend(settings)), settings)
    else:
        raise InputError(
            "nobody is asked for",
            where="settings user_id, reviews, liked, users and export",
            remedy="give user_id=ID, reviews=FILE, liked=FILE, users=FILE, or export=NAME",
        )


async def _recommend(settings: InferSettings) -> "RecommendationAnswer":
    from rec_sys.inference.contract import RecommendationRequest
    from rec_sys.inference.recommender import Recommender
    from rec_sys.inference.request_parsing import parse

    given = {} if settings.user_id is None else {"user_id": settings.user_id}
    async with Recommender(settings.index, settings.inference, settings.output_dir, settings.bundle) as recommender:
        content = {} if settings.reviews is None else await _read_content(settings.reviews, recommender)
        request = parse(RecommendationRequest, {"limit": settings.limit} | content | given)
        return await recommender.recommend(request)


async def _read_content(path: Path, recommender: "Recommender") -> dict[str, object]:
    """A request that stands in a file, or one with the reviews there, under our names or the training table's."""
    from rec_sys.inference.contract import Review
    from rec_sys.raw_files.trained_columns import rows_as_trained
    from rec_sys.raw_files.values import read_values

    values = read_values(path, Review.model_fields)
    try:
        trained_on = await recommender.table_settings()
    except InputError:  # what is missing is said when it is asked
        trained_on = None
    rows = rows_as_trained(values, trained_on, Review.model_fields)
    if len(rows) != 1 or not isinstance(rows[0], dict) or "asin" in rows[0]:
        return {"reviews": rows}
    content: dict[str, object] = rows[0]
    if isinstance(reviews := content.get("reviews"), list):
        content = content | {"reviews": rows_as_trained(reviews, trained_on, Review.model_fields)}
    return content


async def _recommend_for_liked(settings: InferSettings, path: Path) -> None:
    from rec_sys.inference.backends import Backends
    from rec_sys.inference.liked_products import recommend_for_liked
    from rec_sys.inference.submissions.checking import check_answers

    backends = Backends(settings.index, settings.inference, settings.output_dir, settings.bundle)
    try:
        products, ignored = await recommend_for_liked(backends, path, settings.limit)
        served = await backends.served()
    finally:
        await backends.close()
    for title, reason in ignored.items():
        _LOG.warning(f"ignored: {title}: {reason}")
    if settings.output is None:
        say(products.write_csv().rstrip())
        return
    with atomic_file(settings.output) as unfinished:
        products.write_csv(unfinished)
        check_answers(unfinished, served.asins, served.rating_scale, settings.limit)
    say(f"recommendations: {settings.output}, read again and checked")


async def _export(settings: InferSettings, users: Path) -> None:
    from rec_sys.inference.backends import Backends
    from rec_sys.inference.batch_export import export_users

    folder = settings.output or settings.output_dir / "recommendations" / users.stem
    backends = Backends(settings.index, settings.inference, settings.output_dir, settings.bundle)
    try:
        result = await export_users(backends, users, folder, settings.limit, settings.engine)
    finally:
        await backends.close()
    if result.unknown:
        say(f"unknown: {result.unknown:,} users, see {folder / 'unknown_users.parquet'}")
    pace = f", {result.answered / result.seconds:,.0f} a second" if result.answered else ""
    say(f"users: {result.users:,} in {result.parts} files, {result.answered:,} of them now{pace}")
    say(f"recommendations: {folder}")


async def _export_submission(settings: InferSettings, name: str) -> None:
    from rec_sys.inference.backends import Backends
    from rec_sys.inference.submissions import FORMATS
    from rec_sys.inference.submissions.export import export_submission

    form = FORMATS.get(name)
    if form is None:
        remedy = f"choose one of {', '.join(FORMATS)}"
        raise InputError("there is no such format", where=f"setting export={name}", remedy=remedy)
    path = settings.output or settings.output_dir / "recommendations" / f"{name}.csv"
    writable_folder(path.absolute().parent, "output")
    backends = Backends(settings.index, settings.inference, settings.output_dir, settings.bundle)
    try:
        result = await export_submission(backends, form, path, settings.users, settings.truth, settings.engine)
    finally:
        await backends.close()
    if result.measured:
        print_table(_measured_table(result.measured))
    say(f"users: {result.users:,}; filled up with the most popular: {result.filled:,}, unknown: {result.unknown:,}")
    say(f"submission: {path}, read again and checked")


def _measured_table(measured: dict[str, dict[str, float]]) -> Table:
    metrics = list(dict.fromkeys(name for figures in measured.values() for name in figures))
    table = Table("", *metrics)
    for row, figures in measured.items():
        table.add_row(row, *(f"{figures[name]:.4f}" if name in figures else "" for name in metrics))
    return table


def _show(answer: "RecommendationAnswer", settings: InferSettings) -> None:
    text = answer.model_dump_json(indent=2)
    if settings.output is not None:
        with atomic_file(settings.output) as path:
            path.write_text(text + "\n", encoding="utf-8")
        say(f"recommendations: {settings.output}")
    elif settings.format == "json":
        say(text)
    else:
        say(f"for {answer.user_id or 'the reviews given'}")
        for line in attention_lines(answer):
            say(line)
        if answer.products:
            print_table(answer_table(answer))
        for line in answer.hints:
            say(line)
        for line in _remarks(answer, settings.reviews is not None):
            say(line)


def answer_table(answer: "RecommendationAnswer") -> Table:
    """An answer for the terminal: one line a product, with the review that speaks most for it."""
    table = Table("", "product", "title", "score", "source", "because of")
    for place, column in enumerate(table.columns):
        column.justify = "right" if place in (0, 3) else "left"
        column.no_wrap = place not in (2, 5)  # where the terminal is narrow, title and reason are cut
    for product in answer.products:
        reason = product.reasons[0] if product.reasons else None
        because = "" if reason is None else reason.title or reason.asin
        if reason is not None and product.source == "memory":
            because = f"{reason.memory:+.2f} {because}"
        cells = str(product.rank), product.asin, product.title or "", f"{product.score:.2f}", product.source, because
        table.add_row(*(Text(escape_controls(cell), no_wrap=True, overflow="ellipsis") for cell in cells))
    return table


def attention_lines(answer: "RecommendationAnswer") -> list[str]:
    """The reviews that the user vector is made of most; attention is the user's, the same for every product.

    Reasons are ordered by attention where a product's source is graph, so that those name the strongest.
    """
    reasons = [reason for product in answer.products if product.source == "graph" for reason in product.reasons]
    different = {(reason.asin, reason.snippet, reason.timestamp): reason for reason in reasons}
    strongest = sorted(different.values(), key=lambda reason: -reason.weight)[:_SHOWN_REVIEWS]
    lines = []
    for reason in strongest:
        words = " ".join((reason.snippet or "").split())
        words = f": {words[:_SHOWN_SNIPPET]}{'...' if len(words) > _SHOWN_SNIPPET else ''}" if words else ""
        lines.append(f"attention {reason.weight:.2f} {reason.title or reason.asin}{words}")
    return lines


def _remarks(answer: "RecommendationAnswer", reviews_given: bool) -> list[str]:
    alike: dict[tuple[str, str], list[str]] = {}
    for ignored in answer.ignored:
        alike.setdefault((ignored.asin, ignored.reason), []).append(ignored.field)
    lines = []
    for (asin, reason), (field, *others) in alike.items():
        more = f" and {len(others)} more" if others else ""
        lines.append(f"ignored: {field}{more} ({asin}): {reason}")
    if answer.fallback is not None:
        lines.append(f"fallback: {answer.fallback}, because {answer.fallback_reason}")
    if answer.basis != "reviews":
        lines.append(f"basis: {answer.basis}")
    if reviews_given:
        lines.append("order: the last review given is the newest; reviews with a timestamp are ordered by it")
    if answer.rating_scale != type(answer).model_fields["rating_scale"].default:
        lines.append("ratings: {:g} to {:g}, as in the training data".format(*answer.rating_scale))
    times, versions = answer.times, answer.versions
    lines.append(
        f"reviews read: {answer.reviews_used}; bundle {versions.bundle}, index {versions.index},"
        f" towers {versions.towers}"
    )
    steps = ", ".join(f"{step} {getattr(times, step):.1f}" for step in ("text", "tower", "index", "ranker", "rest"))
    return [*lines, f"milliseconds: {times.total:.1f} ({steps})"]


if __name__ == "__main__":
    run_entry(run, InferSettings, "infer")
