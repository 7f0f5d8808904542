"""What the whole road needs at its beginning: an exported text encoder, and reviews to train on in seconds."""

import os
import shutil
from pathlib import Path

import numpy as np
import polars as pl

KINDS = ("Acoustic Guitar Strings", "Snare Drum Head", "Studio Microphone")
OPINIONS = (
    "Warm and quiet, they kept their tone for weeks.",
    "Buzzes on every fret, I sent it back.",
    "The best that I have had, and cheap.",
    "Fine for practice, not for the stage.",
    "Broke after a month.",
)
NUM_USERS, NUM_PRODUCTS, NUM_REVIEWS = 48, 36, 420


def share_text_models(output_dir: Path, text_cache_dir: Path) -> Path:
    """Gives an output folder the tests' exported text encoder, which takes its time to make; the folder of texts."""
    models = output_dir / "text" / "models"
    models.mkdir(parents=True)
    for path in (text_cache_dir / "models").glob("*.onnx"):
        try:
            os.link(path, models / path.name)
        except OSError:  # another file system
            shutil.copyfile(path, models / path.name)
    return output_dir / "text"


def write_table_with_texts(folder: Path) -> tuple[str, ...]:
    """Reviews and products to train on in seconds, because the same few words are written again and again.

    Returns:
        The command line that reads them, for training.
    """
    random = np.random.default_rng(3)
    user = random.integers(0, NUM_USERS, NUM_REVIEWS)
    kind = np.where(random.random(NUM_REVIEWS) < 0.85, user % 3, random.integers(0, 3, NUM_REVIEWS))
    liked = kind == user % 3
    product = 3 * random.integers(0, NUM_PRODUCTS // 3, NUM_REVIEWS) + kind
    reviews = pl.DataFrame(
        {
            "user_id": [f"user {number}" for number in user],
            "asin": [f"P{number:03d}" for number in product],
            "rating": np.where(liked, random.integers(4, 6, NUM_REVIEWS), random.integers(1, 4, NUM_REVIEWS)),
            "timestamp": 1_600_000_000 + 86_400 * random.integers(0, 1_400, NUM_REVIEWS),
            "text": [OPINIONS[number] for number in random.integers(0, len(OPINIONS), NUM_REVIEWS)],
        }
    )
    titles = [f"{KINDS[number % 3]} No. {number}" for number in range(NUM_PRODUCTS)]
    asins = [f"P{number:03d}" for number in range(NUM_PRODUCTS)]
    reviews.write_csv(folder / "reviews.csv")
    pl.DataFrame({"asin": asins, "title": titles}).write_csv(folder / "products.csv")
    return (
        *("data=table", f"data.reviews_path={folder / 'reviews.csv'}", f"data.metadata_path={folder / 'products.csv'}"),
        *("tracking=none", "model.dim=16", "graph.user_reviews=8", "graph.product_reviews=4", "trainer.max_epochs=2"),
        *("trainer.batch_size=64", "trainer.accelerator=cpu", "trainer.progress=false", "trainer.num_threads=1"),
        *("text.num_threads=1", "text.device=cpu", "model.co_review.weights=[20]", "model.co_review.l2=[100]"),
    )
