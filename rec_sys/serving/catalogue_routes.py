"""Addresses by which a shop says what its products are now."""

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Body
from starlette.responses import Response

from rec_sys.inference.product_messages import ChangedFacts, ProductFacts, TakenProduct
from rec_sys.serving.authentication import BearerAuth
from rec_sys.serving.documentation import CHANGED_FACTS, PRODUCT_FACTS, errors
from rec_sys.serving.path_ids import PathId

if TYPE_CHECKING:
    from rec_sys.inference.product_records import ProductRecords


def catalogue_routes(records: "ProductRecords", auth: BearerAuth) -> APIRouter:
    """The routes over what is said of products."""
    router = APIRouter(prefix="/v1", tags=["catalogue"], dependencies=[auth.needing("write")])

    @router.put(
        "/products/{asin}",
        responses=errors(401, 403, 408, 413, 422, 429, 500, 503),
        summary="Takes a product",
    )
    async def put(asin: PathId, facts: Annotated[ProductFacts, Body(openapi_examples=PRODUCT_FACTS)]) -> TakenProduct:
        """All that is known of it, whatever was before. A new product is placed by its text, its categories, brand and
        price, and the reviews that it has here: it can be found and recommended from the next answer on.
        """
        return await records.put(asin, facts)

    @router.patch(
        "/products/{asin}",
        responses=errors(401, 403, 404, 408, 413, 422, 429, 500, 503),
        summary="Changes a product",
    )
    async def change(
        asin: PathId, facts: Annotated[ChangedFacts, Body(openapi_examples=CHANGED_FACTS)]
    ) -> TakenProduct:
        """What is sent is so from the next answer on, a price or whether it can be had; the rest stays."""
        return await records.change(asin, facts)

    @router.delete(
        "/products/{asin}",
        status_code=204,
        responses=errors(401, 403, 404, 408, 413, 422, 429, 500, 503),
        summary="Takes a product away",
    )
    async def remove(asin: PathId) -> Response:
        """No answer holds it from the next one on; reviews of it still count."""
        await records.remove(asin)
        return Response(status_code=204)

    return router
