"""Every form of a tower must give the same answers: what is asked of each, and how far they may differ."""

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch
from torch import nn

from rec_sys.contracts import TowerTensor
from rec_sys.graph.blocks import NUM_ACTIVITIES

Arrays = dict[str, npt.NDArray[np.float32]]

TOLERANCE: Final = 1e-4
_ROUNDINGS: Final = 8  # another order of the same sums may be off by so many times what torch's order is
PARITY_BATCHES: Final = (1, 3, 64)


class ParityError(RuntimeError):
    """Two forms of a tower do not give the same answers."""


@dataclass(frozen=True)
class ParityCase:
    """One request that every form of a tower must answer alike.

    Attributes:
        batch: Rows.
        length: Reviews a row, padding included.
        empty: No row has any review; otherwise the first is full and the last of several is empty.
        texts: False for none at all; otherwise some are missing.
    """

    batch: int
    length: int
    empty: bool = False
    texts: bool = True


def parity_cases(lengths: Iterable[int]) -> Iterator[ParityCase]:
    """Every length with 1, 3 and 64 rows; several rows have everything, one is asked with what may be missing too."""
    for length in lengths:
        for batch in PARITY_BATCHES:
            yield ParityCase(batch, length)
        yield ParityCase(1, length, empty=True)
        yield ParityCase(1, length, texts=False)


def example_inputs(names: Iterable[str], case: ParityCase, dim: int, text_dim: int) -> Arrays:
    """Random inputs of a tower: float32 arrays by their names, with missing ratings and padding."""
    batch, length = case.batch, case.length
    random = np.random.default_rng(batch * 1000 + length)
    count = random.integers(0, length + 1, size=batch)
    count[-1] = 0
    count[0] = length
    if case.empty:
        count[:] = 0
    mask = (np.arange(length) < count[:, None]).astype(np.float32)
    has_text = (random.random((batch, length)) < 0.7 * case.texts) * mask
    has_product_text = random.random(batch) < 0.7 * case.texts
    values = {
        TowerTensor.PRODUCT_INPUTS: random.normal(size=(batch, length, dim)) * 0.3,
        TowerTensor.REVIEW_TEXT: random.normal(size=(batch, length, text_dim)) * 0.05 * has_text[..., None],
        TowerTensor.HAS_TEXT: has_text,
        TowerTensor.RATING: random.integers(0, 6, size=(batch, length)) * mask,
        TowerTensor.AGE: np.where(random.random((batch, length)) < 0.2, -1, random.random((batch, length)) * 900),
        TowerTensor.MASK: mask * random.choice([1.0, 1.0, 0.1, 3.0], size=mask.shape),
        TowerTensor.PRODUCT_TEXT: random.normal(size=(batch, text_dim)) * 0.05 * has_product_text[:, None],
        TowerTensor.HAS_PRODUCT_TEXT: has_product_text,
        TowerTensor.ACTIVITY: random.normal(size=(batch, NUM_ACTIVITIES)),
    }
    return {name: np.asarray(values[name], dtype=np.float32) for name in names}


@dataclass(frozen=True)
class Expected:
    """What torch says.

    Attributes:
        answers: The tower's outputs in their order: float32, in double precision but for the last rounding.
        allowed: How far another form may be from each: float32, broadcast against it.
    """

    answers: list[npt.NDArray[np.float32]]
    allowed: list[npt.NDArray[np.float32]]

    @classmethod
    def exactly(cls, answers: Sequence[npt.NDArray[np.float32]]) -> "Expected":
        """Answers from which nothing may be further than `TOLERANCE`."""
        return cls(list(answers), [np.array([TOLERANCE], dtype=np.float32) for _ in answers])


def answer(tower: nn.Module, inputs: Arrays) -> Expected:
    """What torch says in double precision, and how far single precision may be from it.

    That is `TOLERANCE`, and more in a row in which torch's own single precision is off by nearly as much: where a sum
    nearly cancels before it is brought to unit length, every order of the same additions is another vector.
    """

    def asked(module: nn.Module, dtype: torch.dtype) -> list[npt.NDArray[np.float32]]:
        with torch.inference_mode():
            outputs = module(*(torch.from_numpy(values).to(dtype) for values in inputs.values()))
        return [output.float().numpy() for output in outputs]

    exact = asked(copy.deepcopy(tower).double(), torch.float64)
    allowed = []
    for wanted, rounded in zip(exact, asked(tower, torch.float32), strict=True):
        rows = tuple(range(1, wanted.ndim))
        off = np.abs(wanted - rounded).max(axis=rows, keepdims=True, initial=0)
        allowed.append(np.maximum(TOLERANCE, _ROUNDINGS * off).astype(np.float32))
    return Expected(exact, allowed)


def answer_by_onnxruntime(
    session: onnxruntime.InferenceSession, inputs: Mapping[str, npt.NDArray[Any]]
) -> list[npt.NDArray[np.float32]]:
    """What onnxruntime says.

    Raises:
        ParityError: It cannot answer.
    """
    try:
        answers: list[npt.NDArray[np.float32]] = session.run(None, dict(inputs))
    except Exception as error:  # onnxruntime's errors have no base of their own
        raise ParityError(f"onnxruntime cannot answer: {error}") from error
    return answers


def open_session(model: bytes) -> onnxruntime.InferenceSession:
    """An ONNX model on the CPU, on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4  # what goes wrong is raised
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def refuse_difference(
    tower: str, case: ParityCase, other: str, expected: Expected, found: Sequence[npt.NDArray[Any]]
) -> float:
    """The largest difference between two answers.

    Raises:
        ParityError: It is larger than what is allowed, or no number.
    """
    largest = 0.0
    for wanted, allowed, given in zip(expected.answers, expected.allowed, found, strict=True):
        difference = np.abs(wanted - given)
        # NaN compares false with everything.
        if not (within := difference <= allowed).all():
            worst = np.max(difference[~within])
            raise ParityError(f"{tower}: {other} differs from torch by {worst:.2e}, allowed is {TOLERANCE:g} ({case})")
        largest = max(largest, float(difference.max(initial=0)))
    return largest
