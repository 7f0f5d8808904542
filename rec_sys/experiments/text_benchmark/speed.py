"""How fast encoders read on one core, beside what the core could do at all."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.flop_counter import FlopCounterMode

from rec_sys.progress import WorkProgress
from rec_sys.text.model_folder import load_model

_PEAK_SIZE: Final = 1024  # 4 MB a matrix: larger ones were no faster


def measure_speed(reads: Mapping[str, Callable[[], object]], num_texts: int, rounds: int) -> dict[str, float]:
    """Texts a CPU second by name, the best of some rounds.

    Everything is measured in turn, so that a disturbance meets all alike, and in CPU seconds of the whole process,
    so that neither threads nor other processes count.
    """
    fastest = dict.fromkeys(reads, 0.0)
    with WorkProgress("text: reading", "rounds", rounds, rounds) as progress:
        for _ in range(rounds):
            for name, read in reads.items():
                fastest[name] = max(fastest[name], num_texts / _cpu_seconds(read))
            progress.advance(1, 1)
    return fastest


def measure_peak(rounds: int = 10) -> float:
    """float32 operations a second of one core in torch's multiplication of two large matrices, the best of rounds."""
    left, right = torch.rand(2, _PEAK_SIZE, _PEAK_SIZE)
    seconds = min(_cpu_seconds(lambda: left @ right) for _ in range(rounds))
    return 2 * _PEAK_SIZE**3 / seconds


def count_operations(folder: Path, texts: Sequence[str], lengths: npt.NDArray[np.int32]) -> float:
    """Operations of all matrix products that a transformer needs for texts that are read one by one, without padding.

    They are a polynomial of second degree in a text's tokens (projections and attention), so that three texts of
    different lengths, counted by torch, say what all need.

    Args:
        folder: A model folder of sentence-transformers.
        texts: At least one.
        lengths: int32 `[len(texts)]`, tokens that are read of each.
    """
    model = load_model(folder, device="cpu", model_kwargs={"attn_implementation": "eager"})
    order = np.argsort(lengths, kind="stable")
    _, of_length = np.unique(lengths[order], return_index=True)
    chosen = order[of_length[np.unique(np.linspace(0, len(of_length) - 1, 3).astype(int))]]
    counted = []
    for place in chosen.tolist():
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            model.forward(model.preprocess([texts[place]]))
        counted.append(counter.get_total_flops())
    polynomial = np.polynomial.Polynomial.fit(lengths[chosen], counted, len(chosen) - 1)
    return float(polynomial(lengths).sum())


def mean_and_least_cosine(found: npt.NDArray[np.float32], of: npt.NDArray[np.float32]) -> tuple[float, float]:
    """Of vectors `[num_texts, dim]`, each beside the other's of the same text."""
    norms = np.linalg.norm(found, axis=1) * np.linalg.norm(of, axis=1)
    cosines = np.einsum("td,td->t", found, of) / np.maximum(norms, 1e-12)
    return float(cosines.mean()), float(cosines.min())


def _cpu_seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return max(time.process_time() - began, 1e-9)
