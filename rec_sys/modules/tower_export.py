"""Exports the towers to ONNX in their dense form, and refuses to where onnxruntime disagrees with torch."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import onnx
import torch
from torch import Tensor, nn

from rec_sys.contracts import TowerFile, TowerTensor
from rec_sys.modules.review_graph_model import ReviewGraphModel
from rec_sys.modules.tower_parity import (
    Arrays,
    ParityCase,
    answer,
    answer_by_onnxruntime,
    example_inputs,
    open_session,
    refuse_difference,
)

OPSET: Final = 20
_REVIEWS: Final = (
    TowerTensor.REVIEW_TEXT,
    TowerTensor.HAS_TEXT,
    TowerTensor.RATING,
    TowerTensor.AGE,
    TowerTensor.MASK,
)
# What each tower takes and gives, in the order of its `forward`.
INPUTS: Final[dict[str, tuple[str, ...]]] = {
    TowerFile.USER: (TowerTensor.PRODUCT_INPUTS, *_REVIEWS),
    TowerFile.PRODUCT: (TowerTensor.PRODUCT_TEXT, TowerTensor.HAS_PRODUCT_TEXT, TowerTensor.ACTIVITY, *_REVIEWS),
}
OUTPUTS: Final[dict[str, tuple[str, ...]]] = {
    TowerFile.USER: (TowerTensor.USER_VECTOR, TowerTensor.REVIEW_WEIGHTS),
    TowerFile.PRODUCT: (TowerTensor.PRODUCT_VECTOR, TowerTensor.REVIEW_WEIGHTS),
}


class UserTowerExport(nn.Module):
    """From raw review features to the user vector and each review's weight."""

    def __init__(self, model: ReviewGraphModel) -> None:
        super().__init__()
        self.reviews = model.review_encoder
        self.tower = model.user_tower
        self.reads = self.tower.place.distance.num_embeddings

    def forward(
        self, product_inputs: Tensor, review_text: Tensor, has_text: Tensor, rating: Tensor, age: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Shapes as in `contracts.TowerTensor`; reviews beyond those that training read change nothing."""
        distance, mask = number_reviews(mask, self.reads)
        encoded = self.reviews(review_text, has_text, rating)
        hidden, weights = self.tower.read_densely(product_inputs, encoded, distance, age, mask)
        return self.tower.to_ranking(hidden), weights


class ProductTowerExport(nn.Module):
    """From a product's text and reviews to its vector, as if never trained on: for products that came later.

    Args:
        model: The trained model.
        reads: Reviews that it looks at; None for as many as it has places for.
    """

    def __init__(self, model: ReviewGraphModel, reads: int | None = None) -> None:
        super().__init__()
        self.reviews = model.review_encoder
        self.tower = model.product_tower
        self.reads = self.tower.place.distance.num_embeddings if reads is None else reads

    def forward(
        self,
        product_text: Tensor,
        has_product_text: Tensor,
        activity: Tensor,
        review_text: Tensor,
        has_text: Tensor,
        rating: Tensor,
        age: Tensor,
        mask: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Shapes as in `contracts.TowerTensor`; reviews beyond those that training read change nothing."""
        distance, mask = number_reviews(mask, self.reads)
        products = torch.full_like(has_product_text, self.tower.num_products, dtype=torch.int64)
        encoded = self.reviews(review_text, has_text, rating)
        hidden, weights = self.tower.read_densely(
            products, product_text, has_product_text, activity, encoded, distance, age, mask
        )
        return self.tower.to_ranking(hidden), weights


def number_reviews(mask: Tensor, reads: int) -> tuple[Tensor, Tensor]:
    """The place of each review, and the mask without those that lie too far back.

    Requests are padded to lengths that suit the server, which may be longer than what the model has places for.

    Returns:
        int64 `[batch, length]`, below `max(1, reads)`, and float `[batch, length]`.
    """
    place = torch.arange(mask.shape[1], device=mask.device)
    distance = place.clamp(max=max(1, reads) - 1).expand(mask.shape[0], -1)
    return distance, mask * (place < reads).to(mask.dtype)


def export_modules(model: ReviewGraphModel, product_reviews: int) -> dict[str, nn.Module]:
    """What is exported of a model, by its file's name in a bundle; the model is put on the CPU, in evaluation mode."""
    model = model.eval().cpu()
    user, product = UserTowerExport(model), ProductTowerExport(model, product_reviews)
    return {TowerFile.USER: user.eval(), TowerFile.PRODUCT: product.eval()}


def export_towers(model: ReviewGraphModel, user_reviews: int, product_reviews: int) -> dict[str, bytes]:
    """Both towers as ONNX; `user_reviews` and `product_reviews` are how many reviews of each training read.

    Returns:
        The ONNX models by their file names in a bundle.

    Raises:
        ParityError: onnxruntime's answer differs from torch's by more than 1e-4.
    """
    reads = {TowerFile.USER: user_reviews, TowerFile.PRODUCT: product_reviews}
    exported = {}
    for file, tower in export_modules(model, product_reviews).items():
        sample = example_inputs(INPUTS[file], ParityCase(batch=2, length=4), model.settings.dim, model.text_dim)
        exported[file] = _export(tower, sample, OUTPUTS[file], model.settings.dim)
        session = open_session(exported[file])
        for case in _first_cases(max(1, reads[file])):
            sample = example_inputs(INPUTS[file], case, model.settings.dim, model.text_dim)
            found = answer_by_onnxruntime(session, sample)
            refuse_difference(file, case, "onnxruntime", answer(tower, sample), found)
    return exported


def _first_cases(longest: int) -> tuple[ParityCase, ...]:
    """Enough to find a graph that is wrong; all cases are asked when a tower is published."""
    return (
        ParityCase(1, 1),
        ParityCase(1, longest, empty=True),
        ParityCase(3, longest, texts=False),
        ParityCase(3, longest + 1),  # padded beyond what it reads
        ParityCase(64, longest),
    )


def _export(tower: nn.Module, sample: Arrays, outputs: Sequence[str], width: int) -> bytes:
    without_length = {TowerTensor.PRODUCT_TEXT, TowerTensor.HAS_PRODUCT_TEXT, TowerTensor.ACTIVITY}
    without_length |= {TowerTensor.USER_VECTOR, TowerTensor.PRODUCT_VECTOR}
    axes = {name: {0: "batch"} if name in without_length else {0: "batch", 1: "length"} for name in (*sample, *outputs)}
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        # Of the two exporters the older one takes a thirtieth of the time (0.2 s a tower); it calls itself deprecated,
        # and it warns of what may hold for its example alone, which the answers to other shapes are asked for.
        warnings.simplefilter("ignore")
        path = Path(folder) / "tower.onnx"
        torch.onnx.export(
            tower,
            tuple(map(torch.from_numpy, sample.values())),
            path,
            input_names=list(sample),
            output_names=list(outputs),
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )
        written = onnx.load_model(path)
        for output in written.graph.output:
            if output.name in without_length:  # of fixed width, which this exporter does not find out
                output.type.tensor_type.shape.dim[1].dim_value = width
        return bytes(written.SerializeToString())
