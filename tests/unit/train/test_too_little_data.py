"""Data that nothing can be learned of are refused before anything long begins."""

from pathlib import Path

import pytest

from rec_sys.contracts import InputError
from rec_sys.entry import compose_settings
from rec_sys.settings import Settings
from rec_sys.train.train import run


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        ([f"only,p{number}" for number in range(200)], "all 200 reviews are of one user"),
        ([f"u{number},only" for number in range(200)], "all 200 reviews are of one product"),
        ([f"u{number},p{number % 7}" for number in range(200)], "leaves no validation reviews"),
    ],
)
def test_training_refuses_it_before_texts_are_embedded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: list[str], what: str
) -> None:
    def embed(*_: object) -> None:
        raise AssertionError("texts are embedded")

    monkeypatch.setattr("rec_sys.graph.build.build_graph", embed)
    path = tmp_path / "reviews.csv"
    lines = [f"{row},4,{1_400_000_000 + number},words {number}" for number, row in enumerate(rows)]
    path.write_text("\n".join(["user_id,asin,rating,timestamp,text", *lines]) + "\n")
    settings = compose_settings(["data=table", f"data.reviews_path={path}", f"output_dir={tmp_path}"], Settings)
    with pytest.raises(InputError, match=what):
        run(settings)
