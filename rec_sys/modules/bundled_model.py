"""The trained model out of a bundle."""

import torch
from pydantic import ValidationError

from rec_sys.bundle import Bundle
from rec_sys.contracts import BundleFile, InputError
from rec_sys.modules.review_graph_model import ReviewGraphModel
from rec_sys.settings import GraphSettings, ModelSettings


def load_model(bundle: Bundle) -> ReviewGraphModel:
    """The model with the bundle's weights, on the CPU, in evaluation mode.

    Raises:
        InputError: The bundle's settings or weights are those of another version of the model.
    """
    settings = bundle.settings()
    try:
        model = ReviewGraphModel(
            bundle.manifest.num_products,
            bundle.manifest.text_dim,
            ModelSettings.model_validate(settings.get("model")),
            GraphSettings.model_validate(settings.get("graph")),
        )
        model.load_state_dict({name: torch.from_numpy(value) for name, value in bundle.weights().items()})
    except (ValidationError, RuntimeError) as error:
        first_line = str(error).strip().partition("\n")[0]
        raise InputError(
            f"the bundle's weights are not this version's: {first_line}",
            where=str(bundle.folder / BundleFile.WEIGHTS),
            remedy="train again with this version",
        ) from error
    return model.eval()
