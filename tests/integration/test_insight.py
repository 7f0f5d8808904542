"""What the bundle served says of its users and products, beside the same computed by hand."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from rec_sys.contracts import HistoryColumn, ProductVector
from rec_sys.inference.contract import UnknownUserError
from rec_sys.inference.recommender import Recommender
from tests.live_shops import Shop
from tests.serving_bundles import expected_answer, known_reviews, write_serving_bundle


def test_the_bundle_is_looked_into(tmp_path: Path) -> None:
    shop = Shop(tmp_path, write_serving_bundle(tmp_path / "bundles" / "one"))
    shop.publish(shop.bundle)
    settings = shop.settings()

    async def look() -> None:
        async with Recommender(settings.index, settings.inference, tmp_path) as recommender:
            insight = recommender.insight
            users = await insight.some_users(3)
            counts = shop.bundle.histories()[HistoryColumn.USER_ID].value_counts(sort=True)
            assert counts.row(0)[1] == len(known_reviews(shop.bundle, users[0]))
            reviews = known_reviews(shop.bundle, users[0])
            _, attention, _ = expected_answer(shop.bundle, reviews)
            found = await insight.attention(users[0])
            assert [one.weight for one in found] == pytest.approx(attention.tolist(), abs=1e-5)
            assert [one.asin for one in found] == [f"p{one.product}" for one in reviews[: len(found)]]
            assert found[0].memory > 0
            with pytest.raises(UnknownUserError):
                await insight.attention("nobody")

            named = await insight.products_called(" 3 PROD", 4)
            assert len(named) == 4
            assert all("3" in one.title and "Product" in one.title for one in named)
            assert await insight.products_called("product nowhere", 4) == await insight.products_called(" ", 4) == ()
            assert await insight.titles(["p1", "p7", "elsewhere"]) == {
                "p1": "Product 1",
                "p7": "p7",
                "elsewhere": "elsewhere",
            }
            assert await insight.in_catalogue(["p1", "elsewhere"]) == {"p1"}
            points = await insight.product_map(60)
            places = np.array([(one.x, one.y) for one in points])
            assert (places.min(axis=0).tolist(), places.max(axis=0).tolist()) == ([0, 0], [1, 1])
            vectors = shop.bundle.product_vectors()[ProductVector.OUTPUT]
            _, _, directions = np.linalg.svd(vectors - vectors.mean(axis=0))
            on_main = vectors[[int(one.asin[1:]) for one in points]] @ directions[0]
            assert abs(np.corrcoef(on_main, places[:, 0])[0, 1]) == pytest.approx(1, abs=1e-4)
            assert (await insight.figures())["this model"] == {"ndcg_at_10": 0.1}

    asyncio.run(look())
