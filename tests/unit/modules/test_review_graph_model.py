"""What the vectors mean together: logits and stars."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cosine_similarity

from rec_sys.graph.rating_offsets import RatingOffsets
from rec_sys.modules.review_graph_model import ReviewGraphModel
from tests.review_graphs import small_graph_settings, small_model_settings
from tests.text_width import TEXT_DIM


def make_model(**changes: object) -> ReviewGraphModel:
    torch.manual_seed(0)
    return ReviewGraphModel(3, TEXT_DIM, small_model_settings(**changes), small_graph_settings()).eval()


def test_logits_are_cosines_over_the_temperature() -> None:
    model = make_model(temperature=0.2)
    users, products = torch.randn(4, 16) * 9, torch.randn(3, 16) * 0.01
    expected = cosine_similarity(users.unsqueeze(1), products.unsqueeze(0), dim=-1) / 0.2
    torch.testing.assert_close(model.rank(users, products), expected)


def test_stars_without_offsets_are_five_halves_of_one_plus_the_cosine() -> None:
    model = make_model(rating_offsets=False)
    torch.nn.init.eye_(model.user_tower.rating_head.weight)
    torch.nn.init.eye_(model.product_tower.rating_head.weight)
    users = torch.eye(16)[:3]
    products = torch.stack([torch.eye(16)[0], -torch.eye(16)[1], torch.eye(16)[5]])
    torch.testing.assert_close(model.rate(users, products, torch.ones(3), torch.ones(3)), torch.tensor([5.0, 0, 2.5]))


def test_stars_with_offsets_start_from_mean_user_and_product() -> None:
    model = make_model()
    offsets = RatingOffsets(4.0, np.array([-2.0, 0.0, 6.0]), np.array([1.0, 0.0, 7.0]), 1.0)
    model.fit_statistics(torch.zeros(0, TEXT_DIM), torch.zeros(0, TEXT_DIM), offsets)
    assert model.product_offset.tolist() == [-1, 0, 0.75]
    users, products = torch.randn(2, 16), torch.randn(2, 16)
    personal = cosine_similarity(model.user_tower.rating_head(users), model.product_tower.rating_head(products))
    found = model.rate(users, products, torch.tensor([0.5, 0.0]), model.product_offset[[0, 2]])
    torch.testing.assert_close(found, torch.tensor([3.5, 4.75]) + 0.5 * personal)


def test_the_statistics_travel_with_the_weights() -> None:
    model, other = make_model(), make_model()
    texts = torch.randn(20, TEXT_DIM)
    model.fit_statistics(texts, texts + 1, RatingOffsets(4.0, np.ones(3), np.ones(3), 1.0))
    other.load_state_dict(model.state_dict())
    assert other.rating_mean.item() == 4
    torch.testing.assert_close(other.review_encoder.text.mean, texts.mean(dim=0))
    torch.testing.assert_close(other.product_tower.output_text.mean, texts.mean(dim=0) + 1)


@pytest.mark.parametrize("convolution", ["transformer_conv", "gat"])
def test_a_seed_gives_a_model(convolution: str) -> None:
    one, two = (make_model(convolution=convolution).state_dict() for _ in range(2))
    assert all(torch.equal(value, two[name]) for name, value in one.items())
