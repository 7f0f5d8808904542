r"""Towers in closed form, out of the co-review memory: what a bundle has where no tower was trained.

The memory M is factorised, :math:`M \approx U S V^T`. A product in a history is :math:`U S^{1/2}`, a product that
answers :math:`V S^{1/2}`, and a user the mean of their products and the newest once more: a low-rank likeness of the
memory's own ranking. It orders what the memory is silent about, names similar products, and places new ones by their
text; of somebody without any review it knows what is popular. Its cosine is divided by a temperature at which it never
overrules the memory. Every part is a setting of the trained towers' own weights, so export and serving are the same.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch_geometric.nn import GATv2Conv, TransformerConv

from rec_sys.modules.memory import CoReviewMemory
from rec_sys.modules.review_attention import ReviewAttention
from rec_sys.modules.review_features import TextProjection
from rec_sys.modules.review_graph_model import ReviewGraphModel

FloatArray = npt.NDArray[np.float32]

_ROUNDS: Final = 2  # of power iteration; the factors order only what the memory leaves open
_POPULAR: Final = 0.3  # of the most reviewed product, beside the unit vector of its factors
_FAINT: Final = 1e-3  # the same in a user's products: somebody whom the memory knows nothing of gets what is popular


def factorise(memory: CoReviewMemory, dim: int, seed: int) -> tuple[FloatArray, FloatArray]:
    """The two factors of a memory, float32 `[num_products, dim]` each; zero beyond its rank."""
    from sklearn.utils.extmath import randomized_svd

    size = memory.matrix.shape[0]
    left, values, right = randomized_svd(memory.matrix, min(dim, size), n_iter=_ROUNDS, random_state=seed)
    factors = np.zeros((2, size, dim), dtype=np.float32)
    factors[0, :, : len(values)] = left * np.sqrt(values)
    factors[1, :, : len(values)] = right.T * np.sqrt(values)
    return factors[0], factors[1]


@torch.no_grad()
def set_memory_towers(
    model: ReviewGraphModel, memory: CoReviewMemory, reviewed: npt.NDArray[np.integer], product_text: Tensor, seed: int
) -> None:
    """Sets the weights of a model without trained towers.

    Args:
        model: Its `settings.tower` is none.
        memory: The memory beside it.
        reviewed: int `[num_products]`, how many reviews each product has in the train split.
        product_text: float `[num_products, text_dim]`, zero where missing.
        seed: Seeds the factorisation.
    """
    users, products, reviews = model.user_tower, model.product_tower, model.review_encoder
    inputs, outputs = factorise(memory, model.settings.dim - 1, seed)
    popular = np.log1p(reviewed) / max(float(np.log1p(reviewed).max()), 1e-9)
    targets = torch.from_numpy(np.column_stack([_unit(outputs, seed), _POPULAR * popular]).astype(np.float32))
    for part in (users, products, reviews):
        for weight in part.parameters():
            weight.zero_()
    _pass_mean(users.attention)
    users.newest.weight.copy_(torch.eye(model.settings.dim))
    users.unknown[-1] = 1.0
    products.input_id.weight[:-1, :-1] = torch.from_numpy(inputs)
    products.input_id.weight[:-1, -1] = products.input_text.missing[-1] = _FAINT
    has_text = (product_text != 0).any(dim=1).float()
    # What a text says leads to a place, and to no popularity: nobody has come to a new product yet.
    places = targets * (torch.arange(model.settings.dim) < model.settings.dim - 1)
    products.output_text.missing.copy_(places.mean(dim=0))
    products.output_text.linear.weight.copy_(_read_text(products.output_text, product_text, has_text, places).T)
    products.output_id.weight[:-1] = targets - products.output_text(product_text, has_text)


def _unit(factors: FloatArray, seed: int) -> FloatArray:
    """Directions of the factors; any direction where the memory knows nothing of a product."""
    length = np.linalg.norm(factors, axis=1, keepdims=True)
    anywhere = np.random.default_rng(seed).normal(size=factors.shape)
    anywhere /= np.linalg.norm(anywhere, axis=1, keepdims=True)
    return np.where(length > 1e-6, factors / np.maximum(length, 1e-6), anywhere).astype(np.float32)


def _pass_mean(attention: ReviewAttention) -> None:
    """Attention whose answer is the mean of the edges' products; all other weights are zero."""
    convolution = attention.convolution
    values = convolution.lin_value if isinstance(convolution, TransformerConv) else convolution.lin_l
    assert isinstance(convolution, (TransformerConv, GATv2Conv))
    values.weight.copy_(torch.eye(values.weight.shape[0]))


def _read_text(projection: TextProjection, text: Tensor, has_text: Tensor, targets: Tensor) -> Tensor:
    """Ridge regression of the vectors on the texts, float `[text_dim, dim]`; zero where there is no text."""
    known = has_text > 0
    if text.shape[1] == 0 or not bool(known.any()):
        return torch.zeros(text.shape[1], targets.shape[1])
    read = (text[known].float() - projection.mean) * projection.scale
    gram = read.T @ read + len(read) * torch.eye(text.shape[1])
    found: Tensor = torch.linalg.solve(gram, read.T @ targets[known])
    return found
