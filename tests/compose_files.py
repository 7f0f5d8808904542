"""docker-compose.yml and what it mounts, read as what they are: a misspelt key is an error here."""

import re
import shlex
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

REPOSITORY = Path(__file__).resolve().parents[1]
CONTAINER = REPOSITORY / "rec_sys" / "serving" / "container"
COMPOSE = REPOSITORY / "docker-compose.yml"
VARIABLE = re.compile(r"\$\{([A-Z_]+)(:-([^}]*))?\}")


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Build(Closed):
    context: Path
    dockerfile: Path


class HealthCheck(Closed):
    test: list[str] = Field(min_length=2)
    interval: str = Field(pattern=r"^\d+s$")
    timeout: str = Field(pattern=r"^\d+s$")
    retries: int
    start_period: str = Field("0s", pattern=r"^\d+s$")


class Dependency(Closed):
    condition: Literal["service_healthy", "service_completed_successfully"]


class Device(Closed):
    driver: Literal["nvidia"]
    count: int
    capabilities: list[Literal["gpu"]]


class Reservations(Closed):
    devices: list[Device]


class Resources(Closed):
    reservations: Reservations


class Deploy(Closed):
    resources: Resources


class Mount(Closed):
    source: str
    target: Path
    read_only: bool


class Network(Closed):
    aliases: list[str]


class Service(Closed):
    image: str
    build: Build | None = None
    init: bool = False
    restart: Literal["unless-stopped"] | None = None
    command: list[str] = []
    environment: dict[str, str] = {}
    volumes: list[str] = []
    ports: list[str] = []
    profiles: list[Literal["cluster", "gpu", "monitoring", "refresh"]] = []
    networks: dict[Literal["default"], Network] = {}
    depends_on: dict[str, Dependency] = {}
    healthcheck: HealthCheck | None = None
    shm_size: str | None = None
    stop_grace_period: str | None = None
    deploy: Deploy | None = None

    @property
    def mounts(self) -> list[Mount]:
        parts = [text.split(":") for text in self.volumes]
        return [Mount(source=part[0], target=Path(part[1]), read_only=part[2:] == ["ro"]) for part in parts]

    @property
    def options(self) -> dict[str, str]:
        """`--name=value` of the command."""
        given = (part[2:].partition("=") for part in self.command if part.startswith("--"))
        return {name: value for name, _, value in given}

    @property
    def aliases(self) -> set[str]:
        """Names beside the service's own under which others find it."""
        return {alias for network in self.networks.values() for alias in network.aliases}

    @property
    def published(self) -> set[int]:
        """The container's ports that are open to the machine."""
        return {int(fill_in(text).split(":")[-1]) for text in self.ports}

    @property
    def lines(self) -> list[list[str]]:
        """The programs that run, each with its arguments."""
        if self.command[:2] != ["sh", "-ec"]:
            return [[fill_in(part) for part in self.command]]
        programs = [part for line in self.command[2].splitlines() for part in line.split("||")]
        return [shlex.split(program) for program in programs]


class Compose(Closed):
    own_image: dict[str, Any] = Field(alias="x-own-image")
    services: dict[str, Service]
    volumes: dict[str, None]

    @property
    def own(self) -> dict[str, Service]:
        """The services of the project's own image."""
        return {name: service for name, service in self.services.items() if service.build is not None}


@cache
def compose() -> Compose:
    return Compose.model_validate(yaml.safe_load(COMPOSE.read_text(encoding="utf-8")))


def fill_in(text: str) -> str:
    """A text with the defaults of its variables."""
    return VARIABLE.sub(lambda found: found[3] or "", text)


def module_runs(service: Service) -> list[tuple[str, list[str]]]:
    """Every `python -m module arguments` of a service."""
    return [(line[2], line[3:]) for line in service.lines if line[:2] == ["python", "-m"]]
