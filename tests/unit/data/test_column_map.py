"""Which column is what, found without any setting: exports of many tools and languages, and what is left open."""

import json
import logging
import shlex
import tomllib
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from rec_sys.contracts import InputError
from rec_sys.data import column_map
from rec_sys.data.column_map import complete_map
from rec_sys.data.column_map_file import map_arguments, with_map, write_map
from rec_sys.data.inspect import InspectSettings, name_arguments, run
from rec_sys.data.prepare import prepare
from rec_sys.entry import compose_settings
from rec_sys.settings import Settings, TableData

ROWS = 240
USERS = [f"U{row % 37:03d}" for row in range(ROWS)]
PRODUCTS = [f"B{row % 23:03d}" for row in range(ROWS)]
STARS = [float(1 + row % 5) for row in range(ROWS)]
SECONDS = [1_400_000_000 + 86_400 * row for row in range(ROWS)]
TEXTS = [f"I play this one on stage every week, take {row}." for row in range(ROWS)]
HEADLINES = [f"Good, {row}" for row in range(ROWS)]
PAIRS = list(zip(USERS, PRODUCTS, strict=True))
ROOT = Path(__file__).resolve().parents[3]
DAYS = pl.from_epoch(pl.Series(SECONDS)).dt.strftime


def settings(reviews: Path, metadata: Path | None = None, **changes: Any) -> TableData:
    given = {"name": "shop", "reader": "table", "reviews_path": reviews, "metadata_path": metadata}
    return TableData.model_validate(given | changes)


def found(data: TableData) -> dict[str, str]:
    """The map, without what is null."""
    return {role: column for role, column in complete_map(data).columns.model_dump().items() if column is not None}


PANDAS_2014 = {
    "": range(ROWS),
    "reviewerID": USERS,
    "asin": PRODUCTS,
    "reviewerName": [f"name {user}" for user in USERS],
    "helpful": ["[0, 2]"] * ROWS,
    "reviewText": TEXTS,
    "overall": STARS,
    "summary": HEADLINES,
    "unixReviewTime": SECONDS,
    "reviewTime": DAYS("%m %d, %Y"),
}
OF_2014 = {
    "user_id": "reviewerID",
    "asin": "asin",
    "rating": "overall",
    "timestamp": "unixReviewTime",
    "title": "summary",
    "text": "reviewText",
    "helpful_votes": "helpful",
}
GERMAN = {
    "Bestellnr": range(ROWS),
    "Kundennummer": USERS,
    "Artikelnummer": PRODUCTS,
    "Bewertung": STARS,
    "Datum": DAYS("%d.%m.%Y"),
    "Überschrift": HEADLINES,
    "Kommentar": TEXTS,
}
RUSSIAN = {
    "Пользователь": USERS,
    "Товар": PRODUCTS,
    "Оценка": STARS,
    "Дата": DAYS("%Y-%m-%d"),
    "Заголовок": HEADLINES,
    "Отзыв": TEXTS,
}
EVENTS = {
    "timestamp": [1000 * second for second in SECONDS],
    "visitorid": [row % 37 for row in range(ROWS)],
    "event": ["view"] * ROWS,
    "itemid": [row % 23 for row in range(ROWS)],
    "transactionid": [None] * (ROWS - 1) + ["7"],
}
WORDS = ["did not like it", "it was ok", "liked it", "really liked it", "it was amazing"]
BOOKS = {
    "ID": [row % 37 for row in range(ROWS)],
    "Name": [f"The {product} Book" for product in PRODUCTS],
    "Rating": [WORDS[row % 5] for row in range(ROWS - 2)] + ["This user doesn't have any rating"] * 2,
}
ALL = ("user_id", "asin", "rating", "timestamp", "title", "text")


@pytest.mark.parametrize(
    ("columns", "separator", "expected"),
    [
        (PANDAS_2014, ",", OF_2014),
        ({name: column for name, column in PANDAS_2014.items() if name}, ";", OF_2014),
        (GERMAN, ";", dict(zip(ALL, list(GERMAN)[1:], strict=True))),
        (RUSSIAN, ",", dict(zip(ALL, RUSSIAN, strict=True))),
        (EVENTS, ",", {"user_id": "visitorid", "asin": "itemid", "timestamp": "timestamp"}),
        (BOOKS, ",", {"user_id": "ID", "asin": "Name", "rating": "Rating"}),
    ],
    ids=["pandas", "excel", "german", "russian", "events", "books"],
)
def test_the_columns_of_many_exports_are_found(
    tmp_path: Path, columns: dict[str, Any], separator: str, expected: dict[str, str]
) -> None:
    frame = pl.DataFrame({name or "index": list(column) for name, column in columns.items()})
    path = tmp_path / "reviews.csv"
    frame.write_csv(path, separator=separator)
    if "" in columns:
        path.write_text(path.read_text().replace("index", "", 1))
    assert found(settings(path)) == expected


def test_an_export_with_no_map_is_prepared(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pl.DataFrame(GERMAN | {"Bestellnr": list(range(ROWS))}).write_csv(tmp_path / "b.csv", separator=";")
    given = compose_settings(["data=table", f"data.reviews_path={tmp_path / 'b.csv'}"], Settings)
    dataset = prepare(given.data, tmp_path)
    assert (dataset.summary.num_reviews, dataset.summary.num_users, dataset.summary.num_products) == (ROWS, 37, 23)
    assert dataset.reviews()["timestamp"].sort().to_list() == [s // 86_400 * 86_400_000 for s in SECONDS]
    assert "columns found: data.columns.user_id=Kundennummer" in caplog.text


@pytest.mark.parametrize(
    ("ratings", "scale", "words"),
    [
        (STARS, (1, 5), None),
        ([row % 11 for row in range(ROWS)], (0, 10), None),
        ([0.5 + 0.5 * (row % 10) for row in range(ROWS)], (0.5, 5), None),
        ([row % 2 for row in range(ROWS)], (0, 1), None),
        ([WORDS[row % 5] for row in range(ROWS)], (1, 5), dict(zip(WORDS, range(1, 6), strict=True))),
    ],
)
def test_the_scale_of_ratings_that_were_found_is_found_too(
    tmp_path: Path, ratings: list[Any], scale: tuple[float, float], words: dict[str, float] | None
) -> None:
    path = tmp_path / "reviews.csv"
    pl.DataFrame({"user": USERS, "item": PRODUCTS, "score": ratings}).write_csv(path)
    completed = complete_map(settings(path))
    assert (completed.columns.rating, completed.rating_scale, completed.rating_words) == ("score", scale, words)
    # A column that was named keeps the scale that was said of it.
    named = complete_map(settings(path, columns={"rating": "score"}))
    assert (named.rating_scale, named.rating_words) == ((1, 5), None)


@pytest.mark.parametrize("value", ["1", "5", "3,0"])
def test_one_value_tells_no_scale(tmp_path: Path, value: str, caplog: pytest.LogCaptureFixture) -> None:
    pl.DataFrame({"user": USERS, "sku": PRODUCTS, "rating": [value] * ROWS}).write_csv(tmp_path / "x.csv")
    completed = complete_map(settings(tmp_path / "x.csv"))
    assert (completed.columns.rating, completed.rating_scale) == ("rating", (1, 5))
    assert f"every rating is {value}, and one value tells no scale" in caplog.text


def test_one_value_that_is_no_star_is_refused_with_what_to_say(tmp_path: Path) -> None:
    pl.DataFrame({"user": USERS, "sku": PRODUCTS, "rating": [0] * ROWS}).write_csv(tmp_path / "x.csv")
    with pytest.raises(InputError, match="every rating is 0, and one value tells no scale") as caught:
        complete_map(settings(tmp_path / "x.csv"))
    assert "data.rating_scale=[LOW,HIGH], or data.columns.rating=null" in caught.value.remedy
    assert complete_map(settings(tmp_path / "x.csv", rating_scale=(0, 1))).columns.rating == "rating"


HEADERLESS = [
    ([USERS, PRODUCTS, STARS, SECONDS, TEXTS], {"user_id": 1, "asin": 2, "timestamp": 4, "rating": 3, "text": 5}),
    ([USERS, PRODUCTS, DAYS("%Y-%m-%d")], {"user_id": 1, "asin": 2, "timestamp": 3}),
    ([USERS, PRODUCTS], {"user_id": 1, "asin": 2}),
    ([[f"user {row % 37}" for row in range(ROWS)], PRODUCTS, STARS], {"user_id": 1, "asin": 2, "rating": 3}),
    ([[5] * ROWS, PRODUCTS, [5] * ROWS], {"user_id": 1, "asin": 2}),
]


@pytest.mark.parametrize(("columns", "proposed"), HEADERLESS)
def test_a_table_without_a_header_is_refused_with_the_settings_that_read_it(
    tmp_path: Path, columns: list[Any], proposed: dict[str, int]
) -> None:
    path = tmp_path / "x.csv"
    path.write_text("".join(",".join(map(str, row)) + "\n" for row in zip(*columns, strict=True)))
    with pytest.raises(InputError, match="the first line looks like a row and not like a header") as caught:
        complete_map(settings(path))
    ready = " ".join(f"data.columns.{role}={number}" for role, number in proposed.items())
    assert f"add data.header=false {ready}, where" in caught.value.remedy
    complete_map(settings(path, header=False, columns={"user_id": "1", "asin": "2"}))


@pytest.mark.parametrize(
    "columns",
    [
        {"Kunde": USERS, "2015": STARS, "2016": STARS},
        {"wer": USERS, "was": PRODUCTS, "zahl": STARS},
        {"abc": USERS, "def": PRODUCTS},
    ],
)
def test_an_unknown_header_is_still_one(tmp_path: Path, columns: dict[str, Any]) -> None:
    pl.DataFrame(columns).write_csv(tmp_path / "x.csv")
    with pytest.raises(InputError, match="columns could be the product"):
        complete_map(settings(tmp_path / "x.csv"))


def test_products_without_a_header_are_refused_too(tmp_path: Path) -> None:
    pl.DataFrame({"user": USERS, "sku": PRODUCTS}).write_csv(tmp_path / "r.csv")
    (tmp_path / "p.csv").write_text("".join(f"B{row:03d},Uke {row},{row}.99\n" for row in range(23)))
    with pytest.raises(InputError, match="the first line looks like a row") as caught:
        complete_map(settings(tmp_path / "r.csv", tmp_path / "p.csv"))
    assert "write a line of names above it" in caught.value.remedy


def test_of_many_columns_that_nothing_reads_the_first_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    many = {f"answer {number}": [number] * ROWS for number in range(297)}
    path = tmp_path / "wide.csv"
    pl.DataFrame({"user": USERS, "sku": PRODUCTS, **many}).write_csv(path)
    run(InspectSettings(data=settings(path), output_dir=tmp_path))
    out = capsys.readouterr().out
    (line,) = [line for line in out.splitlines() if "not read" in line]
    assert "297 columns" in line
    assert "answer 0, answer 1," in line
    assert "answer 11 and 285 more" in line
    assert "answer 12" not in out


def test_products_are_joined_by_the_column_that_holds_the_reviewed_ones(tmp_path: Path) -> None:
    pl.DataFrame({"customer": USERS, "sku": PRODUCTS}).write_csv(tmp_path / "reviews.csv")
    shop = {
        "id": range(23),
        "item_no": [f"B{number:03d}" for number in range(23)],
        "Bezeichnung": [f"Saite {number}" for number in range(23)],
        "Hersteller": ["Pyramid"] * 23,
        "Warengruppe": ["Saiten|Bass"] * 23,
        "Preis": ["12,90 €"] * 23,
    }
    pl.DataFrame({name: list(column) for name, column in shop.items()}).write_csv(tmp_path / "products.csv")
    completed = complete_map(settings(tmp_path / "reviews.csv", tmp_path / "products.csv"))
    assert completed.product_columns is not None
    known = {role: column for role, column in completed.product_columns.model_dump().items() if column}
    assert known == {
        "asin": "item_no",
        "title": "Bezeichnung",
        "brand": "Hersteller",
        "categories": "Warengruppe",
        "price": "Preis",
    }


def test_products_that_go_by_their_titles_keep_them(tmp_path: Path) -> None:
    pl.DataFrame(BOOKS).write_csv(tmp_path / "reviews.csv")
    titles = sorted(set(BOOKS["Name"]))
    pl.DataFrame({"book_id": range(23), "title": titles, "original_title": titles[::-1]}).write_csv(tmp_path / "b.csv")
    completed = complete_map(settings(tmp_path / "reviews.csv", tmp_path / "b.csv"))
    assert completed.product_columns is not None
    assert (completed.product_columns.asin, completed.product_columns.title) == ("title", "title")


@pytest.mark.parametrize(
    ("columns", "what", "remedy"),
    [
        (
            {"customer_id": USERS, "reviewer_id": USERS[::-1], "asin": PRODUCTS},
            "2 columns could be the user",
            "add data.columns.user_id=customer_id or data.columns.user_id=reviewer_id",
        ),
        (
            {"a": USERS, "b": PRODUCTS},
            "2 columns could be the product",
            "add data.columns.asin=a or data.columns.asin=b",
        ),
        (
            {"user": USERS, "item": PRODUCTS, "rating": STARS, "score": STARS[::-1]},
            "2 columns could be the rating",
            "data.columns.rating=score",
        ),
        ({"row": list(range(ROWS)), "asin": PRODUCTS}, "no column is known to be the user", "data.columns.user_id=row"),
    ],
)
def test_where_two_columns_could_be_meant_the_user_is_asked(
    tmp_path: Path, columns: dict[str, Any], what: str, remedy: str
) -> None:
    path = tmp_path / "reviews.csv"
    pl.DataFrame(columns).write_csv(path)
    with pytest.raises(InputError) as refused:
        complete_map(settings(path))
    assert refused.value.what == what
    assert remedy in refused.value.remedy


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"user": USERS, "auto": PRODUCTS}, "the column 'auto' seems to be the asin"),
        ({"user": USERS, "auto": PRODUCTS, "other": PRODUCTS[::-1]}, "2 columns could be the product"),
    ],
)
def test_a_column_called_auto_has_to_be_renamed_where_it_is_meant(
    tmp_path: Path, columns: dict[str, Any], said: str
) -> None:
    pl.DataFrame(columns).write_csv(tmp_path / "x.csv")
    with pytest.raises(InputError, match=said) as caught:
        complete_map(settings(tmp_path / "x.csv"))
    assert "rename" in caught.value.remedy
    assert "=auto" not in caught.value.remedy


def test_a_column_called_auto_that_nothing_reads_does_not_disturb(tmp_path: Path) -> None:
    pl.DataFrame({"user": USERS, "sku": PRODUCTS, "auto": TEXTS}).write_csv(tmp_path / "x.csv")
    assert found(settings(tmp_path / "x.csv")) == {"user_id": "user", "asin": "sku"}


def test_a_price_is_no_user(tmp_path: Path) -> None:
    columns = {"asin": PRODUCTS, "price": [row % 37 + 0.5 for row in range(ROWS)], "category": ["Music", "Gifts"] * 120}
    pl.DataFrame(columns).write_csv(tmp_path / "x.csv")
    with pytest.raises(InputError, match="no column is known to be the user"):
        complete_map(settings(tmp_path / "x.csv"))


def test_the_only_dates_are_the_time_whatever_they_are_called(tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    columns = {"Kunde": USERS, "Artikel": PRODUCTS, "Bewertet am": DAYS("%d.%m.%Y"), "Menge": [1] * ROWS}
    pl.DataFrame(columns).write_csv(path)
    assert found(settings(path))["timestamp"] == "Bewertet am"
    pl.DataFrame(columns | {"Geliefert am": DAYS("%d.%m.%Y")}).write_csv(path)
    assert "timestamp" not in found(settings(path))  # which of the two cannot be told


def test_a_column_whose_values_are_odd_is_not_left_out_unseen(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "reviews.csv"
    pl.DataFrame({"user": USERS, "sku": PRODUCTS, "stars": ["gut", "schlecht"] * (ROWS // 2)}).write_csv(path)
    assert "rating" not in found(settings(path))
    assert "'stars' is called like the rating, but holds 'gut', 'schlecht'" in caplog.text
    assert "add data.columns.rating=stars and data.rating_words" in caplog.text


def test_a_named_column_that_is_not_there_is_refused_before_anything_is_found(tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    pl.DataFrame({"user": USERS, "sku": PRODUCTS}).write_csv(path)
    with pytest.raises(InputError, match="there is no column 'zz'"):
        complete_map(settings(path, columns={"user_id": "zz"}))
    path.write_text("\n\n\n")
    with pytest.raises(InputError, match="no columns"):
        complete_map(settings(path))


def test_wrong_columns_of_both_tables_are_told_at_once_though_others_are_to_be_found(tmp_path: Path) -> None:
    pl.DataFrame({"user": USERS, "sku": PRODUCTS}).write_csv(tmp_path / "r.csv")
    pl.DataFrame({"sku": PRODUCTS[:23], "name": PRODUCTS[:23]}).write_csv(tmp_path / "p.csv")
    maps = {"columns": {"user_id": "usr"}, "product_columns": {"title": "nam"}}
    with pytest.raises(InputError) as refused:
        complete_map(settings(tmp_path / "r.csv", tmp_path / "p.csv", **maps))
    for fragment in ("'usr' (data.columns.user_id)", "'nam' (data.product_columns.title)"):
        assert fragment in refused.value.what


def test_no_name_of_a_column_stands_for_two_things() -> None:
    roles: dict[str, Any] = tomllib.loads((Path(column_map.__file__).parent / "column_names.toml").read_text())
    for table in ("reviews", "products"):
        names = [name for known in roles[table].values() for name in known]
        assert len(names) == len(set(names))


def test_what_is_said_is_not_looked_for(tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    pl.DataFrame({"customer": USERS, "sku": PRODUCTS, "text": TEXTS, "stars": STARS}).write_csv(path)
    assert found(settings(path, columns={"text": None, "user_id": "customer"})) == {
        "user_id": "customer",
        "asin": "sku",
        "rating": "stars",
    }


def test_the_command_and_the_map_that_are_proposed_lead_to_the_same_settings(tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    pl.DataFrame({"Der Kunde": USERS, "sku": PRODUCTS, "score": [row % 11 for row in range(ROWS)]}).write_csv(path)
    given = settings(path, columns={"user_id": "Der Kunde"})
    completed = complete_map(given)
    arguments = [shlex.split(argument)[0] for argument in map_arguments(completed)]
    again = compose_settings(["data=table", "data.name=shop", f"data.reviews_path={path}", *arguments], Settings).data
    assert isinstance(again, TableData)
    assert complete_map(again).columns == completed.columns
    assert again.rating_scale == completed.rating_scale == (0, 10)
    write_map(completed, tmp_path / "map.yaml")
    assert complete_map(settings(path, map_path=tmp_path / "map.yaml")).columns == completed.columns
    changed = complete_map(settings(path, map_path=tmp_path / "map.yaml", columns={"rating": None}))
    assert (changed.columns.rating, changed.columns.user_id) == (None, "Der Kunde")
    for content in ("columns: [", "[1]", "", "columns: {user_idd: a}", "columns: " + "[" * 1_000 + "]" * 1_000):
        (tmp_path / "map.yaml").write_text(content)
        with pytest.raises(InputError, match="the map cannot be read") as refused:
            complete_map(settings(path, map_path=tmp_path / "map.yaml"))
        assert "pydantic" not in refused.value.what


def test_inspect_shows_values_what_is_set_aside_and_a_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "my reviews.csv"
    users = ["", *USERS[1:]]
    columns = {"customer": users, "sku": PRODUCTS, "date": DAYS("%Y-%m-%d"), "colour": ["red"] * ROWS}
    pl.DataFrame(columns).write_csv(path)
    arguments = name_arguments([str(path), f"output_dir={tmp_path}"])
    run(compose_settings(arguments, InspectSettings, "inspect"))
    out = capsys.readouterr().out
    for shown in ("user_id", "customer", "U001 | U002 | U003", "not read", "colour", "2014-05-14 to 2015-01-07"):
        assert shown in out
    assert "set aside: 1 rows, user id is missing" in out
    assert yaml.safe_load((tmp_path / "maps" / "my reviews.yaml").read_text())["columns"]["user_id"] == "customer"
    command = out.splitlines()[-1]
    assert command.startswith("uv run -m rec_sys.train.train data=table 'data.reviews_path=")
    assert command.endswith("data.columns.user_id=customer data.columns.asin=sku data.columns.timestamp=date")


def test_inspect_reads_parquet_and_says_how_many_products_have_metadata(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pl.DataFrame({"user": USERS, "sku": PRODUCTS}).write_parquet(tmp_path / "r.parquet")
    pl.DataFrame({"sku": ["B000", "B001", "C7"], "name": ["a", "b", "c"]}).write_csv(tmp_path / "p.csv")
    arguments = name_arguments([str(tmp_path / "r.parquet"), str(tmp_path / "p.csv"), f"output_dir={tmp_path}"])
    run(compose_settings(arguments, InspectSettings, "inspect"))
    assert "product metadata: 2 of 23 products have it" in capsys.readouterr().out


ODD_NAMES = ["-dash.csv", "a=b.csv", 'it\'s "new".csv', "my reviews, [1].csv", "Größe.csv", "[b].csv", "${x}.csv"]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_file_of_any_name_is_looked_at_and_its_command_can_be_copied(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    columns = {"Kunden-Größe": USERS, "null": PRODUCTS, "007": STARS}
    pl.DataFrame(columns).write_csv(name)
    named = ["data.columns.user_id='Kunden-Größe'", 'data.columns.asin="null"', "data.columns.rating='007'"]
    run(compose_settings(name_arguments([name, *named]), InspectSettings, "inspect"))
    out = capsys.readouterr().out
    assert name in out.splitlines()[0]
    words = shlex.split(out.splitlines()[-1])
    assert words[:6] == ["uv", "run", "--project", str(ROOT), "-m", "rec_sys.train.train"]
    monkeypatch.chdir("/")
    data = compose_settings(words[6:], Settings).data
    assert isinstance(data, TableData)
    assert data.reviews_path == tmp_path / name
    assert complete_map(data).columns.model_dump(exclude_none=True) == {
        "user_id": "Kunden-Größe",
        "asin": "null",
        "rating": "007",
    }


def test_the_command_says_how_the_table_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "r.csv"
    rows = [f"{user}\t{product}\t{'schön' if row % 3 else 'mies'}" for row, (user, product) in enumerate(PAIRS)]
    path.write_text("\n".join(["% made by hand", *rows]), encoding="cp1252")
    columns = {"user_id": "1", "asin": "2", "rating": "3"}
    written = {"header": False, "comment": "%", "encoding": "cp1252", "separator": "tab"}
    events = {"column": "3", "weights": {"schön": 1, "mies": 0.5}}
    given = settings(path, columns=columns, rating_words={"schön": 5, "mies": 1}, events=events, **written)
    run(InspectSettings(data=given, output_dir=tmp_path))
    arguments = shlex.split(capsys.readouterr().out.splitlines()[-1])
    again = compose_settings([*arguments[arguments.index("data=table") :], "data.name=shop"], Settings).data
    assert isinstance(again, TableData)
    assert complete_map(again).model_dump(exclude={"map_path"}) == complete_map(given).model_dump(exclude={"map_path"})


def test_pictures_in_a_parquet_table_are_only_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame = pl.DataFrame(PANDAS_2014).drop("").with_columns(picture=pl.lit(b"\xff\xd8"))
    frame.write_parquet(tmp_path / "shop.parquet")
    run(
        compose_settings(
            [f"data.reviews_path={tmp_path / 'shop.parquet'}", f"output_dir={tmp_path}"], InspectSettings, "inspect"
        )
    )
    assert "columns that nothing reads: reviewerName, reviewTime, picture" in capsys.readouterr().out


def test_ids_that_are_no_texts_are_named_where_they_are_missed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "shop.parquet"
    coded = [b"\xff" + product.encode() for product in PRODUCTS]
    pl.DataFrame({"user": USERS, "sku": coded, "words": TEXTS}).write_parquet(path)
    with pytest.raises(InputError, match="no column is known to be the product") as caught:
        complete_map(settings(path))
    assert caught.value.remedy == "add data.columns.asin=words; columns that hold no texts: sku"
    assert "the column 'sku' is called like the asin, but holds no texts" in caplog.text
    with pytest.raises(InputError, match="the column 'sku' is Binary"):
        complete_map(settings(path, path, columns={"asin": "sku"}))


def test_inspect_says_where_too_many_rows_are_bad(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pl.DataFrame({"user": ["", *USERS[1:60], *[""] * (ROWS - 60)], "sku": PRODUCTS}).write_csv(tmp_path / "r.csv")
    arguments = name_arguments([str(tmp_path / "r.csv"), f"output_dir={tmp_path}"])
    run(compose_settings(arguments, InspectSettings, "inspect"))
    assert "preparation stops above data.max_bad_share=0.01" in capsys.readouterr().out


def test_inspect_knows_files_of_known_schemas(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    review = {"reviewerID": "A", "asin": "B", "overall": 5.0, "helpful": [0, 0], "unixReviewTime": SECONDS[0]}
    other = {"reviewerID": "", "asin": "B", "colour": "red"}
    path, products = tmp_path / "reviews.json", tmp_path / "products.json"
    path.write_text(json.dumps(review) + "\n" + json.dumps(other) + "\n")
    products.write_text('{"asin": "B"}\n')
    run(compose_settings(name_arguments([str(path), str(products)]), InspectSettings, "inspect"))
    *shown, command = capsys.readouterr().out.splitlines()
    paths = f"data.reviews_path={path} data.metadata_path={products}"
    assert command == f"uv run -m rec_sys.train.train data=instruments_2014 {paths}"
    for line in ("fields that nothing reads: colour", "times: 2014-05-13 to 2014-05-13"):
        assert line in shown
    assert "set aside: 1 rows, user id is missing" in shown
    assert "first 2 rows: 1 reviews of 1 products by 1 users" in shown
    path.write_text('{"user": "A", "items": ["B", "C"], "age": 7}\n')
    run(compose_settings(name_arguments([str(path)]), InspectSettings, "inspect"))
    *shown, command = capsys.readouterr().out.splitlines()
    assert command == f"uv run -m rec_sys.train.train data=sequences data.path={path}"
    assert shown[1:] == [
        "fields that nothing reads: age",
        "first 1 sequences: 2 reviews of 2 products by 1 users",
    ]


def test_a_column_of_kinds_is_proposed_and_its_settings_read_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    kinds = ["view", "view", "addtocart", "transaction"]
    rows = [f"{1_433_221_332_117 + row},{row % 7},{kinds[row % 4]},{row % 5}" for row in range(40)]
    path = tmp_path / "events.csv"
    path.write_text("\n".join(["timestamp,visitorid,event,itemid", *rows]))
    completed = complete_map(settings(path))
    assert (completed.columns.user_id, completed.columns.asin, completed.events.column) == ("visitorid", "itemid", None)
    said = "data.events.column=event 'data.events.weights={addtocart:0.4,transaction:1,view:0.1}'"
    assert f"rec_sys.train.train for instance {said} 'evaluation.target_events=[transaction]'" in caplog.text
    caplog.clear()
    weighed = settings(path, events={"column": "event", "weights": {"view": 0.1, "transaction": 1}})
    assert "for instance" not in caplog.text
    arguments = map_arguments(complete_map(weighed))
    assert "'data.events={column:event,weights:{view:0.1,transaction:1}}'" in arguments
    write_map(weighed, tmp_path / "map.yaml")
    assert with_map(settings(path), tmp_path / "map.yaml").events == weighed.events


def test_words_that_are_no_events_are_not_proposed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    path = tmp_path / "x.csv"
    path.write_text("\n".join(["user_id,product_id,action", *(f"u{row % 7},p{row % 5},sing" for row in range(40))]))
    complete_map(settings(path))
    assert "kinds of events" not in caplog.text
