"""Calls that a service must bear: drawn from its own description, bodies of every size, and noise."""

import json
from dataclasses import dataclass
from random import Random
from typing import Any
from urllib.parse import quote

BAD_HTTP = frozenset({400, 408, 431, 501})
ENDED = 0
TEXTS = [
    *("", " ", "p1", "p59", "user 3", "ü", "\0", "💥" * 50, "a" * 5_000, "../../etc/passwd", "%00", "' OR 1=1 --", "["),
    *(
        "1e999",
        "-1",
        "NaN",
        "true",
        "null",
        "\r\nX: y",
        "\ud800",
        "<script>",
        "\x1b[31m",
        "2026-13-99",
        "999999999999999",
    ),
]
ODD: list[Any] = [None, True, [], {}, [[]] * 100, {"a": {"a": {}}}, float("nan"), float("inf")]
NUMBERS = [0, -1, 1, 3, 1e308, -1e308, 10**30, 0.5, 1_600_000_000_000]


@dataclass(frozen=True)
class Call:
    """A request as it is sent, and the statuses that it may be answered."""

    sent: bytes
    documented: frozenset[int]

    def check(self, status: int) -> None:
        """Raises where it was answered otherwise."""
        assert status in self.documented, f"{status} for {self.sent[:300]!r}, not of {sorted(self.documented)}"


def request(method: str, target: str, body: bytes = b"", kind: str = "application/json") -> bytes:
    """A request of HTTP, after which the connection ends."""
    head = f"{method} {target} HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Content-Type: {kind}\r\n\r\n".encode() + body


def draw_bodies(random: Random, count: int) -> list[Call]:
    """Bodies from nothing to several times the limit of a megabyte."""
    calls = []
    for _ in range(count):
        size = int(10 ** random.uniform(0, 6.6))
        body = json.dumps({"reviews": [{"asin": "p1", "text": "x" * size}]}).encode()
        documented = frozenset({200, 413, 422} | ({ENDED} if size > 1_000_000 else set()))  # cut while it is sent
        calls.append(Call(request("POST", "/v1/recommendations", body), documented))
    return calls


def draw_bytes(random: Random, count: int) -> list[Call]:
    """Noise, and requests in which some bytes are noise."""
    calls = []
    for _ in range(count):
        sent = bytearray(request("POST", "/v1/recommendations", b'{"reviews": []}'))
        if random.random() < 0.5:
            sent = bytearray(random.randbytes(random.randrange(1, 2_000)))
        for _ in range(random.randrange(1, 8)):
            sent[random.randrange(len(sent))] = random.randrange(256)
        calls.append(Call(bytes(sent), BAD_HTTP | {200, 404, 405, 413, 422, ENDED}))
    return calls


def draw_calls(random: Random, description: dict[str, Any], count: int) -> list[Call]:
    """Calls of the addresses that an OpenAPI description has, with values that nobody would send."""
    operations = [
        (method.upper(), path, operation)
        for path, methods in description["paths"].items()
        for method, operation in methods.items()
    ]
    return [_draw_call(random, *random.choice(operations)) for _ in range(count)]


def _draw_call(random: Random, method: str, path: str, operation: dict[str, Any]) -> Call:
    query = []
    for parameter in operation.get("parameters", []):
        name, value = parameter["name"], _spell(random.choice([*TEXTS, *map(str, NUMBERS)]))
        if parameter["in"] == "path":
            path = path.replace(f"{{{name}}}", value.replace("/", "%2F") or "%20")
        elif parameter.get("required") or random.random() < 0.2:
            query.append(f"{name}={value}")
    body = b""
    if "requestBody" in operation:
        content = operation["requestBody"]["content"]["application/json"]
        examples = [example["value"] for example in content.get("examples", {}).values()]
        body = json.dumps(_spoil(random, random.choice(examples))).encode()
    target = path + ("?" if query else "") + "&".join(query)
    documented = {int(status) for status in operation["responses"]} - {500, 503}  # nothing is away, nor in a hurry
    if "%2F" in path or "%0" in path or ".." in path:
        documented |= {404}  # another address than any
    return Call(request(method, target, body), frozenset(documented))


def _spell(text: str) -> str:
    return quote(text.encode("utf-8", "surrogatepass"), safe="")


def _spoil(random: Random, value: Any) -> Any:
    """A value of which parts are others, here and there."""
    if random.random() < 0.15:
        return random.choice([*ODD, *TEXTS, *NUMBERS])
    if isinstance(value, dict):
        spoilt = {name: _spoil(random, inner) for name, inner in value.items()}
        return spoilt | ({random.choice(TEXTS): 1} if random.random() < 0.05 else {})
    if isinstance(value, list):
        return [_spoil(random, inner) for inner in value] * random.choice([1, 1, 1, 0, 300])
    return value
