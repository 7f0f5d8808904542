"""A shop's months: a base is trained and published, every review is asked for and written, the figures are drawn."""

import asyncio
import logging
import math
import shutil
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import polars as pl

from rec_sys.bundle import Bundle
from rec_sys.console import say, say_error
from rec_sys.contracts import MILLISECONDS_A_DAY, InputError, ReviewColumn
from rec_sys.data.prepare import prepare, with_columns_found
from rec_sys.data.readers import open_source
from rec_sys.entry import compose_settings
from rec_sys.evaluation.uncertainty import clustered_error
from rec_sys.experiments.simulated_month.settings import SimulatedMonthSettings
from rec_sys.files import atomic_file
from rec_sys.inference.contract import Filter, RecommendationRequest
from rec_sys.inference.recommender import Recommender
from rec_sys.inference.review_messages import NewReview, NewReviews
from rec_sys.locks import locked_folder
from rec_sys.processes import quote
from rec_sys.publish import PublicationSettings, PublishSettings, publish
from rec_sys.refresh.command import run as refresh
from rec_sys.refresh.settings import RefreshSettings
from rec_sys.serving.gateway import GatewaySettings
from rec_sys.settings import ReviewColumnMap, Settings, TableData
from rec_sys.train.figures import BLUE, GREY, INK, VERMILION, label_axes, new_figure, save_figure
from rec_sys.train.run_folder import RunFolder
from rec_sys.train.train import train
from rec_sys.vector_database.opening import open_publisher

_LOG: Final = logging.getLogger(__name__)
_Publication = TypeVar("_Publication", bound=PublicationSettings)
_K: Final = 10
_PATIENCE: Final = 300  # seconds
POPULAR, FROZEN, LIVE, REFRESHED = "popular", "frozen", "live", "live and refreshed"
_COLOURS: Final = {POPULAR: GREY, FROZEN: INK, LIVE: BLUE, REFRESHED: VERMILION}
_PAIRS: Final = ((FROZEN, POPULAR), (LIVE, FROZEN), (REFRESHED, LIVE), (REFRESHED, FROZEN))


def run(settings: SimulatedMonthSettings) -> None:
    """Plays the month through; the last line printed is the folder of the table and the picture."""
    folder = settings.output_dir.absolute() / "simulated_month"
    with locked_folder(folder, "another month is played through in this folder", "wait for it to end"):
        for old in folder.glob("month-*"):
            shutil.rmtree(old)
        month, months = settings.simulated_month, []
        with asyncio.Runner() as runner:
            for number in range(month.months):
                start_days, place = month.start_days + number * month.days, folder / f"month-{number + 1}"
                _LOG.info(f"month {number + 1} of {month.months}: from day {start_days:,} on")
                months.append(_Month(settings, start_days, place, runner).play().with_columns(month=number + 1))
        asked = pl.concat(months)
        asked.write_csv(folder / "questions.csv")
        with atomic_file(folder / "simulated_month.md") as unfinished:
            unfinished.write_text(markdown(asked))
        draw(asked, folder / "simulated_month.png")
    say_error((folder / "simulated_month.md").read_text())
    say(f"simulated_month: {folder}")


class _Month:
    """The shop, its data cut in two, and its recommenders, which live in one event loop."""

    def __init__(self, settings: SimulatedMonthSettings, start_days: int, folder: Path, runner: asyncio.Runner) -> None:
        self._month, self._shop, self._ask = settings.simulated_month, folder / "shop", runner.run
        dataset = prepare(with_columns_found(settings.data), settings.output_dir, engine=settings.engine)
        if not dataset.summary.has_time:
            raise InputError("the data has no times", where="data", remedy="choose data whose reviews have a time")
        day = pl.col(ReviewColumn.TIMESTAMP) // MILLISECONDS_A_DAY
        reviews = dataset.reviews().with_columns(day=day - day.min() - start_days)
        before = reviews.filter(pl.col("day") < 0)
        self._coming = reviews.filter(pl.col("day").is_between(0, self._month.days - 1))
        if before.is_empty() or self._coming.is_empty():
            raise InputError(
                "no review is written in that month, or before it", where="simulated_month", remedy="move it"
            )
        data = _write_base(settings, before, folder / "base")
        own = {name: getattr(settings, name) for name in Settings.model_fields}
        self._training = Settings(**own | {"data": data, "output_dir": self._shop, "run_dir": None})
        # Texts that are embedded already stay so.
        self._shop.mkdir(parents=True)
        (settings.output_dir / "text").mkdir(parents=True, exist_ok=True)
        (self._shop / "text").symlink_to((settings.output_dir / "text").absolute())
        self._counts = Counter(before[ReviewColumn.ASIN].to_list())
        self._written = Counter[str]()
        self._known: defaultdict[str, set[str]] = defaultdict(set)
        for user_id, asin in before.select(ReviewColumn.USER_ID, ReviewColumn.ASIN).iter_rows():
            self._known[user_id].add(asin)

    def play(self) -> pl.DataFrame:
        """One row a question: `day`, `user_id`, and what each way reached in NDCG@10."""
        run_folder = RunFolder(self._training)
        with run_folder.locked():
            path = train(self._training, run_folder)
        assert path is not None
        for index in ("frozen", "refreshed"):
            settings = self._publication(PublishSettings, "publish", index)
            publish(Bundle(path), open_publisher(settings.index), settings)
        recommenders = {
            FROZEN: self._recommender("frozen", is_live=False),
            LIVE: self._recommender("frozen", is_live=True),
            REFRESHED: self._recommender("refreshed", is_live=True),
        }
        for recommender in recommenders.values():
            self._ask(recommender.catch_up())
        rows = []
        for day in range(self._month.days):
            if day and self._month.refresh_days and not day % self._month.refresh_days:
                self._refresh(day)
            for review in self._coming.filter(pl.col("day") == day).iter_rows(named=True):
                if review[ReviewColumn.ASIN] not in self._known[review[ReviewColumn.USER_ID]]:
                    rows.append(self._question(review, recommenders) | {"day": day + 1})
                self._write(review, recommenders)
        for recommender in recommenders.values():
            self._ask(recommender.close())
        return pl.DataFrame(rows)

    def _question(self, review: Mapping[str, Any], recommenders: Mapping[str, Recommender]) -> dict[str, Any]:
        user_id, asin = review[ReviewColumn.USER_ID], review[ReviewColumn.ASIN]
        known = self._known[user_id]
        request = RecommendationRequest(
            user_id=user_id, limit=_K, unknown="popular", explain=False, filter=Filter(not_seen=tuple(sorted(known)))
        )
        lists = {POPULAR: [one for one, _ in self._counts.most_common(_K + len(known)) if one not in known][:_K]}
        for name, recommender in recommenders.items():
            answer = self._ask(recommender.recommend(request))
            lists[name] = [product.asin for product in answer.products]
        reached = {
            name: 1 / math.log2(2 + answered.index(asin)) if asin in answered else 0.0
            for name, answered in lists.items()
        }
        return {"user_id": user_id, "written_since": self._written[user_id], **reached}

    def _write(self, review: Mapping[str, Any], recommenders: Mapping[str, Recommender]) -> None:
        """Every live gateway takes it; the store has it once."""
        names = (ReviewColumn.USER_ID, ReviewColumn.ASIN, ReviewColumn.RATING, ReviewColumn.TIMESTAMP)
        new = NewReview(**{name: review[name] for name in (*names, ReviewColumn.TITLE, ReviewColumn.TEXT)})
        for recommender in recommenders.values():
            if recommender.records is not None:
                self._ask(recommender.records.take(NewReviews(reviews=(new,))))
        self._known[new.user_id].add(new.asin)
        self._counts[new.asin] += 1
        self._written[new.user_id] += 1

    def _refresh(self, day: int) -> None:
        _LOG.info(f"day {day + 1}: refresh")
        try:
            refresh(self._publication(RefreshSettings, "refresh", "refreshed"))
        except SystemExit:  # the candidate was worse
            _LOG.info("the bundle of before stays")

    def _overrides(self, index: str) -> list[str]:
        return [f"output_dir={quote(self._shop)}", f"index.folder={quote(self._shop / index)}", "index.progress=false"]

    def _publication(self, kind: type[_Publication], config: str, index: str) -> _Publication:
        models = f"triton.model_repository={quote(self._shop / f'models-{index}')}"
        return compose_settings(
            [*self._overrides(index), models, "export.check=onnxruntime", "tracking=none"], kind, config
        )

    def _recommender(self, index: str, is_live: bool) -> Recommender:
        patient = f"store.timeout_seconds={_PATIENCE}"  # this machine may have other work
        settings = compose_settings([*self._overrides(index), patient], GatewaySettings, "gateway")
        store = settings.store if is_live else None
        return Recommender(settings.index, settings.inference, settings.output_dir, None, store)


def markdown(asked: pl.DataFrame) -> str:
    """Means and paired differences, over all questions and over those whose author has written that month before."""
    again = asked.filter(pl.col("written_since") > 0)
    lines = ["| NDCG@10 | all questions | of authors who had written in that month before |", "|---|---|---|"]
    cells = {name: [_mean(rows, pl.col(name)) for rows in (asked, again)] for name in _COLOURS}
    cells |= {
        f"{first} - {second}": [_mean(rows, pl.col(first) - pl.col(second), "+") for rows in (asked, again)]
        for first, second in _PAIRS
    }
    lines += [f"| {name} | {' | '.join(found)} |" for name, found in cells.items()]
    lines += [
        "",
        f"{asked.height:,} and {again.height:,} questions; ± standard error, of differences paired; users are",
    ]
    return "\n".join([*lines, "the independent draws."]) + "\n"


def _mean(rows: pl.DataFrame, value: pl.Expr, sign: str = "") -> str:
    if rows.is_empty():
        return "-"
    values, user = rows.select(value.alias("value"), user=pl.col("user_id").rank("dense")).to_numpy().T
    [error] = clustered_error(values[:, None], user.astype(int))
    return f"{values.mean():{sign}.4f} ± {error:.4f}"


def draw(asked: pl.DataFrame, path: Path) -> None:
    """By day: NDCG@10 of the day's questions as points, and of all questions up to it as lines."""
    figure = new_figure(9.0, 3.8)
    axes = figure.subplots()
    by_day = asked.group_by("day").agg(pl.len(), pl.col(*_COLOURS).sum()).sort("day")
    days, count = by_day["day"].to_numpy(), by_day["len"].to_numpy()
    for name, colour in _COLOURS.items():
        total = by_day[name].to_numpy()
        axes.plot(days, total.cumsum() / count.cumsum(), color=colour, label=name)
        axes.scatter(days, total / count, color=colour, s=9, alpha=0.5, linewidths=0)
    label_axes(axes, "NDCG@10 by day (points) and up to it (lines)", "day")
    figure.legend(frameon=False, ncols=len(_COLOURS), loc="outside lower center")
    save_figure(figure, path)


def _write_base(settings: Settings, before: pl.DataFrame, folder: Path) -> TableData:
    """The reviews of before as files, with all products that are known, as a shop would have them."""
    folder.mkdir(parents=True)
    source = open_source(settings.data, settings.output_dir / "raw")
    products = None if source.products is None else folder / "products.parquet"
    if source.products is not None and products is not None:
        pl.concat([batch.rows for batch in source.products()]).write_parquet(products)
    columns = ("user_id", "asin", "rating", "timestamp", "title", "text")
    before.select(columns).write_parquet(folder / "reviews.parquet")
    return TableData(
        name=settings.data.name,
        reader="table",
        keep_unreviewed_products=settings.data.keep_unreviewed_products,
        reviews_path=folder / "reviews.parquet",
        metadata_path=products,
        columns=ReviewColumnMap(**{name: name for name in columns}),
        timestamp_unit="ms",
    )
