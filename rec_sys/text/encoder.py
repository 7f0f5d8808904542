"""What every text encoder promises, whichever library runs it: texts in, vectors out, the same ones ever after."""

import importlib.util
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rec_sys.contracts import InputError
from rec_sys.settings import TextSettings
from rec_sys.text.tokens import TextTokenizer

Positions = npt.NDArray[np.intp]


class NotExportableError(Exception):
    """This encoder has no form that Triton could run; it answers in the process that asks."""


class TextEncoder(ABC):
    """Turns texts into vectors.

    Attributes:
        encoder_id: Names the vectors: equal names, equal vectors.
        dim: Width of a vector.
        max_tokens: Tokens read of a text; None for all of them.
        token_budget: Padded tokens a batch.
        num_workers: Batches at once.
        tokenizer: Reads texts for the exported model; None where there is none to be had.
    """

    encoder_id: str
    dim: int
    max_tokens: int | None
    token_budget: int
    num_workers: int
    tokenizer: TextTokenizer | None

    @abstractmethod
    def count(self, texts: Sequence[str]) -> npt.NDArray[np.int32]:
        """int32 [len(texts)]: tokens that are read of each text."""

    @abstractmethod
    def encode_batches(
        self, texts: Sequence[str], batches: Iterable[Positions]
    ) -> Iterator[tuple[Positions, npt.NDArray[np.float32]]]:
        """Yields the positions and the vectors, float32 [len(positions), dim], of each batch, in the order given."""

    @abstractmethod
    def export(self) -> Path:
        """The encoder as an ONNX model with the tensors of `contracts.TextEncoderTensor`, made where it is missing.

        Raises:
            NotExportableError: It has no such form.
            InputError: It must be made and what is needed for that is not installed, or the disk is full.
        """

    @abstractmethod
    def prepare(self) -> None:
        """Makes what the first text would need, once for all processes, before any work begins."""

    def details(self) -> dict[str, Any]:
        """What a list of models says of it."""
        return {"dim": self.dim, "max_tokens": self.max_tokens}

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """float32 [len(texts), dim]: a vector for each text."""
        vectors = np.empty((len(texts), self.dim), dtype=np.float32)
        if not len(texts):
            return vectors
        lengths = self.count(texts)
        # Few texts are spread over all workers instead of filling one batch.
        budget = min(self.token_budget, -(-int(lengths.sum()) // self.num_workers))
        batches = cut_batches(lengths, np.argsort(-lengths, kind="stable"), budget)
        for positions, found in self.encode_batches(texts, batches):
            vectors[positions] = found
        return vectors


def cut_batches(lengths: npt.NDArray[np.int32], order: Positions, token_budget: int) -> Iterator[Positions]:
    """Cuts texts into batches whose padded size, longest text times count, stays within a budget.

    A batch depends only on the text it starts with and on what follows. Whoever has done the first batches and cuts
    the rest anew gets the batches that were left, which is what makes interrupted work equal to undisturbed work.

    Args:
        lengths: int32 [num_texts], tokens of each text.
        order: Positions of texts, longest first.
        token_budget: A text longer than this is a batch of its own.
    """
    start = 0
    while start < len(order):
        count = max(1, token_budget // max(1, int(lengths[order[start]])))
        yield order[start : start + count]
        start += count


def refuse_without(packages: Sequence[str], what: str, path: Path) -> None:
    """Returns where packages are installed that make a file or a folder.

    Raises:
        InputError: One is not; `what` says that it is not made yet.
    """
    if missing := [name for name in packages if importlib.util.find_spec(name) is None]:
        raise InputError(
            f"{what}, and {' and '.join(missing)} are not installed here",
            where=str(path),
            remedy="copy it from where the model was trained, or install the whole project",
        )


def usable_cores(settings: TextSettings) -> int:
    """The threads that the settings allow."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return settings.num_threads or cores
