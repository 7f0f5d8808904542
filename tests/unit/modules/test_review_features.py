"""What a review's text, stars and place become."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rec_sys.modules.review_features import MISSING_AGE, MISSING_RATING, PlaceEncoder, ReviewEncoder, TextProjection
from tests.text_width import TEXT_DIM


def encode_stars(encoder: ReviewEncoder, *stars: float) -> torch.Tensor:
    rating = torch.tensor(stars)
    return encoder(torch.zeros(len(stars), TEXT_DIM), torch.zeros(len(stars)), rating)


def test_half_stars_lie_halfway_between_whole_ones() -> None:
    torch.manual_seed(0)
    encoder = ReviewEncoder(TEXT_DIM, 8)
    encoded = encode_stars(encoder, 1, 1.5, 2, 3.25, 3, 4)
    torch.testing.assert_close(encoded[1], (encoded[0] + encoded[2]) / 2)
    torch.testing.assert_close(encoded[3], 0.75 * encoded[4] + 0.25 * encoded[5])
    assert len({tuple(row.tolist()) for row in encoded}) == 6


def test_a_missing_rating_is_a_thing_of_its_own_and_no_bad_one() -> None:
    torch.manual_seed(0)
    encoder = ReviewEncoder(TEXT_DIM, 8)
    encoded = encode_stars(encoder, MISSING_RATING, 1, 2, 3, 4, 5)
    weight = encoder.rating.weight.detach()
    torch.testing.assert_close(encoded, torch.stack([weight[:, 5], *(weight[:, star] for star in range(5))]))


def test_a_missing_text_is_a_learned_vector_whatever_stands_in_its_place() -> None:
    torch.manual_seed(0)
    projection = TextProjection(TEXT_DIM, 8)
    torch.nn.init.normal_(projection.missing)
    projection.fit_statistics(torch.randn(50, TEXT_DIM) + 1)
    found = projection(torch.randn(3, TEXT_DIM), torch.tensor([0.0, 1.0, 0.0]))
    torch.testing.assert_close(found[0], projection.missing)
    torch.testing.assert_close(found[2], projection.missing)
    assert not torch.allclose(found[1], projection.missing)


def test_texts_are_centred_and_scaled_by_the_fitted_statistics() -> None:
    torch.manual_seed(0)
    vectors = (torch.randn(400, TEXT_DIM) * 0.01 + torch.randn(TEXT_DIM) * 0.05).half()
    projection = TextProjection(TEXT_DIM, TEXT_DIM)
    torch.nn.init.eye_(projection.linear.weight)
    projection.fit_statistics(vectors)
    seen = projection(vectors, torch.ones(400))
    torch.testing.assert_close(seen.mean(dim=0), torch.zeros(TEXT_DIM), atol=1e-4, rtol=0)
    assert seen.square().mean().item() == pytest.approx(1, abs=1e-3)
    before = {name: value.clone() for name, value in projection.state_dict().items()}
    projection.fit_statistics(torch.zeros(0, TEXT_DIM))
    assert all(torch.equal(value, before[name]) for name, value in projection.state_dict().items())


def test_one_text_alone_has_no_spread_and_still_gives_finite_features() -> None:
    projection = TextProjection(TEXT_DIM, 8)
    vector = torch.randn(1, TEXT_DIM)
    projection.fit_statistics(vector)
    assert projection(torch.cat([vector, vector + 0.1]), torch.ones(2)).isfinite().all()


@settings(max_examples=30)
@given(st.integers(0, 4), st.floats(0, 20_000, width=32))
def test_places_tell_distance_and_age_and_an_unknown_age_is_no_age(distance: int, days: float) -> None:
    torch.manual_seed(0)
    place = PlaceEncoder(8, limit=5)
    at, ages = torch.tensor([distance, distance]), torch.tensor([days, MISSING_AGE])
    known, unknown = place(at, ages, torch.zeros(0))
    torch.testing.assert_close(unknown, place.distance.weight[distance])
    waves = torch.tensor([math.log1p(days) / 8, math.exp(-days / 30), math.exp(-days / 365)])
    torch.testing.assert_close(known, unknown + place.age.weight @ waves)
    with torch.no_grad():
        place.evidence.normal_()
    weak, plain = place(at, torch.full((2,), MISSING_AGE), torch.tensor([math.log(0.1), 0.0]))
    torch.testing.assert_close(weak, plain + math.log(0.1) * place.evidence[0])
    torch.testing.assert_close(plain, unknown, rtol=0, atol=0)
