"""Addresses that take what users write, list it, and forget it."""

from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, Body, Header, Path, Query
from starlette.responses import Response

from rec_sys.inference.review_messages import Forgotten, ListedReviews, NewReviews, TakenReviews
from rec_sys.serving.authentication import BearerAuth
from rec_sys.serving.documentation import NEW_REVIEWS, errors
from rec_sys.serving.path_ids import PathId
from rec_sys.serving.problems import Refusal

if TYPE_CHECKING:
    from rec_sys.inference.user_records import UserRecords

_KEY_LENGTH: Final = 200
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=_KEY_LENGTH,
        description="Your name for this request; sent again within a week, it gets the same answer.",
    ),
]


def review_routes(records: "UserRecords", auth: BearerAuth) -> APIRouter:
    """The routes over what users write."""
    router = APIRouter(prefix="/v1", tags=["reviews"])
    may_read, may_write = [auth.needing("read")], [auth.needing("write")]

    @router.post(
        "/reviews",
        status_code=201,
        dependencies=may_write,
        responses=errors(401, 403, 408, 413, 422, 429, 500, 503),
        summary="Takes reviews",
    )
    async def take(
        reviews: Annotated[NewReviews, Body(openapi_examples=NEW_REVIEWS)],
        key: IdempotencyKey = None,
    ) -> TakenReviews:
        """All or none; what is answered 201 survives any failure, and its writer's next answer reads it.

        The same review sent again is one review: same user, product, moment, rating and texts.
        """
        return await records.take(reviews, key)

    @router.get(
        "/users/{user_id}/reviews",
        dependencies=may_read,
        responses=errors(401, 403, 404, 422, 429, 500, 503),
        summary="A user's reviews",
    )
    async def listed(
        user_id: PathId,
        limit: Annotated[int, Query(ge=1, le=1_000, description="Most reviews.")] = 100,
        offset: Annotated[int, Query(ge=0, le=1_000_000, description="Reviews to skip, for later pages.")] = 0,
    ) -> ListedReviews:
        """Those written here, the latest first, then those of the model's data."""
        return await records.page(user_id, limit, offset)

    @router.delete(
        "/users/{user_id}/reviews/{review_id}",
        status_code=204,
        dependencies=may_write,
        responses=errors(401, 403, 404, 408, 413, 422, 429, 500, 503),
        summary="Removes a review",
    )
    async def remove(user_id: PathId, review_id: Annotated[str, Path(min_length=1, max_length=64)]) -> Response:
        """One that was written here; the next answer does not know it."""
        if await records.remove(user_id, review_id):
            return Response(status_code=204)
        raise Refusal(
            404,
            f"there is no review {review_id} that this user has written",
            where="review_id",
            remedy="list the user's reviews; those of the model's data go with the user alone",
        )

    @router.delete(
        "/users/{user_id}",
        dependencies=may_write,
        responses=errors(401, 403, 404, 408, 413, 422, 429, 500, 503),
        summary="Forgets a user",
    )
    async def forget(user_id: PathId) -> Forgotten:
        """All that was written is removed, and what the model's data has of the user is used no more."""
        return await records.forget(user_id)

    return router
