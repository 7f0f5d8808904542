"""Preparation: finished folders, no-ops, bad rows and what a failing run leaves."""

import json
import os
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from rec_sys.checksums import CHECKSUMS
from rec_sys.contracts import InputError, PreparedFile, QuarantineColumn
from rec_sys.data.dataset import PreparedDataset
from rec_sys.data.fingerprint import file_sha256
from rec_sys.data.prepare import as_read, prepare, run, with_columns_found
from rec_sys.data.schemas import ProductTable, ReviewTable
from rec_sys.entry import compose_settings
from rec_sys.settings import AmazonData, EngineSettings, SampleData, Settings, TableData


def _review(user: int, product: int, **changes: Any) -> dict[str, Any]:
    fields = {"reviewerID": f"U{user}", "asin": f"P{product}", "overall": 4.0, "unixReviewTime": 1_400_000_000 + user}
    return fields | {"reviewText": f"Text {user} {product}", "summary": "Good"} | changes


def _written(path: Path, *rows: dict[str, Any] | str) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def _amazon(path: Path, **changes: Any) -> AmazonData:
    return AmazonData.model_validate({"name": "toy", "reader": "amazon_2018", "reviews_path": path} | changes)


def _left(folder: Path) -> list[str]:
    """What stands in the data folder, apart from its lock and its cache of hashes."""
    return sorted(path.name for path in folder.iterdir() if path.name not in (".toy.lock", ".hashes.json"))


@pytest.fixture
def reviews_path(tmp_path: Path) -> Path:
    rows = [_review(user, product) for user in range(10) for product in range(user % 3 + 1)]
    return _written(tmp_path / "reviews.json", *rows, rows[0])


def test_a_finished_folder_holds_what_its_summary_says(reviews_path: Path, tmp_path: Path) -> None:
    dataset = prepare(_amazon(reviews_path), tmp_path / "out")
    summary = dataset.summary
    assert dataset.folder == tmp_path / "out" / "data" / f"toy-{summary.fingerprint[:12]}"
    assert sorted(path.name for path in dataset.folder.iterdir()) == sorted(
        [PreparedFile.REVIEWS, PreparedFile.PRODUCTS, PreparedFile.QUARANTINE, PreparedFile.SUMMARY, CHECKSUMS]
    )
    assert summary.model_dump(exclude={"fingerprint"}) == {
        "name": "toy",
        "rows_read": 20,
        "duplicates_merged": 1,
        "rows_set_aside": 0,
        "metadata_rows_read": 0,
        "metadata_rows_set_aside": 0,
        "reasons": {},
        "found": {"first review": "2014-05-13", "last review": "2014-05-13"},
        "counts": {},
        "num_reviews": 19,
        "num_users": 10,
        "num_products": 3,
        "has_time": True,
        "has_rating": True,
        "has_text": True,
        "has_product_text": False,
        "store_position": None,
        "has_known_rating": False,
    }
    ReviewTable.validate(dataset.reviews())
    ProductTable.validate(dataset.products())
    assert dataset.products()["review_count"].sum() == 19
    assert dataset.quarantine().columns == [value for name, value in vars(QuarantineColumn).items() if name.isupper()]


def test_an_unchanged_data_set_is_not_prepared_again(
    reviews_path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = prepare(_amazon(reviews_path), tmp_path, engine=EngineSettings(kind="ray"))
    before = {path.name: path.stat().st_mtime_ns for path in first.folder.iterdir()}
    assert "already prepared" not in caplog.text
    assert "this process reads the reviews: a cluster reads Parquet tables alone" in caplog.text
    os.utime(reviews_path, (1, 1))  # touched, not changed
    moved = reviews_path.rename(tmp_path / "moved.json")
    second = prepare(_amazon(moved), tmp_path)
    assert "toy is already prepared" in caplog.text
    assert second.folder == first.folder
    assert {path.name: path.stat().st_mtime_ns for path in second.folder.iterdir()} == before


def test_a_changed_file_or_setting_is_another_data_set(reviews_path: Path, tmp_path: Path) -> None:
    folders = {prepare(_amazon(reviews_path), tmp_path).folder}
    folders.add(prepare(_amazon(reviews_path, max_bad_share=0.5), tmp_path).folder)
    with reviews_path.open("a") as file:
        file.write(json.dumps(_review(99, 1)) + "\n")
    folders.add(prepare(_amazon(reviews_path), tmp_path).folder)
    assert len(folders) == 3


@pytest.mark.parametrize("damage", ["no summary", "summary of another version", "no reviews"])
def test_an_unfinished_folder_is_prepared_anew(reviews_path: Path, tmp_path: Path, damage: str) -> None:
    folder = prepare(_amazon(reviews_path), tmp_path).folder
    if damage == "summary of another version":
        (folder / PreparedFile.SUMMARY).write_text('{"name": "toy"}')
    else:
        (folder / (PreparedFile.SUMMARY if damage == "no summary" else PreparedFile.REVIEWS)).unlink()
    assert prepare(_amazon(reviews_path), tmp_path).reviews().height == 19


@pytest.mark.parametrize("name", [PreparedFile.REVIEWS, PreparedFile.PRODUCTS, PreparedFile.SUMMARY, CHECKSUMS])
@pytest.mark.parametrize("change", ["bit", "tail", "lost"])
def test_a_prepared_file_that_was_changed_is_prepared_again(
    reviews_path: Path, tmp_path: Path, name: str, change: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = prepare(_amazon(reviews_path), tmp_path).folder / name
    sound = path.read_bytes()
    path.unlink()
    if change != "lost":
        path.write_bytes(sound[:-5] + bytes([sound[-5] ^ 1]) + sound[-4:] if change == "bit" else sound[:-5])
    again = prepare(_amazon(reviews_path), tmp_path)
    assert path.read_bytes() == sound
    assert again.reviews().height == 19
    assert "already prepared" not in caplog.text
    assert str(path) in caplog.text or name == CHECKSUMS


def test_the_hash_of_a_large_file_is_remembered_until_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = _written(tmp_path / "small", "content")
    os.utime(small, (1, 1))
    file_sha256(small, tmp_path / "hashes.json")
    assert not (tmp_path / "hashes.json").exists()
    monkeypatch.setattr("rec_sys.data.fingerprint._WORTH_REMEMBERING", 0)
    path, cache = _written(tmp_path / "x", "content"), tmp_path / "hashes.json"
    file_sha256(path, cache)
    assert not cache.exists(), "a file written this instant could change again unseen"
    os.utime(path, (1, 1))
    digest = file_sha256(path, cache)
    cache.write_text(cache.read_text().replace(digest, "remembered"))
    assert file_sha256(path, cache) == "remembered"
    _written(path, "CONTENT")
    assert file_sha256(path, cache) not in (digest, "remembered")
    cache.write_text("damaged")
    os.utime(path, (2, 2))
    assert file_sha256(path, cache) == file_sha256(path)


def test_bad_rows_are_counted_kept_and_named(tmp_path: Path) -> None:
    good = [_review(user, user % 7) for user in range(300)]
    path = _written(
        tmp_path / "x.json", *good[:200], '{"broken', _review(1, 1, overall=0), _review(2, 2, overall=11), *good[200:]
    )
    dataset = prepare(_amazon(path), tmp_path)
    assert (dataset.summary.rows_read, dataset.summary.rows_set_aside) == (303, 3)
    assert dataset.summary.reasons == {"rating is outside 1 to 5": 2, "broken JSON": 1}
    assert dataset.quarantine().select("file", "line", "reason").rows() == [
        (str(path), 201, "broken JSON"),
        (str(path), 202, "rating is outside 1 to 5"),
        (str(path), 203, "rating is outside 1 to 5"),
    ]
    assert dataset.summary.num_reviews == 300


def test_too_many_bad_rows_fail_and_leave_only_the_quarantine(tmp_path: Path) -> None:
    path = _written(tmp_path / "x.json", _review(1, 1), '{"broken', _review(2, 2, overall=9), _review(3, 3))
    home = tmp_path / "out" / "data"
    with pytest.raises(InputError, match="2 of 4 rows are bad") as caught:
        prepare(_amazon(path), tmp_path / "out")
    assert "1 broken JSON, 1 rating is outside 1 to 5" in caught.value.what
    assert caught.value.where == f"{path}, first at line 2"
    assert str(home / "toy-quarantine.parquet") in caught.value.remedy
    assert "data.max_bad_share" in caught.value.remedy
    assert _left(home) == ["toy-quarantine.parquet"]
    assert pl.read_parquet(home / "toy-quarantine.parquet")["line"].to_list() == [2, 3]
    allowed = prepare(_amazon(path, max_bad_share=0.5), tmp_path / "out")
    assert _left(home) == [allowed.folder.name]


def test_a_file_of_bad_rows_alone_is_refused_even_where_all_may_be_bad(tmp_path: Path) -> None:
    path = _written(tmp_path / "x.json", _review(1, 1, overall=0))
    with pytest.raises(InputError, match="no review in the data"):
        prepare(_amazon(path, max_bad_share=1.0), tmp_path / "out")
    assert _left(tmp_path / "out" / "data") == []


@pytest.mark.parametrize("content", ["", "\n\n", '{"a": 1}\n'])
def test_a_refused_file_leaves_nothing(tmp_path: Path, content: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(InputError):
        prepare(_amazon(path), tmp_path / "out")
    home = tmp_path / "out" / "data"
    assert not home.exists() or _left(home) == []


def _table(path: Path, *rows: str, header: str = "u,p,t,r", **changes: Any) -> TableData:
    path.write_text("".join(f"{row}\n" for row in (header, *rows)))
    columns = {"user_id": "u", "asin": "p", "timestamp": "t", "rating": "r"}
    settings = {"name": "toy", "reader": "table", "reviews_path": path, "columns": columns}
    return TableData.model_validate(settings | changes)


@pytest.mark.parametrize(
    ("time", "given", "meant"),
    [
        ("1400000000000", {"timestamp_unit": "s"}, "data.timestamp_unit=ms"),
        ("1400000000000000000", {"timestamp_unit": "ms"}, "data.timestamp_unit=ns"),
        ("13/05/2014", {"timestamp_unit": "iso"}, "data.timestamp_format='%d/%m/%Y'"),
        ("2014-05-13", {"timestamp_format": "%d/%m/%Y"}, "data.timestamp_unit=iso"),
    ],
)
def test_a_time_in_another_unit_is_named_in_the_message(
    tmp_path: Path, time: str, given: dict[str, str], meant: str
) -> None:
    data = _table(tmp_path / "x.csv", f"a,x,{time},4", "b,x,never,4", **given)
    with pytest.raises(InputError, match="time is") as caught:
        prepare(data, tmp_path)
    assert caught.value.remedy.endswith(f"; as the values look, add {meant}")
    setting, _, value = meant.partition("=")
    change = {"timestamp_format": None, setting.removeprefix("data."): value.strip("'"), "max_bad_share": 0.5}
    dataset = prepare(_table(tmp_path / "x.csv", f"a,x,{time},4", "b,x,never,4", **change), tmp_path)
    assert dataset.summary.found["first review"] == "2014-05-13"


def test_another_unit_is_named_for_readers_without_that_setting_too(tmp_path: Path) -> None:
    path = _written(tmp_path / "x.json", _review(1, 1, unixReviewTime=1_400_000_000_000))
    with pytest.raises(InputError, match="time is in the future") as caught:
        prepare(_amazon(path), tmp_path / "out")
    assert "data.timestamp_unit=ms" in caught.value.remedy


@pytest.mark.parametrize(
    ("ratings", "meant"),
    [
        ([0, 1, 0, 1], "data.rating_scale=[0,1]"),
        ([0, 5, 7, 10], "data.rating_scale=[0,10]"),
        ([0.5, 4.5, 3, 5], "data.rating_scale=[0.5,5]"),
        ([1, 10, 7, 3], "data.rating_scale=[1,10]"),
        ([3, 250, 17], "data.rating_scale=[3,250]"),
        (["good", "bad", "Good "], "data.rating_words='{bad: STARS, good: STARS}'"),
    ],
)
def test_the_scale_of_refused_ratings_is_named(tmp_path: Path, ratings: list[object], meant: str) -> None:
    rows = [f"u{number},p,1400000000,{rating}" for number, rating in enumerate(ratings)]
    with pytest.raises(InputError, match="rating is") as caught:
        prepare(_table(tmp_path / "x.csv", *rows), tmp_path)
    assert caught.value.remedy.endswith(f"; as the values look, add {meant}")


def test_dirt_is_no_scale(tmp_path: Path) -> None:
    rows = [f"u{number},p,1400000000,{number % 5 + 1}" for number in range(200)] + ["v,p,1400000000,11", "w,,1,1"]
    with pytest.raises(InputError, match="1 rating is outside 1 to 5") as caught:
        prepare(_table(tmp_path / "x.csv", *rows, max_bad_share=0.001), tmp_path)
    assert "mend the file or raise data.max_bad_share" in caught.value.remedy
    assert "rating_scale" not in caught.value.remedy


def test_a_scale_becomes_stars_and_is_named(tmp_path: Path) -> None:
    rows = [f"u{number},p,1400000000,{rating}" for number, rating in enumerate(["0", "5", '"7,5"', "10"])]
    dataset = prepare(_table(tmp_path / "x.csv", *rows, rating_scale=[0, 10]), tmp_path)
    assert dataset.reviews().sort("user_id")["rating"].to_list() == [1, 3, 4, 5]
    assert dataset.summary.found["rating scale"] == "0 to 10, read as 1 to 5 stars"


def test_a_row_without_a_rating_is_kept_and_counted(tmp_path: Path) -> None:
    rows = [f"u{number},p,{1400000000 + number},{rating}" for number, rating in enumerate(["4", "", " ", "None", "10"])]
    dataset = prepare(_table(tmp_path / "x.csv", *rows, rating_scale=[0, 10]), tmp_path)
    assert dataset.reviews()["rating"].to_list() == [pytest.approx(2.6), None, None, None, 5]
    summary = dataset.summary
    assert (summary.has_rating, summary.rows_set_aside, summary.counts["reviews without a rating"]) == (True, 0, 3)
    assert dataset.products()["rating_mean"].to_list() == [pytest.approx(3.8)]


def test_ratings_in_words_become_stars(tmp_path: Path) -> None:
    rows = ["a,p,1400000000,good", "b,p,1400000000, BAD", "c,p,1400000000,3"]
    dataset = prepare(_table(tmp_path / "x.csv", *rows, rating_words={"Good": 5, "bad": 1}), tmp_path)
    assert dataset.reviews().sort("user_id")["rating"].to_list() == [5, 1, 3]
    assert dataset.summary.found["rating scale"] == "1 to 5, Good = 5 stars, bad = 1 stars"


def test_columns_that_nothing_reads_are_listed(tmp_path: Path) -> None:
    table = _table(tmp_path / "x.csv", "a,x,1400000000,4,9.5,de", header="u,p,t,r,price,country")
    (tmp_path / "p.csv").write_text("id,name,weight\nx,Uke,9\n")
    maps = {"metadata_path": tmp_path / "p.csv", "product_columns": {"asin": "id", "title": "name"}}
    found = prepare(table.model_copy(update=TableData.model_validate(table.model_dump() | maps).__dict__), tmp_path)
    assert found.summary.found["columns that nothing reads"] == "price, country"
    assert found.summary.found["metadata: columns that nothing reads"] == "weight"


def test_only_the_first_reviews_are_read_where_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rec_sys.raw_files.records.BATCH_ROWS", 150)
    path = _written(tmp_path / "x.json", *(_review(user, user % 7) for user in range(400)))
    summary = prepare(_amazon(path, max_reviews=200), tmp_path).summary
    assert (summary.num_reviews, summary.num_users) == (200, 200)


def test_a_sample_of_fewer_reviews_is_as_dense(tmp_path: Path) -> None:
    data = SampleData.model_validate({"name": "toy", "reader": "sample", "max_reviews": 600})
    summary = prepare(data, tmp_path).summary
    assert (summary.num_reviews, summary.num_users, summary.num_products) == (600, 60, 24)


def test_a_day_that_may_be_a_month_is_refused_with_both_commands(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'03/04/2014' may be %d/%m/%Y or %m/%d/%Y") as caught:
        prepare(_table(tmp_path / "x.csv", "a,x,03/04/2014,4", "b,x,01/02/2014,4"), tmp_path)
    assert caught.value.remedy == "add data.timestamp_format='%d/%m/%Y' or data.timestamp_format='%m/%d/%Y'"


def test_the_summary_shows_the_first_and_the_last_date_and_the_form(tmp_path: Path) -> None:
    dataset = prepare(_table(tmp_path / "x.csv", "a,x,13/05/2014,4", "b,x,01/02/2015,4"), tmp_path)
    assert dataset.summary.found == {
        "table": "utf-8, separator ,, quoting standard, header in line 1",
        "form of the times": "%d/%m/%Y",
        "first review": "2014-05-13",
        "last review": "2015-02-01",
    }


def test_further_rows_of_a_table_are_read_as_its_own_were(tmp_path: Path) -> None:
    names = {"user_id": "u", "asin": "p", "timestamp": "t"}
    rows = "a,x,13/05/2014,4", "b,x,01/02/2015,4"
    asked = _table(tmp_path / "x.csv", *rows, header="u,p,t,stars", columns=names)
    found = with_columns_found(asked)
    read = as_read(found, prepare(asked, tmp_path))
    assert isinstance(found, TableData)
    assert isinstance(read, TableData)
    assert found.columns.rating == "stars"
    assert (read.columns, read.timestamp_format) == (found.columns, "%d/%m/%Y")
    seconds = _table(tmp_path / "y.csv", "a,x,1400000000,4", "b,x,1410000000,4")
    assert as_read(seconds, prepare(seconds, tmp_path)) == seconds.model_copy(update={"timestamp_unit": "s"})
    sample = SampleData.model_validate({"name": "toy", "reader": "sample"})
    assert with_columns_found(sample) == sample


def test_a_failing_run_keeps_what_another_prepared(reviews_path: Path, tmp_path: Path) -> None:
    folder = prepare(_amazon(reviews_path), tmp_path / "out").folder
    broken = _written(tmp_path / "broken.json", _review(1, 1), "{")
    with pytest.raises(InputError):
        prepare(_amazon(broken), tmp_path / "out")
    assert PreparedDataset(folder).summary.num_reviews == 19


def test_every_user_with_one_review_is_legal(tmp_path: Path) -> None:
    path = _written(tmp_path / "x.json", *(_review(user, 1) for user in range(5)))
    summary = prepare(_amazon(path), tmp_path).summary
    assert (summary.num_reviews, summary.num_users, summary.num_products) == (5, 5, 1)


def test_metadata_describe_the_products(reviews_path: Path, tmp_path: Path) -> None:
    metadata = _written(
        tmp_path / "meta.json",
        *({"asin": f"P{number}", "title": f"Pick {number}", "category": ["Picks"]} for number in (1, 1, 7)),
        *({"asin": f"Q{number}"} for number in range(200)),
        "{",
    )
    dataset = prepare(_amazon(reviews_path, metadata_path=metadata), tmp_path)
    texts = dict(dataset.products().select("asin", "text").iter_rows())
    assert texts == {"P0": None, "P1": "Pick 1. Picks.", "P2": None}
    assert dataset.summary.has_product_text
    assert (dataset.summary.metadata_rows_read, dataset.summary.metadata_rows_set_aside) == (204, 1)
    assert dataset.summary.reasons == {"metadata: broken JSON": 1}
    assert dataset.summary.rows_set_aside == 0
    with_all = prepare(_amazon(reviews_path, metadata_path=metadata, keep_unreviewed_products=True), tmp_path)
    assert with_all.summary.num_products == 204


def test_metadata_of_other_products_are_refused(reviews_path: Path, tmp_path: Path) -> None:
    metadata = _written(tmp_path / "meta.json", {"asin": "Q1", "title": "Other"})
    with pytest.raises(InputError, match="none of the 1 products of the metadata is reviewed"):
        prepare(_amazon(reviews_path, metadata_path=metadata), tmp_path)


def test_a_table_without_time_or_rating_says_so(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("u,p\na,x\na,y\nb,x\na,z\n")
    columns = {"user_id": "u", "asin": "p"}
    data = TableData.model_validate({"name": "toy", "reader": "table", "reviews_path": path, "columns": columns})
    dataset = prepare(data, tmp_path)
    summary = dataset.summary
    assert (summary.has_time, summary.has_rating, summary.has_text) == (False, False, False)
    assert dataset.reviews().select("timestamp", "user_id", "asin").rows() == [
        (0, "a", "x"),
        (0, "b", "x"),
        (1, "a", "y"),
        (2, "a", "z"),
    ]


def test_a_path_that_is_not_set_is_named(tmp_path: Path) -> None:
    data = AmazonData.model_validate({"name": "toy", "reader": "amazon_2018"})
    with pytest.raises(InputError, match=r"data\.reviews_path has no value"):
        prepare(data, tmp_path)


def test_a_file_fetched_by_hand_is_found_where_the_download_would_put_it(reviews_path: Path, tmp_path: Path) -> None:
    raw = tmp_path / "out" / "raw"
    raw.mkdir(parents=True)
    reviews_path.rename(raw / "toy.json.gz")
    data = AmazonData.model_validate(
        {"name": "toy", "reader": "amazon_2018", "reviews_download": {"url": "https://shop.example/toy.json.gz"}}
    )
    assert prepare(data, tmp_path / "out").summary.num_reviews == 19


def test_the_sample_is_the_same_every_time_and_keeps_its_secret(tmp_path: Path) -> None:
    data = SampleData.model_validate(
        {"name": "sample", "reader": "sample", "num_users": 60, "num_products": 24, "num_reviews": 300}
    )
    first, second = prepare(data, tmp_path / "a"), prepare(data, tmp_path / "b")
    assert first.reviews().equals(second.reviews())
    assert first.products().equals(second.products())
    assert first.summary.has_product_text
    names = {PreparedFile.REVIEWS, PreparedFile.PRODUCTS, PreparedFile.QUARANTINE, PreparedFile.SUMMARY, CHECKSUMS}
    assert {path.name for path in first.folder.iterdir()} == names


def test_the_command_prints_what_became_of_the_rows_and_ends_with_the_folder(
    reviews_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = ["data=instruments_2018", f"data.reviews_path={reviews_path}", f"output_dir={tmp_path / 'out'}"]
    run(compose_settings(overrides, Settings))
    lines = capsys.readouterr().out.strip().splitlines()
    shown = " ".join(" ".join(lines).split())
    for said in ("rows read │ 20", "duplicates merged │ 1", "rows set aside │ 0", "reviews │ 19", "users │ 10"):
        assert said in shown
    folder = Path(lines[-1].removeprefix("dataset: "))
    assert PreparedDataset(folder).summary.num_reviews == 19


def test_a_folder_of_parquet_files_is_one_table(tmp_path: Path) -> None:
    rows = pl.DataFrame(
        {"user_id": [f"U{row % 7}" for row in range(60)], "asin": [row % 9 for row in range(60)]}
        | {"rating": [1 + row % 5 for row in range(60)], "timestamp": [1_400_000_000 + row for row in range(60)]}
    ).with_columns(user_id=pl.when(pl.col("timestamp") == 1_400_000_033).then(None).otherwise("user_id"))
    folder = tmp_path / "shop.parquet"
    folder.mkdir()
    (folder / "_SUCCESS").touch()
    for number, (start, end, dtype) in enumerate(((0, 25, pl.Int16), (25, 30, pl.String), (30, 60, pl.Int64))):
        rows[start:end].with_columns(pl.col("asin").cast(dtype)).write_parquet(folder / f"part-{number}.parquet")
    rows.write_parquet(tmp_path / "whole.parquet")
    data = TableData(name="shop", reader="table", reviews_path=folder, max_bad_share=0.1)
    parted = prepare(data, tmp_path / "parted")
    whole = prepare(data.model_copy(update={"reviews_path": tmp_path / "whole.parquet"}), tmp_path / "whole")
    assert parted.reviews().equals(whole.reviews())
    (bad,) = parted.quarantine().to_dicts()
    assert (Path(bad[QuarantineColumn.FILE]).name, bad[QuarantineColumn.LINE]) == ("part-2.parquet", 4)

    def refused(match: str) -> InputError:
        with pytest.raises(InputError, match=match) as error:
            prepare(data, tmp_path / "parted")
        return error.value

    rows.drop("rating").write_parquet(folder / "part-3.parquet")
    assert refused("the file has no column 'rating', and the first of its folder has").where.endswith("part-3.parquet")
    (folder / "part-3.parquet").write_bytes(b"PAR1, or not")
    assert refused("the Parquet file is broken").where.endswith("part-3.parquet")
    (folder / "day=1").mkdir()
    rows.write_parquet(folder / "day=1" / "part-0.parquet")
    assert refused("a folder of Parquet files has folders of them").where.endswith("day=1")
