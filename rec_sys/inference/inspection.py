"""What can be said of the components without a question: whether they are well, and which versions answer."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from rec_sys.contracts import InputError, ServedModel
from rec_sys.inference.backends import Backends
from rec_sys.inference.contract import Component, ServingUnavailable
from rec_sys.inference.health_messages import ComponentHealth, Health, ModelCard
from rec_sys.inference.review_log import ReviewLog
from rec_sys.inference.served_bundle import ServedBundle
from rec_sys.inference.triton_models import TritonModels
from rec_sys.panics import panics_as_errors
from rec_sys.vector_database.contract import IndexVersion

_LOG: Final = logging.getLogger(__name__)


async def examine(backends: Backends, ask: Callable[[], Awaitable[object]], log: ReviewLog | None = None) -> Health:
    """Whether answers can be given now; never raises.

    `ask` puts a question as others do: components that are well one by one need not fit each other.
    """
    found: list[ComponentHealth] = []
    served = None
    try:
        version = await backends.version()
        found.append(ComponentHealth(part="index", ready=True, needed=True, detail=version.name))
        served = await backends.bundle(version.bundle)
        found.append(ComponentHealth(part="bundle", ready=True, needed=True, detail=served.identity))
    except Exception as error:  # whatever it is, the probe is answered
        component: Component = error.component if isinstance(error, ServingUnavailable) else "bundle"
        found.append(ComponentHealth(part=component, ready=False, needed=True, detail=_in_words(error)))
    if backends.triton is not None:
        ready, detail = await _examine_triton(backends.triton, served)
        needed = backends.settings.fallback != "in_process"
        found.append(ComponentHealth(part="triton", ready=ready, needed=needed, detail=detail))
    if log is not None:
        found.append(_examine_store(log))
    if served is not None and all(health.ready or not health.needed for health in found):
        found.append(await _examine_answers(ask))
    return Health(ready=all(health.ready or not health.needed for health in found), parts=tuple(found))


async def _examine_answers(ask: Callable[[], Awaitable[object]]) -> ComponentHealth:
    try:
        with panics_as_errors():
            await ask()
    except Exception as error:
        return ComponentHealth(part="answers", ready=False, needed=True, detail=_in_words(error))
    return ComponentHealth(part="answers", ready=True, needed=True, detail="a question was answered")


def _examine_store(log: ReviewLog) -> ComponentHealth:
    """As it was found last: answers need it until it was read once; after that only who writes does."""
    detail = log.failure or (f"read up to {log.position}" if log.was_read else "it has not been read yet")
    ready = log.was_read and log.failure is None
    return ComponentHealth(part="store", ready=ready, needed=not log.was_read, detail=detail)


def _in_words(error: Exception) -> str:
    """What a probe is answered; a defect of ours goes to the log alone."""
    if isinstance(error, InputError):
        return error.what
    _LOG.error("a probe failed", exc_info=error)
    return f"the service failed ({type(error).__name__})"


async def _examine_triton(triton: TritonModels, served: ServedBundle | None) -> tuple[bool, str]:
    """Whether it can be used now, and its version or what is wrong."""
    try:
        if not await triton.client.is_ready():
            return False, f"Triton at {triton.client.url} is not ready"
        if served is None:
            return True, "ready"
        return True, f"user_tower, version {await triton.version(ServedModel.USER_TOWER, served.identity)}"
    except Exception as error:  # whatever it is, the probe is answered
        return False, _in_words(error)


async def describe_models(backends: Backends) -> tuple[ModelCard, ...]:
    """What takes part in answers now; components that are away are left out."""
    try:
        version = await backends.version()
        served = await backends.bundle(version.bundle)
    except InputError:
        return ()
    cards = [await _model_card(backends, ServedModel.USER_TOWER, served.identity, _tower_details(served))]
    if served.text_settings.source == "encoder":
        cards.append(await _encoder_card(backends, served))
    return (*(card for card in cards if card is not None), *_index_cards(backends, served, version))


async def _encoder_card(backends: Backends, served: ServedBundle) -> ModelCard | None:
    try:
        encoder = await backends.encoder(served)
    except InputError:
        return None
    identity, for_triton = encoder.encoder_id, encoder.tokenizer is not None
    return await _model_card(backends, ServedModel.TEXT_ENCODER, identity, encoder.details(), for_triton)


async def _model_card(
    backends: Backends, name: str, identity: str, details: dict[str, Any], for_triton: bool = True
) -> ModelCard | None:
    version, runtime, device = identity, "in_process", "cpu"
    if backends.triton is not None and for_triton:
        try:
            version, runtime = await backends.triton.version(name, identity), "triton"
            device = "gpu" if await backends.triton.on_gpu(name) else "cpu"
        except ServingUnavailable:
            if backends.settings.fallback != "in_process":
                return None
    return ModelCard(
        name=name, version=version, identity=identity, runtime=runtime, details={**details, "device": device}
    )


def _tower_details(served: ServedBundle) -> dict[str, Any]:
    manifest = served.manifest
    return {
        "dim": manifest.dim,
        "temperature": manifest.score.temperature,
        "user_reviews": manifest.user_reviews,
        "data": manifest.data_name,
        "rating_scale": served.rating_scale,
        "created": manifest.created,
        "known_users": len(served.users),
    }


def _index_cards(backends: Backends, served: ServedBundle, version: IndexVersion) -> list[ModelCard]:
    memory, score, about = served.catalogue.memory, served.manifest.score, {}
    if memory is not None:
        about["memory"] = {"weights": int(memory.nnz), "weight": score.memory_weight, "recency": score.recency}
    about["product_index"] = version.model_dump(include={"num_products", "dim", "exact", "has_memory"})
    common: dict[str, Any] = {"version": version.name, "identity": version.bundle}
    common["runtime"] = backends.index_settings.backend
    return [ModelCard(name=name, details=details, **common) for name, details in about.items()]
