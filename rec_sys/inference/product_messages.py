"""What is said of products, and what is answered to it; the service sends the same messages over HTTP."""

from typing import Annotated

from pydantic import Field, FiniteFloat, model_validator

from rec_sys.inference.contract import REVIEWS_COUNTED, Closed

_Category = Annotated[str, Field(min_length=1, max_length=500)]


class ProductFacts(Closed):
    """A product as it is now; what is left out is not known of it."""

    title: str | None = Field(None, max_length=2_000)
    brand: str | None = Field(None, max_length=500)
    categories: tuple[_Category, ...] = Field((), max_length=100, description="From the widest to the narrowest.")
    price: FiniteFloat | None = Field(None, ge=0, description="In the data's currency.")
    description: str | None = Field(None, max_length=100_000, description="Read with the title; not answered.")
    in_stock: bool = Field(True, description="What cannot be had is only answered to those who ask for it.")


class ChangedFacts(ProductFacts):
    """What is another now; what is left out stays as it is."""

    @model_validator(mode="after")
    def _something_changes(self) -> "ChangedFacts":
        if not self.model_fields_set:
            raise ValueError("nothing is said; give at least one field")
        return self


class ListedProduct(ProductFacts):
    """A product as it is now: what the model's data says of it, and what was said of it since."""

    asin: str
    review_count: int = Field(description=REVIEWS_COUNTED)
    written: bool = Field(description="Whether something was said of it here.")


class ListedProducts(Closed):
    """A page of the products that are there."""

    total: int = Field(description="Of all pages.")
    products: tuple[ListedProduct, ...]


class TakenProduct(Closed):
    """A product whose facts are safe."""

    asin: str
    sequence: int = Field(description="Where it stands in the log.")
    trained: bool = Field(description="Whether the model has learnt from its reviews; else it is placed by its facts.")
    searchable: bool = Field(description="Whether the next answer knows it; else it does once what is away is back.")
