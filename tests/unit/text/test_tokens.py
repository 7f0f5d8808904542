"""Any text becomes a bounded number of tokens."""

from pathlib import Path

import numpy as np
import pytest

from rec_sys.contracts import InputError
from rec_sys.settings import TextSettings
from rec_sys.text.tokens import TextTokenizer
from rec_sys.text.weights import locate_weights


@pytest.fixture(scope="module")
def tokenizer() -> TextTokenizer:
    return TextTokenizer(locate_weights(TextSettings()).tokenizer, max_tokens=32)


def test_texts_are_framed_and_padded_on_the_right(tokenizer: TextTokenizer) -> None:
    token_ids, mask = tokenizer.pad(["hello world", "guitar"])
    # [CLS] is 101, [SEP] 102, [PAD] 0, as in BERT's vocabulary.
    assert token_ids.tolist() == [[101, 7592, 2088, 102], [101, 2858, 102, 0]]
    assert mask.tolist() == [[1, 1, 1, 1], [1, 1, 1, 0]]
    assert token_ids.dtype == mask.dtype == np.int64


@pytest.mark.parametrize(
    "text", ["", " \n\t", "🎸" * 50, "\ud83d", "\0", "strings " * 12_500, "a" * 100_000, "🎸🔥 " * 30_000]
)
def test_odd_texts_have_between_two_and_the_most_tokens(tokenizer: TextTokenizer, text: str) -> None:
    count = tokenizer.count([text])[0]
    assert 2 <= count <= 32
    token_ids, mask = tokenizer.pad([text])
    assert token_ids.shape == (1, count)
    assert mask.all()
    assert token_ids[0, -1] == 102


def test_a_long_text_reads_as_its_beginning(tokenizer: TextTokenizer) -> None:
    beginning = "these strings sound bright and stay in tune " * 4
    long, _ = tokenizer.pad([beginning + "and then something else " * 5_000])
    short, _ = tokenizer.pad([beginning])
    assert long.shape == (1, 32)
    assert np.array_equal(long, short)


def test_counting_and_padding_agree(tokenizer: TextTokenizer) -> None:
    texts = ["one", "two words", "", "a longer text about a capo " * 3]
    assert tokenizer.count(texts).tolist() == tokenizer.pad(texts)[1].sum(axis=1).tolist()
    assert tokenizer.count([]).tolist() == []


def test_a_file_that_is_no_tokenizer_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(InputError, match="no tokenizer"):
        TextTokenizer(tmp_path / "tokenizer.json", max_tokens=32)
