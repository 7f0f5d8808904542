"""qdrant-client's in-memory mode behind HTTP: what passes the wire is real, and the wire can be cut.

It stands in for a Qdrant server where there is none, so far as the product index speaks to one.
"""

import json
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pydantic import BaseModel, TypeAdapter
from qdrant_client import QdrantClient, models


@dataclass
class Request:
    """What has arrived."""

    method: str
    path: str
    size: int  # bytes of the body
    api_key: str | None
    body: dict[str, Any] = field(default_factory=dict)


@dataclass
class Wire:
    """A server, and what may be done to it.

    Attributes:
        url: Its address.
        client: The in-memory client behind it.
        requests: All that have arrived.
        refuse: Asked of every request; a status instead of an answer, or None.
    """

    url: str
    client: QdrantClient
    requests: list[Request] = field(default_factory=list)
    refuse: Callable[[Request], int | None] = lambda request: None


@contextmanager
def qdrant_over_http(port: int = 0) -> Iterator[Wire]:
    """A server on a port of this machine; 0 takes a free one."""
    client = QdrantClient(":memory:")
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(size)) if size else {}
            path = self.path.partition("?")[0]
            request = Request(self.command, path, size, self.headers.get("api-key"), body)
            wire.requests.append(request)
            status = wire.refuse(request)
            result: Any = None
            if status is None:
                with lock, warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    try:
                        status, result = 200, _dump(_route(client, self.command, path, body))
                    except ValueError as error:
                        status, result = (404 if "not found" in str(error) else 400), None
                        path = str(error)
            failed = {"error": path}
            content = json.dumps({"result": result, "status": "ok" if status == 200 else failed, "time": 0.0}).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PUT = do_POST = do_DELETE = _answer

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    wire = Wire(f"http://127.0.0.1:{server.server_port}", client)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield wire
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _dump(result: Any) -> Any:
    if isinstance(result, BaseModel):
        return result.model_dump(mode="json")
    return [_dump(each) for each in result] if isinstance(result, list) else result


def _route(client: QdrantClient, method: str, path: str, body: dict[str, Any]) -> Any:
    if (method, path) == ("GET", "/aliases"):
        return client.get_aliases()
    if (method, path) == ("GET", "/collections"):
        return client.get_collections()
    if (method, path) == ("POST", "/collections/aliases"):
        actions = TypeAdapter(list[models.AliasOperations]).validate_python(body["actions"])
        return client.update_collection_aliases(actions)
    found = re.fullmatch(r"/collections/([^/]+)(/.*)?", path)
    if found is None:
        raise ValueError(f"{method} {path} is not known here")
    name, rest = found[1], found[2] or ""
    return _ROUTES[method, rest](client, name, body)


def _create(client: QdrantClient, name: str, body: dict[str, Any]) -> bool:
    asked = models.CreateCollection.model_validate(body)
    return client.create_collection(
        name,
        vectors_config=asked.vectors,
        sparse_vectors_config=asked.sparse_vectors,
        hnsw_config=asked.hnsw_config,
        metadata=asked.metadata,
    )


def _upsert(client: QdrantClient, name: str, body: dict[str, Any]) -> models.UpdateResult:
    return client.upsert(name, models.PointsList.model_validate(body).points)


def _retrieve(client: QdrantClient, name: str, body: dict[str, Any]) -> list[models.Record]:
    return client.retrieve(name, body["ids"], with_payload=True, with_vectors=body.get("with_vector") or False)


def _scroll(client: QdrantClient, name: str, body: dict[str, Any]) -> models.ScrollResult:
    points, offset = client.scroll(name, limit=body["limit"], offset=body.get("offset"), with_payload=False)
    return models.ScrollResult(points=points, next_page_offset=offset)


def _delete(client: QdrantClient, name: str, body: dict[str, Any]) -> models.UpdateResult:
    return client.delete(name, models.FilterSelector.model_validate(body))


def _query(client: QdrantClient, name: str, body: dict[str, Any]) -> list[models.QueryResponse]:
    return client.query_batch_points(name, TypeAdapter(list[models.QueryRequest]).validate_python(body["searches"]))


_ROUTES: dict[tuple[str, str], Callable[[QdrantClient, str, dict[str, Any]], Any]] = {
    ("GET", ""): lambda client, name, body: client.get_collection(name),
    ("PUT", ""): _create,
    ("DELETE", ""): lambda client, name, body: client.delete_collection(name),
    ("PUT", "/index"): lambda client, name, body: client.create_payload_index(
        name, body["field_name"], body["field_schema"]
    ),
    ("PUT", "/points"): _upsert,
    ("POST", "/points"): _retrieve,
    ("POST", "/points/delete"): _delete,
    ("POST", "/points/scroll"): _scroll,
    ("POST", "/points/count"): lambda client, name, body: client.count(name, exact=True),
    ("POST", "/points/query/batch"): _query,
}
