"""The words and weights of the sample's world, read from the TOML files beside this module and checked."""

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Need = Literal["durable", "consumable", "collected"]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Aspect(_Entry):
    """Something people praise or complain about; clauses have no capital and no full stop."""

    name: str
    praise: tuple[str, ...] = Field(min_length=1)
    gripes: tuple[str, ...] = Field(min_length=1)


class Kind(_Entry):
    """A kind of product within a family, such as a fuzz among the pedals."""

    name: str
    title: str
    styles: tuple[str, ...] = Field((), description="Genres it suits; empty: any.")
    roles: tuple[str, ...] = Field((), description="Roles that have a use for it; empty: all that want the family.")
    level: float | None = Field(None, description="Overrides the family's.")
    min_tier: int = Field(0, ge=0, le=3)
    max_tier: int = Field(3, ge=0, le=3)
    about: str | None = Field(None, description="The aspect its own clauses speak of: praise one, praise both.")
    skips: tuple[str, ...] = Field((), description="Aspects of the family that make no sense for it.")
    noun: str | None = None
    nouns: str | None = None
    plural_noun: str | None = None
    spec: str | None = Field(None, description="What players call it, such as `10s`.")
    features: tuple[str, ...]
    praise: tuple[str, ...]
    gripes: tuple[str, ...]


class Family(_Entry):
    """A family of products."""

    weight: float = Field(gt=0, description="Share of the catalogue.")
    need: Need = Field(description="Wanted once, again and again, or in many kinds.")
    level: float = Field(ge=0, le=2, description="Experience it suits: 0 a beginner, 2 a professional.")
    prices: tuple[float, float, float, float] = Field(description="US dollars by tier.")
    style_weight: float = Field(ge=0, le=1, description="How much the genre matters.")
    sound: str = Field(description="Which `sound` clauses fit; `none`: it has no sound.")
    domain: str = Field(description="Whose brands make it.")
    gift: float = Field(0.0, ge=0, le=1, description="How much it sells before Christmas.")
    noun: str = Field(description="What a reviewer calls one.")
    nouns: str = Field(description="What a reviewer calls several.")
    plural_noun: str | None = Field(None, description="Set where one product is spoken of in the plural.")
    categories: tuple[str, ...]
    leads_to: dict[str, float] = Field(description="Families wanted after buying one.")
    variants: dict[str, tuple[str, ...]]
    features: tuple[str, ...]
    kinds: tuple[Kind, ...] = Field(min_length=1)
    aspects: tuple[Aspect, ...] = Field(min_length=2)


class Brand(_Entry):
    """An invented brand."""

    tier: float
    genres: tuple[str, ...]


class Role(_Entry):
    """What somebody plays, and what that makes them want."""

    share: float
    play: tuple[str, ...]
    says: tuple[str, ...]
    wants: dict[str, float]
    genres: dict[str, float]
    next: dict[str, float]
    teasers: tuple[str, ...]


class Scene(_Entry):
    """A corner of a genre, in a reviewer's words."""

    music: str
    band: str
    place: str


class Genre(_Entry):
    """The music somebody is into."""

    near: dict[str, float]
    traits: tuple[str, ...]
    selling: tuple[str, ...]
    scenes: tuple[Scene, ...]


class Move(_Entry):
    """A step of a review."""

    move: str
    chance: tuple[float, float, float] = Field(description="In a short, a middling and a long review.")


class Vocabulary(_Entry):
    """Everything the generator knows how to say. Dictionaries keep the order of the files, on which draws depend."""

    families: dict[str, Family]
    brands: dict[str, Brand]
    domains: dict[str, tuple[str, ...]]
    models: dict[str, tuple[str, ...]]
    roles: dict[str, Role]
    genres: dict[str, Genre]
    sound: dict[str, dict[str, tuple[str, ...]]]
    phrases: dict[str, tuple[str, ...]]
    templates: dict[str, tuple[Move, ...]]


_FAMILY_FILES = ("guitars", "strings", "accessories", "effects_and_amps", "drums", "keys", "orchestral", "studio")


@cache
def load_vocabulary() -> Vocabulary:
    """The vocabulary, read once a process."""
    families: dict[str, Any] = {}
    for name in _FAMILY_FILES:
        families |= _read(f"families/{name}.toml")
    return Vocabulary.model_validate(
        {
            "families": families,
            "phrases": _read("phrases.toml"),
            "templates": _read("templates.toml"),
            **_read("brands.toml"),
            **_read("people.toml"),
        }
    )


def _read(path: str) -> dict[str, Any]:
    return tomllib.loads(files(__package__).joinpath(path).read_text(encoding="utf-8"))
