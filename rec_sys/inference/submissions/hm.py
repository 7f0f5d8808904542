"""The file of the clothes shop: twelve articles for every customer, ids of ten digits with their zeros."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from rec_sys.contracts import MILLISECONDS_A_DAY
from rec_sys.inference.served_bundle import ServedBundle
from rec_sys.inference.submissions.contract import Lists, SubmissionFormat
from rec_sys.inference.submissions.truth import mean_average_precision, read_truth

LENGTH: Final = 12
_WEEK: Final = 7 * MILLISECONDS_A_DAY
_ARTICLE: Final = re.compile(r"0\d{9}")


def write_articles(articles: Sequence[str]) -> str:
    """Ids with blanks between them; a zero that was lost on the way is put back.

    >>> write_articles(["0108775015", "493995001"])
    '0108775015 0493995001'
    """
    return " ".join(article.zfill(10) for article in articles)


def read_articles(field: str) -> list[str]:
    """The same backwards.

    Raises:
        ValueError: It is not written so.
    """
    articles = field.split(" ")
    wrong = [article for article in articles if not _ARTICLE.fullmatch(article)]
    if wrong:
        raise ValueError(f"{wrong[0][:40]!r} is no list of articles of ten digits that begin with 0")
    return articles


def sold_last_week(served: ServedBundle) -> list[str]:
    """Articles by how often they were bought in the newest seven days, the most first; the others are not listed."""
    time, product = served.users.timestamp, served.users.product
    recent = product[time > time.max(initial=0) - _WEEK]
    counts = np.bincount(recent, minlength=len(served.asins))
    order = np.argsort(-counts, kind="stable")
    return [served.asins[place] for place in order[: int((counts > 0).sum())].tolist()]


def bought_last(served: ServedBundle) -> dict[str, list[str]]:
    """What customers bought, the newest first, each once."""
    asins, users = served.asins, served.users
    return {
        user: list(dict.fromkeys(asins[place] for place in users.product[users.rows(user)].tolist()))[:LENGTH]
        for user in users
    }


def measure(lists: Lists, truth: Path, served: ServedBundle) -> dict[str, dict[str, float]]:
    """The model beside what was sold last week, and beside what each customer bought last, filled up with that.

    Over all customers who bought something, as the contest counts them.
    """
    bought, week, own = read_truth(truth, served), sold_last_week(served), bought_last(served)
    again = {user: list(dict.fromkeys([*own.get(user, ()), *week]))[:LENGTH] for user in lists}
    rows = {"model": lists, "popular of the last week": dict.fromkeys(lists, week[:LENGTH]), "bought last": again}
    return {
        name: {f"map_at_{LENGTH}": mean_average_precision(one, bought, LENGTH, absent_counts=True)}
        for name, one in rows.items()
    }


FORMAT: Final = SubmissionFormat(
    ("customer_id", "prediction"),
    products=LENGTH,
    write=write_articles,
    read=read_articles,
    user_column="customer_id",
    with_seen=True,
    popular=sold_last_week,
    measure=measure,
)
