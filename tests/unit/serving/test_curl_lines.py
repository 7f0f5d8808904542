"""The demo's curl lines are for a shell, whatever users and products are called."""

import json
import shlex
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
import polars as pl
import pytest

from rec_sys.bundle import Bundle, BundleContents, write_bundle
from rec_sys.contracts import HistoryColumn, ProductColumn
from rec_sys.scoring import ScoreFormula
from rec_sys.serving.curl_lines import curl_lines
from tests.text_width import TEXT_DIM

URL = "http://127.0.0.1:8080"


def make_bundle(folder: Path, text_encoder: str, title: str | None, user_id: str) -> Bundle:
    products = pl.DataFrame(
        {
            ProductColumn.ASIN: ["little", "most/reviewed"],
            ProductColumn.TITLE: ["Little", title],
            ProductColumn.TEXT: [None, None],
            ProductColumn.REVIEW_COUNT: [1, 9],
        },
        schema_overrides={ProductColumn.TITLE: pl.String, ProductColumn.TEXT: pl.String},
    )
    histories = pl.DataFrame({HistoryColumn.USER_ID: ["a", user_id, user_id], HistoryColumn.PRODUCT_INDEX: [0, 0, 1]})
    write_bundle(
        folder,
        BundleContents(
            data_name="invented",
            data_fingerprint="invented",
            text_encoder=text_encoder,
            weights={"nothing": np.zeros(1, dtype=np.float32)},
            settings={},
            products=products,
            product_vectors={"output": np.zeros((2, 4), dtype=np.float32)},
            metrics={},
            histories=histories,
            history_text=np.zeros((0, TEXT_DIM), dtype=np.float16),
            score=ScoreFormula(temperature=0.1),
            user_reviews=5,
            product_reviews=3,
            has_time=True,
        ),
    )
    return Bundle(folder)


@pytest.mark.parametrize("title", ["Strings", "12\" drum; 'best' & loud | $HOME", None])
def test_every_line_survives_a_shell(tmp_path: Path, title: str | None) -> None:
    bundle = make_bundle(tmp_path / "b", "fp32-256-x", title, "it's /me?&=%")
    lines = curl_lines(URL, bundle)
    known, sent, searched = (shlex.split(line) for line in lines)

    assert [words[:2] for words in (known, sent, searched)] == [["curl", "-s"]] * 3
    assert all("\n" not in line for line in lines)
    path = urlsplit(known[2]).path
    assert unquote(path.split("/")[3]) == "it's /me?&=%"
    assert path.endswith("/recommendations")
    assert sent[3:5] == ["-H", "Content-Type: application/json"]
    assert [review["asin"] for review in json.loads(sent[6])["reviews"]] == ["most/reviewed", "little"]
    assert parse_qs(urlsplit(searched[2]).query)["q"] == [title or "something to play"]


@pytest.mark.parametrize("encoder", ["none", "given"])
def test_where_no_text_is_read_the_third_asks_for_a_product(tmp_path: Path, encoder: str) -> None:
    third = curl_lines(URL, make_bundle(tmp_path / "b", encoder, "Strings", "u"))[2]
    assert third == f"curl -s '{URL}/v1/products/most%2Freviewed/similar?limit=3'"
