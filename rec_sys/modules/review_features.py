"""Turns what a review says into the features of its edge; every part of it may be missing."""

import torch
from torch import Tensor, nn

NUM_STARS = 5
MISSING_RATING = 0.0  # ratings are 1 to 5 stars, so 0 is free to mean "none given"
MISSING_AGE = -1.0  # ages are days >= 0


class TextProjection(nn.Module):
    """Projects text vectors; a missing text becomes a learned vector.

    Text vectors of one domain share a large common part and have unit length over hundreds of dimensions, so they are
    centred and scaled to unit variance by statistics of the train split (`fit_statistics`) first.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, text_dim: int, dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(text_dim, dim, bias=False)
        self.missing = nn.Parameter(torch.zeros(dim))
        self.register_buffer("mean", torch.zeros(text_dim))
        self.register_buffer("scale", torch.ones(()))

    def fit_statistics(self, vectors: Tensor) -> None:
        """Sets mean and scale from a sample of vectors, float `[num_vectors, text_dim]`; empty: unchanged."""
        if len(vectors):
            vectors = vectors.float()
            self.mean.copy_(vectors.mean(dim=0))
            self.scale.copy_(1 / (vectors - self.mean).square().mean().sqrt().clamp(min=1e-6))

    def forward(self, vectors: Tensor, present: Tensor) -> Tensor:
        """float `[..., text_dim]` (`[0, text_dim]` where none is present), float 0/1 `[...]` -> `[..., dim]`."""
        if vectors.shape[0] == 0:
            return self.missing.expand(*present.shape, -1)
        projected: Tensor = self.linear((vectors.to(self.mean.dtype) - self.mean) * self.scale)
        seen = present.unsqueeze(-1)
        combined: Tensor = seen * projected + (1 - seen) * self.missing
        return combined


class ReviewEncoder(nn.Module):
    """What was written and how many stars were given, as one vector a review."""

    stars: Tensor

    def __init__(self, text_dim: int, dim: int) -> None:
        super().__init__()
        self.text = TextProjection(text_dim, dim)
        self.rating = nn.Linear(NUM_STARS + 1, dim, bias=False)
        self.register_buffer("stars", torch.arange(1.0, NUM_STARS + 1), persistent=False)

    def forward(self, text: Tensor, has_text: Tensor, rating: Tensor) -> Tensor:
        """Encodes reviews.

        Args:
            text: float `[..., text_dim]`.
            has_text: float 0/1 `[...]`.
            rating: float `[...]`, stars, `MISSING_RATING` where none were given.

        Returns:
            float `[..., dim]`.
        """
        # Half stars lie between two anchors: linear interpolation, [..., 5]; then a flag for "no rating".
        stars = (1 - (rating.unsqueeze(-1) - self.stars).abs()).clamp(min=0)
        missing = (rating == MISSING_RATING).to(stars.dtype).unsqueeze(-1)
        encoded: Tensor = self.text(text, has_text) + self.rating(torch.cat([stars * (1 - missing), missing], dim=-1))
        return encoded


class PlaceEncoder(nn.Module):
    """Where a review stands as seen from the question: how many newer there are, how old it is, how much it says.

    With a learned query, a vector added to keys is a learned bias a head for that place.
    """

    def __init__(self, dim: int, limit: int) -> None:
        super().__init__()
        self.distance = nn.Embedding(limit, dim)
        nn.init.normal_(self.distance.weight, std=0.1)
        self.age = nn.Linear(3, dim, bias=False)
        # Of kinds of events; it stays zero where all reviews weigh 1.
        self.evidence = nn.Parameter(torch.zeros(1, dim))

    def forward(self, distance: Tensor, age: Tensor, evidence: Tensor) -> Tensor:
        """Encodes places.

        Args:
            distance: int64 `[...]`, newer reviews.
            age: float `[...]`, days, `MISSING_AGE` where unknown.
            evidence: float `[...]`, log of the weight; `[0]` where all weigh 1.

        Returns:
            float `[..., dim]`.
        """
        place: Tensor = self.distance(distance) + self.age(self.describe_age(age))
        if evidence.shape == distance.shape:
            place = place + evidence.unsqueeze(-1) * self.evidence
        return place

    def describe_age(self, age: Tensor) -> Tensor:
        """float `[...]` days -> float `[..., 3]`, zero where unknown."""
        known = (age >= 0).to(self.distance.weight.dtype)
        days = age.clamp(min=0).to(known.dtype)
        waves = torch.stack([torch.log1p(days) / 8, torch.exp(-days / 30), torch.exp(-days / 365)], dim=-1)
        return waves * known.unsqueeze(-1)
