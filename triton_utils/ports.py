"""Where a server on this machine listens and can be reached."""

import socket
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from rec_sys.contracts import InputError
from rec_sys.settings import TritonSettings

_EVERY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}


@dataclass(frozen=True)
class Ports:
    """Where the three protocols listen."""

    grpc: int
    http: int
    metrics: int


@dataclass(frozen=True)
class Endpoints:
    """Where a server can be reached.

    Attributes:
        grpc: `host:port`, as gRPC clients take it.
        http: The base address of the HTTP protocol.
        metrics: Prometheus metrics.
    """

    grpc: str
    http: str
    metrics: str


def choose_ports(settings: TritonSettings) -> Ports:
    """The ports that the settings name, free ones in place of zeros.

    Raises:
        InputError: A named port is taken, or the address is not one of this machine's.
    """
    with ExitStack() as stack:
        numbers = {}
        for name in ("grpc", "http", "metrics"):
            wanted = getattr(settings, f"{name}_port")
            family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
            # Held until all are chosen, so that no two are the same.
            holder = stack.enter_context(socket.socket(family))
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                holder.bind((settings.host, wanted))
                holder.listen()
            except OSError as error:
                raise InputError(
                    f"Triton cannot listen at {settings.host}:{wanted}: {error.strerror}",
                    where=f"setting triton.{name}_port={wanted}, triton.host={settings.host}",
                    remedy="stop what listens there, or choose another port; 0 takes a free one",
                ) from error
            numbers[name] = int(holder.getsockname()[1])
    return Ports(**numbers)


def reachable_host(host: str) -> str:
    """The address to ask at from this machine what listens at `host`."""
    return _EVERY_ADDRESS.get(host, host)


def endpoints_of(host: str, ports: Ports) -> Endpoints:
    """The ports as addresses."""
    name = reachable_host(host)
    name = f"[{name}]" if ":" in name else name
    return Endpoints(f"{name}:{ports.grpc}", f"http://{name}:{ports.http}", f"http://{name}:{ports.metrics}/metrics")
