"""How RecTools' networks are trained here: quietly, and without logits that nobody reads."""

import logging
from typing import Any

import torch
from pytorch_lightning import Trainer
from rectools.models.nn.transformers.lightning import TransformerLightningModule


class RealTargets(TransformerLightningModule):  # type: ignore[misc] # RecTools has no types
    """Computes logits where there is a target only, not at padding; loss and gradients are the library's own.

    Most places of a batch of short histories are padding, and a softmax over all products is by far the largest part
    of a step.
    """

    def training_step(self, batch: dict[str, torch.Tensor], batch_idx: int) -> torch.Tensor:
        """The mean cross-entropy over the real targets, among all products or among those drawn for each."""
        real = batch["y"] != 0
        targets, candidates = batch["y"][real], None
        products = self.torch_model.item_model.get_all_embeddings()
        sessions = self.torch_model.encode_sessions(batch, products)[real]  # [num_targets, dim]
        if self.loss == "sampled_softmax":
            candidates = torch.cat([targets[:, None], batch["negatives"][real]], dim=1)
            targets = torch.zeros_like(targets)
        elif self.loss != "softmax":
            raise ValueError(f"the loss {self.loss} is not one of softmax and sampled_softmax")
        logits = self.torch_model.similarity_module(sessions, products, candidates) / self.logits_t
        losses = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
        return (losses * batch["yw"][real]).mean()


def quiet_trainer(epochs: int) -> Trainer:
    """A trainer for just as many epochs, on the CPU so that times can be compared, that writes nothing."""
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    quiet: dict[str, Any] = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    return Trainer(max_epochs=epochs, min_epochs=epochs, accelerator="cpu", devices=1, **quiet)
