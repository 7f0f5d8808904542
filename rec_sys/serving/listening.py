"""Where the service can be reached."""

import socket

from rec_sys.console import say
from rec_sys.contracts import InputError
from rec_sys.settings import ServingSettings


def listen(settings: ServingSettings) -> socket.socket:
    """The socket that the service listens at; a free port where the settings say 0.

    Raises:
        InputError: The port is taken, or the address is not one of this machine's.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # The protocol is named because asyncio sends small packets at once only where it is; unnamed, each answer waits
    # some 40 ms for the client's acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise InputError(
            f"the gateway cannot listen at {settings.host}:{settings.port}: {error.strerror}",
            where=f"setting serving.port={settings.port}, serving.host={settings.host}",
            remedy="stop what listens there, or choose another port; 0 takes a free one",
        ) from error
    return listener


def address_of(listener: socket.socket) -> str:
    """The address to ask at from this machine."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def say_listening(listener: socket.socket) -> None:
    """Tells whoever started the service where it can be reached."""
    url = address_of(listener)
    say(f"gateway: {url}")
    say(f"documentation: {url}/docs")
    say("listening")
