"""What can be said of the components without a question: whether they are well, and which versions answer."""

from typing import Any

from rec_sys.contracts import TEXT_DIM, InputError, ServedModel
from rec_sys.inference.backends import Backends
from rec_sys.inference.contract import Component, ComponentHealth, Health, ModelCard, ServingUnavailable
from rec_sys.inference.served_bundle import ServedBundle
from rec_sys.vector_database.contract import IndexVersion


async def examine(backends: Backends) -> Health:
    """Whether answers can be given now; never raises."""
    found: dict[Component, ComponentHealth] = {}
    served = None
    try:
        version = await backends.version()
        found["index"] = ComponentHealth(part="index", ready=True, needed=True, detail=version.name)
        served = await backends.of_version(version)
        found["bundle"] = ComponentHealth(part="bundle", ready=True, needed=True, detail=served.identity)
    except InputError as error:
        component: Component = error.component if isinstance(error, ServingUnavailable) else "bundle"
        found[component] = ComponentHealth(part=component, ready=False, needed=True, detail=error.what)
    if backends.triton is not None:
        found["triton"] = await _examine_triton(backends, served)
    return Health(
        ready=all(health.ready or not health.needed for health in found.values()), parts=tuple(found.values())
    )


async def _examine_triton(backends: Backends, served: ServedBundle | None) -> ComponentHealth:
    needed = backends.settings.fallback != "in_process"
    triton = backends.triton
    assert triton is not None
    if not await triton.is_ready():
        return ComponentHealth(part="triton", ready=False, needed=needed, detail=f"Triton at {triton.url} is not ready")
    if served is None:
        return ComponentHealth(part="triton", ready=True, needed=needed, detail="ready")
    try:
        version = await triton.version(ServedModel.USER_TOWER, served.identity)
    except ServingUnavailable as error:
        return ComponentHealth(part="triton", ready=False, needed=needed, detail=error.what)
    return ComponentHealth(part="triton", ready=True, needed=needed, detail=f"user_tower, version {version}")


async def describe_models(backends: Backends) -> tuple[ModelCard, ...]:
    """What takes part in answers now; components that are away are left out."""
    try:
        version = await backends.version()
        served = await backends.of_version(version)
    except InputError:
        return ()
    cards = [
        await _model_card(backends, ServedModel.USER_TOWER, served.identity, _tower_details(served)),
    ]
    if served.text_settings.source == "encoder":
        details = {"dim": TEXT_DIM, "max_tokens": served.text_settings.max_tokens}
        cards.append(await _model_card(backends, ServedModel.TEXT_ENCODER, served.manifest.text_encoder, details))
    return (*(card for card in cards if card is not None), *_index_cards(backends, served, version))


async def _model_card(backends: Backends, name: str, identity: str, details: dict[str, Any]) -> ModelCard | None:
    if backends.triton is None:
        return ModelCard(name=name, version=identity, identity=identity, runtime="in_process", details=details)
    try:
        version = await backends.triton.version(name, identity)
    except ServingUnavailable:
        if backends.settings.fallback != "in_process":
            return None
        return ModelCard(name=name, version=identity, identity=identity, runtime="in_process", details=details)
    return ModelCard(name=name, version=version, identity=identity, runtime="triton", details=details)


def _tower_details(served: ServedBundle) -> dict[str, Any]:
    manifest = served.manifest
    return {
        "dim": manifest.dim,
        "temperature": manifest.score.temperature,
        "user_reviews": manifest.user_reviews,
        "data": manifest.data_name,
        "created": manifest.created,
        "known_users": len(served.users),
    }


def _index_cards(backends: Backends, served: ServedBundle, version: IndexVersion) -> list[ModelCard]:
    runtime = backends.index_settings.backend
    cards = []
    memory = served.catalogue.memory
    if memory is not None:
        details = {
            "weights": int(memory.nnz),
            "weight": served.manifest.score.memory_weight,
            "recency": served.manifest.score.recency,
        }
        cards.append(
            ModelCard(name="memory", version=version.name, identity=version.bundle, runtime=runtime, details=details)
        )
    about = version.model_dump(include={"num_products", "dim", "exact", "has_memory"})
    cards.append(
        ModelCard(name="product_index", version=version.name, identity=version.bundle, runtime=runtime, details=about)
    )
    return cards
