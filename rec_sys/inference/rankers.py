"""Where the ranker runs: in this process or behind Triton, with equal answers."""

from rec_sys.contracts import RankerTensor, ServedModel
from rec_sys.inference.served_bundle import ServedBundle
from rec_sys.inference.triton_models import TritonModels
from rec_sys.ranker.facts import FloatArray


class RankerInTriton:
    """The ranker behind Triton."""

    def __init__(self, models: TritonModels) -> None:
        self._models = models
        self._version = "?"

    async def run(self, served: ServedBundle, features: FloatArray) -> FloatArray:
        """Values as `ServedRanker.run`.

        Raises:
            ServingUnavailable: Triton is away, or does not serve the ranker of this bundle.
        """
        found = await self._models.infer(ServedModel.RANKER, served.identity, {RankerTensor.FEATURES: features})
        self._version = await self._models.version(ServedModel.RANKER, served.identity)
        values: FloatArray = found[RankerTensor.VALUE][:, 0]
        return values

    def label(self) -> str:
        """Where it runs, for answers: with the version asked last."""
        return f"triton, version {self._version}"
