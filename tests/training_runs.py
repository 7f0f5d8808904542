"""Real trainings on data so small that they take seconds."""

import csv
import json
import logging
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rec_sys.bundle import Bundle
from rec_sys.entry import compose_settings
from rec_sys.settings import Settings
from rec_sys.train.run_folder import RunFolder
from tests.text_width import TEXT_DIM

NUM_USERS, NUM_PRODUCTS, NUM_REVIEWS = 48, 30, 420
SMALL = (
    *("tracking=none", "model.dim=16", "graph.user_reviews=8", "graph.product_reviews=4"),
    *("trainer.batch_size=64", "trainer.max_epochs=3", "trainer.accelerator=cpu", "trainer.progress=false"),
    "trainer.num_threads=1",  # the tensors are tiny; and sums are rounded alike only on as many threads
)
EPOCH = re.compile(r"epoch (\d+) of at most \d+: .* ndcg_at_10_masked ([\d.]+)")


def write_table(folder: Path) -> tuple[str, ...]:
    """Users of three tastes, products of three kinds, four years: what is to be learnt is the taste.

    Returns:
        The command line that reads it.
    """
    random = np.random.default_rng(0)
    user = random.integers(0, NUM_USERS, NUM_REVIEWS)
    kind = np.where(random.random(NUM_REVIEWS) < 0.85, user % 3, random.integers(0, 3, NUM_REVIEWS))
    product = random.integers(0, NUM_PRODUCTS // 3, NUM_REVIEWS) * 3 + kind
    stars = np.where(kind == user % 3, random.integers(3, 6, NUM_REVIEWS), random.integers(1, 4, NUM_REVIEWS))
    day = random.integers(0, 1400, NUM_REVIEWS)
    vectors = np.eye(3, TEXT_DIM)[kind] + random.normal(size=(NUM_REVIEWS, TEXT_DIM)) * 0.03
    np.save(folder / "vectors.npy", vectors.astype(np.float32))
    with (folder / "reviews.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["user_id", "asin", "rating", "timestamp", "text"])
        for row in range(NUM_REVIEWS):
            # Some texts stand twice.
            text = f"text {row % 400}"
            writer.writerow([f"u{user[row]}", f"p{product[row]}", stars[row], 1_400_000_000 + 86_400 * day[row], text])
    return (
        *("data=table", f"data.reviews_path={folder / 'reviews.csv'}", "data.product_columns=null"),
        *("text=given", f"text.vectors_path={folder / 'vectors.npy'}"),
    )


def write_events(folder: Path) -> tuple[str, ...]:
    """The same tastes in what is ordered; what is looked at is anything, and much more of it."""
    random = np.random.default_rng(2)
    with (folder / "events.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["user_id", "item_id", "timestamp", "event"])
        for user in range(90):
            ordered = random.permutation(NUM_PRODUCTS // 3)[: random.integers(4, 8)] * 3 + user % 3
            moment = 1_400_000_000 + int(random.integers(0, 10_000_000))
            for product in ordered:
                for seen in (*random.integers(0, NUM_PRODUCTS, 4), product):
                    writer.writerow([f"u{user}", f"p{seen}", moment := moment + 60, "view"])
                writer.writerow([f"u{user}", f"p{product}", moment := moment + 60, "order"])
    return (
        *("data=table", f"data.reviews_path={folder / 'events.csv'}", "text=none", "data.events.column=event"),
        "evaluation.target_events=[order]",
    )


def write_sequences(folder: Path) -> tuple[str, ...]:
    """The same tastes as bare sequences."""
    random = np.random.default_rng(1)
    lines = []
    for user in range(90):
        products = random.permutation(NUM_PRODUCTS // 3)[: random.integers(3, 8)] * 3 + user % 3
        lines.append(json.dumps({"user": f"u{user}", "items": [f"p{product}" for product in products]}))
    (folder / "sequences.jsonl").write_text("\n".join(lines))
    return "data=sequences", f"data.path={folder / 'sequences.jsonl'}", "text=none"


@dataclass
class Run:
    """What a training left and said."""

    bundle: Bundle
    said: str
    metrics: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.metrics = self.bundle.metrics()

    @property
    def epochs(self) -> list[tuple[int, float]]:
        """Number and watched figure of each epoch that was trained in this run."""
        return [(int(number), float(figure)) for number, figure in EPOCH.findall(self.said)]


def settings_of(output_dir: Path, *overrides: str) -> Settings:
    return compose_settings([*SMALL, f"output_dir={output_dir}", *overrides], Settings)


def train_here(
    caplog: pytest.LogCaptureFixture, output_dir: Path, *overrides: str, towers: bool = False, pictures: bool = False
) -> Run:
    """Trains in this process; towers and pictures take longer than the training, and are made where asked for."""
    from rec_sys.train import results
    from rec_sys.train.train import train

    settings = settings_of(output_dir, *overrides)
    folder = RunFolder(settings)
    caplog.clear()
    with pytest.MonkeyPatch.context() as patch, folder.locked(), caplog.at_level(logging.INFO, "rec_sys"):
        if not towers:
            patch.setattr(results, "export_towers", lambda *_: {})
        if not pictures:
            patch.setattr(results, "draw_pictures", lambda *_: ())
        path = train(settings, folder)
    assert path is not None
    return Run(Bundle(path), caplog.text)


def training_command(output_dir: Path, *overrides: str) -> list[str]:
    """The same as a command of its own: what stands after `python`."""
    return ["-m", "rec_sys.train.train", *SMALL, f"output_dir={output_dir}", *overrides]
