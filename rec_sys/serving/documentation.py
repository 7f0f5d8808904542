"""What the OpenAPI description says beyond the types: examples, and every error that an address can end in."""

from typing import Any, Final

from rec_sys.serving.problems import PROBLEM_TYPE, Problem

TITLE: Final = "rec_sys"
DESCRIPTION: Final = """
Recommendations from what people write. A user is their reviews: send some, or name a user whose reviews the service
has, and get products with the reviews that spoke for them. What is sent to `/v1/reviews` is kept, and changes the next
answer; so does what is said of a product at `/v1/products/{asin}`. What became of an answer is sent to `/v1/events`.

Every error has one body: `error`, `where`, `field`, `remedy`, `request_id`. Every answer carries the header
`X-Request-ID` (yours, if you send one) and, where products are answered, `Server-Timing`.

What is no request that any address could be asked for is answered 400, with an address of more than 64 KB 414, with a
head that is too long 431, with one that does not come to its end 408; where no more connections fit, 503.
"""

REVIEWS: Final[dict[str, Any]] = {
    "reviews of a guitarist": {
        "summary": "Two reviews, newest wins",
        "value": {
            "reviews": [
                {
                    "asin": "B00SAMPLE1",
                    "rating": 5,
                    "title": "Warm and quiet",
                    "text": "Smooth under the fingers, and they kept their tone for weeks.",
                    "timestamp": "2026-03-01",
                },
                {"asin": "B00SAMPLE2", "rating": 2, "text": "Buzzes on every fret."},
            ],
            "limit": 5,
        },
    },
    "filters": {
        "summary": "Only some products, unlike each other",
        "value": {
            "reviews": [{"asin": "B00SAMPLE1", "rating": 5}],
            "filter": {"max_price": 50, "min_rating": 4},
            "diversity": 0.3,
        },
    },
    "nobody yet": {"summary": "No reviews: what somebody unknown gets", "value": {"reviews": []}},
}

NEW_REVIEWS: Final[dict[str, Any]] = {
    "one": {
        "summary": "A review",
        "value": {
            "user_id": "ada",
            "asin": "B00SAMPLE1",
            "rating": 5,
            "title": "Warm and quiet",
            "text": "Smooth under the fingers, and they kept their tone for weeks.",
        },
    },
    "several": {
        "summary": "Several, all or none",
        "value": {
            "reviews": [
                {"user_id": "ada", "asin": "B00SAMPLE1", "rating": 5, "timestamp": "2026-03-01"},
                {"user_id": "ben", "asin": "B00SAMPLE2", "rating": 2, "text": "Buzzes on every fret."},
            ]
        },
    },
}

NEW_EVENTS: Final[dict[str, Any]] = {
    "one": {
        "summary": "A click",
        "value": {"event": "click", "request_id": "3f2b9c0d6d7a4b0e", "asin": "B00SAMPLE1"},
    },
    "several": {
        "summary": "What was shown, and an order",
        "value": {
            "events": [
                {"event": "impression", "request_id": "3f2b9c0d6d7a4b0e", "asin": "B00SAMPLE1"},
                {"event": "impression", "request_id": "3f2b9c0d6d7a4b0e", "asin": "B00SAMPLE2"},
                {"event": "order", "request_id": "3f2b9c0d6d7a4b0e", "asin": "B00SAMPLE2", "timestamp": "2026-03-01"},
            ]
        },
    },
}

PRODUCT_FACTS: Final[dict[str, Any]] = {
    "a new product": {
        "summary": "A product",
        "value": {
            "title": "Phosphor Bronze Strings, Light",
            "brand": "Ardel",
            "categories": ["Strings", "Acoustic Guitar Strings"],
            "price": 9.9,
            "description": "Warm and balanced, for everyday playing.",
        },
    }
}

CHANGED_FACTS: Final[dict[str, Any]] = {
    "price": {"summary": "Another price", "value": {"price": 7.5}},
    "stock": {"summary": "It cannot be had now", "value": {"in_stock": False}},
}

_MEANINGS: Final[dict[int, tuple[str, dict[str, Any]]]] = {
    401: (
        "The token is missing, unknown or expired.",
        {"error": "the token is not known", "where": "header Authorization", "remedy": "send the header ..."},
    ),
    403: (
        "The token is not allowed to do this.",
        {"error": "the token of shop may not write", "where": "header Authorization", "remedy": "use a token ..."},
    ),
    404: (
        "There is no such user, product or model.",
        {"error": "there is no product B00NOWHERE", "where": "asin", "remedy": "check the asin"},
    ),
    408: (
        "The body came too slowly.",
        {"error": "the body was not here after 10 s", "where": "body", "remedy": "send all of it at once, or less"},
    ),
    413: (
        "The body is too large.",
        {"error": "the body is larger than 1,048,576 bytes", "where": "body", "remedy": "send fewer reviews"},
    ),
    414: (
        "The address has more than 64 KB.",
        {
            "error": "the address is longer than the service reads",
            "where": "the connection",
            "remedy": "ask for less at once, or by POST, whose body may be longer",
        },
    ),
    422: (
        "The request cannot be meant; `field` names what is at fault.",
        {
            "error": "a rating of 7 is outside the scale of this model's data, 1 to 5",
            "where": "reviews[3].rating",
            "field": "reviews[3].rating",
            "remedy": "give it on that scale, or leave it out; it is 7",
        },
    ),
    429: (
        "The token is used more often than it may be; see `Retry-After`.",
        {
            "error": "10 requests a second are allowed for this token",
            "where": "header Authorization",
            "remedy": "try again after 1 s, and ask less often",
        },
    ),
    500: (
        "The service failed.",
        {"error": "the service failed", "where": "the service", "remedy": "try again; should it stay, report ..."},
    ),
    503: (
        "A component is away and no fallback is allowed, or too many requests are under way; see `Retry-After`.",
        {"error": "Triton is away", "where": "127.0.0.1:8001", "remedy": "start it, or try again later"},
    ),
}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that can end in these errors."""
    return {status: _describe(status) for status in statuses}


def _describe(status: int) -> dict[str, Any]:
    meaning, example = _MEANINGS[status]
    described: dict[str, Any] = {
        "description": meaning,
        "content": {
            PROBLEM_TYPE: {
                "schema": {"$ref": f"#/components/schemas/{Problem.__name__}"},
                "example": {"status": status, "field": None, "request_id": "b1f5...", "faults": [], **example},
            }
        },
    }
    if status in (429, 503):
        described["headers"] = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
    if status == 401:
        described["headers"] = {"WWW-Authenticate": {"description": "The challenge.", "schema": {"type": "string"}}}
    return described
