"""What an encoder needs and how fast it is: operations counted by hand, seconds that are known."""

import time
from pathlib import Path

import numpy as np
import pytest

from rec_sys.experiments.text_benchmark.speed import (
    count_operations,
    mean_and_least_cosine,
    measure_peak,
    measure_speed,
)
from rec_sys.experiments.text_benchmark.table import Measured, markdown
from rec_sys.settings import TextSettings
from rec_sys.text.opening import open_encoder
from tests.tiny_transformers import TINY_DIM, write_tiny_transformer

LAYERS, WIDTH, WITHIN = 2, 48, 64  # of the tiny transformer


def test_the_operations_of_a_transformer_are_those_of_its_matrix_products(tmp_path: Path) -> None:
    folder = write_tiny_transformer(tmp_path / "tiny")
    encoder = open_encoder(TextSettings(encoder="sentence_transformer", model=str(folder)), tmp_path)
    texts = ["great", "a great tone", "the strings broke", "a great tone and a bright sound", "it is dull " * 9]
    lengths = encoder.count(texts).astype(np.int64)
    assert len(set(lengths)) > 3
    of_layer = 2 * lengths * (4 * WIDTH**2 + 2 * WIDTH * WITHIN) + 2 * 2 * lengths**2 * WIDTH
    by_hand = (
        LAYERS * of_layer + 2 * WIDTH * (TINY_DIM + WIDTH)
    ).sum()  # behind the layers: projection and BERT's pooler
    assert count_operations(folder, texts, encoder.count(texts)) == pytest.approx(by_hand, rel=1e-6)
    # Texts of one length need no curve.
    same = ["great tone", "bad sound"]
    assert len(set(encoder.count(same))) == 1
    assert count_operations(folder, same, encoder.count(same)) == pytest.approx(
        2 * count_operations(folder, same[:1], encoder.count(same[:1]))
    )


def test_speed_is_of_cpu_seconds_and_of_the_best_round() -> None:
    def work(seconds: float) -> None:
        ends = time.process_time() + seconds
        while time.process_time() < ends:
            pass

    waits = iter((0.08, 0.02, 0.05))
    found = measure_speed({"busy": lambda: work(next(waits)), "asleep": lambda: time.sleep(0.05)}, 10, rounds=3)
    assert 10 / 0.03 < found["busy"] <= 10 / 0.02
    assert found["asleep"] > 10 / 0.04


def test_the_peak_is_that_of_a_processor() -> None:
    assert 1e8 < measure_peak(rounds=2) < 1e13


def test_cosines_are_those_of_the_same_texts() -> None:
    one = np.array([[1, 0], [0, 2]], dtype=np.float32)
    other = np.array([[3, 0], [4, 3]], dtype=np.float32)
    assert mean_and_least_cosine(other, one) == pytest.approx((0.8, 0.6))


def test_the_table_shows_what_is_known() -> None:
    table = {
        "MiniLM": Measured("MiniLM", 40.0, 0.8, 768, (1.0, 1.0), {"content test": [0.1, 0.3]}),
        "static": Measured("static", 4000.0, None, 512),
    }
    found = markdown(table, (0, 1))
    assert "| MiniLM | 40 | 1.0 | 80% | 768 | 1.0000, least 1.0000 | - | 0.2000 ± 0.1414 | - | - |" in found
    assert "| static | 4,000 | 100.0 | - | 512 | - | - | - | - | - |" in found
    assert "seeds 0, 1" in found
