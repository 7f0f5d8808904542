"""Exports the towers to ONNX in their dense form, and refuses to where onnxruntime disagrees with torch."""

import logging
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor, nn

from rec_sys.contracts import TEXT_DIM, TowerFile, TowerTensor
from rec_sys.graph.blocks import NUM_ACTIVITIES
from rec_sys.modules.review_graph_model import ReviewGraphModel

OPSET = 20
TOLERANCE = 1e-4


class UserTowerExport(nn.Module):
    """From raw review features to the user vector and each review's weight.

    Args:
        model: The trained model.
    """

    def __init__(self, model: ReviewGraphModel) -> None:
        super().__init__()
        self.reviews = model.review_encoder
        self.tower = model.user_tower

    def forward(
        self, product_inputs: Tensor, review_text: Tensor, has_text: Tensor, rating: Tensor, age: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Shapes as in `contracts.TowerTensor`."""
        distance = torch.arange(mask.shape[1], device=mask.device).expand(mask.shape[0], -1)
        encoded = self.reviews(review_text, has_text, rating)
        hidden, weights = self.tower.read_densely(product_inputs, encoded, distance, age, mask)
        return self.tower.to_ranking(hidden), weights


class ProductTowerExport(nn.Module):
    """From a product's text and reviews to its vector, as if never trained on: for products that came later.

    Args:
        model: The trained model.
    """

    def __init__(self, model: ReviewGraphModel) -> None:
        super().__init__()
        self.reviews = model.review_encoder
        self.tower = model.product_tower

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
        """Shapes as in `contracts.TowerTensor`."""
        distance = torch.arange(mask.shape[1], device=mask.device).expand(mask.shape[0], -1)
        products = torch.full_like(has_product_text, self.tower.num_products, dtype=torch.int64)
        encoded = self.reviews(review_text, has_text, rating)
        hidden, weights = self.tower.read_densely(
            products, product_text, has_product_text, activity, encoded, distance, age, mask
        )
        return self.tower.to_ranking(hidden), weights


def export_towers(model: ReviewGraphModel, user_reviews: int, product_reviews: int) -> dict[str, bytes]:
    """Both towers as ONNX.

    Args:
        model: The trained model; it is put into evaluation mode and used on the CPU.
        user_reviews: Longest history that the user tower was built for.
        product_reviews: Most reviews that the product tower was built for.

    Returns:
        The ONNX models by their file names in a bundle.

    Raises:
        RuntimeError: onnxruntime's answer differs from torch's by more than 1e-4.
    """
    model = model.eval().cpu()
    dim = model.settings.dim
    length = min(4, user_reviews)
    reviews = [TowerTensor.REVIEW_TEXT, TowerTensor.HAS_TEXT, TowerTensor.RATING, TowerTensor.AGE, TowerTensor.MASK]
    towers = {
        TowerFile.USER: (
            UserTowerExport(model),
            [TowerTensor.PRODUCT_INPUTS, *reviews],
            [TowerTensor.USER_VECTOR, TowerTensor.REVIEW_WEIGHTS],
            user_reviews,
        ),
        TowerFile.PRODUCT: (
            ProductTowerExport(model),
            [TowerTensor.PRODUCT_TEXT, TowerTensor.HAS_PRODUCT_TEXT, TowerTensor.ACTIVITY, *reviews],
            [TowerTensor.PRODUCT_VECTOR, TowerTensor.REVIEW_WEIGHTS],
            max(1, product_reviews),
        ),
    }
    exported = {}
    for file, (tower, inputs, outputs, longest) in towers.items():
        sample = example_inputs(inputs, dim, batch=2, length=min(length, longest), seed=0)
        exported[file] = _export(tower, sample, outputs)
        check_parity(tower, exported[file], inputs, dim, longest)
    return exported


def example_inputs(names: list[str], dim: int, *, batch: int, length: int, seed: int) -> dict[str, Tensor]:
    """Random inputs of a tower, with missing texts, missing ratings, padding and one row without any review."""
    random = np.random.default_rng(seed)
    count = random.integers(0, length + 1, size=batch)
    count[0] = length
    if batch > 1:
        count[-1] = 0
    mask = (np.arange(length) < count[:, None]).astype(np.float32)
    has_text = (random.random((batch, length)) < 0.7).astype(np.float32) * mask
    values = {
        TowerTensor.PRODUCT_INPUTS: random.normal(size=(batch, length, dim)) * 0.3,
        TowerTensor.REVIEW_TEXT: random.normal(size=(batch, length, TEXT_DIM)) * 0.05 * has_text[..., None],
        TowerTensor.HAS_TEXT: has_text,
        TowerTensor.RATING: random.integers(0, 6, size=(batch, length)) * mask,
        TowerTensor.AGE: np.where(random.random((batch, length)) < 0.2, -1, random.random((batch, length)) * 900),
        TowerTensor.MASK: mask,
        TowerTensor.PRODUCT_TEXT: random.normal(size=(batch, TEXT_DIM)) * 0.05,
        TowerTensor.HAS_PRODUCT_TEXT: (random.random(batch) < 0.7).astype(np.float32),
        TowerTensor.ACTIVITY: random.normal(size=(batch, NUM_ACTIVITIES)),
    }
    return {name: torch.from_numpy(np.asarray(values[name], dtype=np.float32)) for name in names}


def _export(tower: nn.Module, sample: dict[str, Tensor], outputs: list[str]) -> bytes:
    batch, length = torch.export.Dim("batch"), torch.export.Dim("length")
    without_length = {TowerTensor.PRODUCT_TEXT, TowerTensor.HAS_PRODUCT_TEXT, TowerTensor.ACTIVITY}
    shapes = {name: {0: batch} if name in without_length else {0: batch, 1: length} for name in sample}
    # The exporter names every torchvision operator that it cannot register; none is used here.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / "tower.onnx"
        torch.onnx.export(
            tower,
            tuple(sample.values()),
            path,
            input_names=list(sample),
            output_names=outputs,
            dynamic_shapes=shapes,
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
        return path.read_bytes()


def check_parity(tower: nn.Module, exported: bytes, inputs: list[str], dim: int, longest: int) -> None:
    """Compares onnxruntime with torch for several batch sizes and lengths.

    Raises:
        RuntimeError: They differ by more than `TOLERANCE`.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(exported, options, providers=["CPUExecutionProvider"])
    for batch, length in ((1, 1), (1, longest), (3, min(8, longest)), (64, longest)):
        sample = example_inputs(inputs, dim, batch=batch, length=length, seed=batch + length)
        with torch.inference_mode():
            expected = tower(*sample.values())
        found = session.run(None, {name: value.numpy() for name, value in sample.items()})
        for wanted, given in zip(expected, found, strict=True):
            difference = float(np.abs(wanted.numpy() - given).max())
            if not difference <= TOLERANCE:
                raise RuntimeError(
                    f"{type(tower).__name__}: onnxruntime differs from torch by {difference:.2e}"
                    f" (batch {batch}, length {length}); the tower is not exported"
                )
