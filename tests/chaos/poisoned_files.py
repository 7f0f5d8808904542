"""What harms: each function makes a poison in a folder and returns what swallows it; `payload` is a command of a shell
that must never run.
"""

import gzip
import json
import lzma
import pickle
import random
import shlex
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from backports import zstd

from rec_sys.data.column_map_file import with_map
from rec_sys.data.download import download
from rec_sys.data.inspect import InspectSettings
from rec_sys.data.inspect import run as inspect
from rec_sys.entry import compose_settings
from rec_sys.experiments.report.page import templates
from rec_sys.experiments.report.users import UserCard
from rec_sys.inference.contract import RecommendationRequest, Review
from rec_sys.inference.infer import InferSettings
from rec_sys.inference.infer import run as infer
from rec_sys.inference.request_parsing import parse
from rec_sys.raw_files.values import read_values
from rec_sys.settings import Address, EdgeIndex, RawFile, Settings, TableData

Poison = Callable[[random.Random, Path, str], Callable[[], object]]

_UNPACKED: Final = 1 << 30  # bytes
_MEMBER: Final = 1 << 24
# Markup of rich and of HTML, a shell, a spreadsheet, Hydra, TeX, terminals, right to left, half a character.
HARMS: Final = (
    *("[/b]", "[bold red]x", "[link=x]", ":smile:", "<script>alert(1)</script>", '"><img src=x onerror=x>', "{{7*7}}"),
    *(
        "=1+1",
        "@SUM(1)",
        "+1",
        "-1",
        "=cmd|' /C calc'!A0",
        "${oc.env:HOME}",
        "$(touch canary)",
        "`touch canary`",
        "';touch",
    ),
    *(
        r"$\frac{$",
        "_",
        "\x1b[31m",
        "\x1b]0;mine\x07",
        "\x9b2J",
        "\u202egnp.exe",
        "\r[ 0.0 s] forged",
        "\n[ 0.0 s] forged",
    ),
    *("\u2028", "\x00", "../../etc/passwd", "..", "%2e%2e%2f", "a" * 5_000, "\t", "'", '"', "\\", "|", ","),
)


def harm(draw: random.Random) -> str:
    """Some of the harms, in a row."""
    return " ".join(draw.sample(HARMS, draw.randrange(1, 4)))


def settings_of(path: Path, *more: str) -> TableData:
    """The settings of a table."""
    data = compose_settings(["data=table", f"data.reviews_path='{path}'", *more], Settings).data
    assert isinstance(data, TableData)
    return data


def look_at(path: Path) -> None:
    """What `inspect` does with a file."""
    inspect(InspectSettings.model_validate({"output_dir": path.parent / "outputs", "data": settings_of(path)}))


def ask_with(path: Path) -> None:
    """What `infer reviews=` does with a file before anybody is asked."""
    parse(RecommendationRequest, {"reviews": read_values(path, Review.model_fields)})


def packed_bomb(draw: random.Random, folder: Path, payload: str) -> Callable[[], object]:
    """A gigabyte in some kilobytes: blanks, empty lines, an endless line, brackets, rows without end."""
    head, unit = draw.choice(
        [
            *((b"", b" "), (b"", b"\n"), (b"[", b" "), (b'{"asin": "', b"a"), (b"", b"["), (b"user_id,asin\n", b'"')),
            *((b"user_id,asin\n", b"u,p\n"), (b"", b'{"asin": "p"}\n'), (b"[", b'{"asin": "p"},'), (b"a", b",")),
        ]
    )
    pack = draw.choice([gzip.compress, zstd.compress, lzma.compress])
    packed = pack(unit * (_MEMBER // len(unit)))
    path = folder / f"reviews.{draw.choice(['json', 'csv'])}.gz"
    with path.open("wb") as file:
        file.write(pack(head) if head else b"")
        for _ in range(_UNPACKED // _MEMBER):
            file.write(packed)
    return lambda: draw.choice([look_at, ask_with])(path)


def parquet_of_another_size(draw: random.Random, folder: Path, payload: str) -> Callable[[], object]:
    """Few bytes that say they are many, and a footer some of whose bytes are others."""
    path = folder / "reviews.parquet"
    rows = draw.choice([5, 200_000])
    text = draw.choice(["x", "x" * 5_000])
    pl.DataFrame({"user_id": ["u"] * rows, "asin": ["p"] * rows, "text": [text] * rows}).write_parquet(path)
    content = bytearray(path.read_bytes())
    size = struct.unpack("<I", content[-8:-4])[0]
    for _ in range(draw.choice([0, 1, 3, 20])):
        place = draw.randrange(len(content) - 8 - size, len(content) - 4)
        content[place] = draw.choice([0, 0x7F, 0x80, 0xFF, draw.randrange(256)])
    path.write_bytes(content)
    return lambda: draw.choice([look_at, ask_with])(path)


class _Runs:
    def __init__(self, payload: str) -> None:
        self._payload = payload

    def __reduce__(self) -> tuple[Any, ...]:
        return subprocess.call, (self._payload, None, None, None, None, None, None, True, True)


def pickled(draw: random.Random, folder: Path, payload: str) -> Callable[[], object]:
    """A pickle that runs a command, as such, and inside an .npy, an .npz and a table."""
    from rec_sys.graph.given_text import open_vectors

    objects = np.array([_Runs(f"touch {folder / 'canary'}")] * 2, dtype=object)
    path = folder / "vectors.npy"
    kind = draw.choice(["pickle", "npy", "npz", "packed"])
    if kind == "npz":
        with path.open("wb") as file:
            np.savez(file, vectors=objects)
    elif kind == "npy":
        np.save(path, objects, allow_pickle=True)
    else:
        content = pickle.dumps(objects[0])
        path.write_bytes(gzip.compress(content) if kind == "packed" else content)
    return lambda: draw.choice([open_vectors, look_at, ask_with])(path)


def npy_of_another_size(draw: random.Random, folder: Path, payload: str) -> Callable[[], object]:
    """An array whose head says it is a terabyte, or is a program."""
    from rec_sys.graph.given_text import open_vectors

    shape = draw.choice(["(1000000000000, 8)", "(-1, 8)", "(2, 2)" * 5_000, "__import__('os').system('touch canary')"])
    head = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    path = folder / "vectors.npy"
    path.write_bytes(b"\x93NUMPY\x02\x00" + struct.pack("<I", len(head)) + head + b"\0" * 64)
    return lambda: open_vectors(path)


def tagged_yaml(draw: random.Random, folder: Path, payload: str) -> Callable[[], object]:
    """A map of columns that calls Python, or grows ninefold with each line."""
    path = folder / "map.yaml"
    laughs = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12))
    path.write_text(
        draw.choice(
            [
                f"columns: !!python/object/apply:os.system ['{payload}']\n",
                f"!!python/object/new:os.system ['{payload}']\n",
                "columns: {user_id: !!python/name:os.system }\n",
                f"a0: &a0 [x]\n{laughs}\nrating_words: *a11\n",
                f"a0: &a0 [x]\n{laughs}\nmissing_values: *a11\n",
                "columns: " + "{a: " * 20_000,
            ]
        )
    )
    table = folder / "reviews.csv"
    table.write_text("user_id,asin\n" + "u,p\n" * 5)
    return lambda: with_map(settings_of(table), path)


def foreign_weights(draw: random.Random, folder: Path, payload: str) -> Callable[[], object]:
    """A text model from elsewhere: weights whose head lies, a pickle in their place, settings of a giant."""
    from rec_sys.text.weights import read_weights_folder

    head = json.dumps({"w": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}}).encode()
    weights = draw.choice(
        [
            *(struct.pack("<Q", 1 << 62) + b"{}", struct.pack("<Q", len(head)) + head),
            *(pickle.dumps(_Runs(payload)), b"", b"\x80\x04"),
        ]
    )
    config = draw.choice(
        [
            {"model_type": "bert", "hidden_size": 10**9, "num_hidden_layers": 10**6},
            {"model_type": "bert", "hidden_size": 8, "auto_map": {"AutoModel": "evil--evil.Evil"}},
            {"model_type": "../../evil", "hidden_size": "8"},
        ]
    )
    model = folder / "model"
    model.mkdir()
    (model / "model.safetensors").write_bytes(weights)
    (model / "config.json").write_text(json.dumps(config))
    (model / "tokenizer.json").write_text(draw.choice(["{}", "[" * 100_000, json.dumps({"model": harm(draw)})]))

    def load() -> None:
        from rec_sys.text.export import export_encoder
        from rec_sys.text.tokens import TextTokenizer

        files = read_weights_folder(model)
        draw.choice(
            [
                lambda: TextTokenizer(model / "tokenizer.json", 16),
                lambda: export_encoder(files, "fp32", folder / "out.onnx"),
            ]
        )()

    return load


def climbing_name(draw: random.Random, folder: Path, payload: str) -> Callable[[], object]:
    """An address and names that would leave their folder."""
    import httpx

    climb = draw.choice(
        ["..", ".", "", "%2e%2e", "..%2f..%2fcanary", "%2fetc%2fpasswd", "a%00b", "..\\canary", "%0d%0aX: y"]
    )
    inside = folder / "a" / "b"
    inside.mkdir(parents=True)
    answers = httpx.MockTransport(lambda request: httpx.Response(200, stream=httpx.ByteStream(b"x")))
    file = RawFile(url=Address(f"https://shop.invalid/{climb}"))

    def fetch() -> None:
        try:
            with httpx.Client(transport=answers) as client:
                download(file, inside, client=client, wait_seconds=0)
        finally:
            outside = {path for path in folder.rglob("*") if path.is_file() and inside not in path.parents}
            assert not outside, f"{climb} wrote {outside}"

    return draw.choice([fetch, lambda: settings_of(folder / "a.csv", f"data.name='{climb or '/'}'")])


def harmful_table(draw: random.Random, folder: Path, payload: str) -> Callable[[], object]:
    """A table whose names and values are markup, control characters and formulas, looked at and asked with."""
    names = [f"{harm(draw)} {number}" for number in range(3)]
    rows = {name: [harm(draw).replace("\x00", "") for _ in range(20)] for name in names}
    table = pl.DataFrame({"user_id": [f"u{n % 5}" for n in range(20)], "asin": [harm(draw) for _ in range(20)], **rows})
    path = folder / draw.choice(["reviews [b].csv", "it's\x1b[31m;$(touch canary).csv", "=1+1.csv"])
    table.write_csv(path)
    return lambda: draw.choice([look_at, ask_with])(path)


def harmful_answer(draw: random.Random, folder: Path, payload: str) -> Callable[[], object]:
    """Products and users of such names, in `infer`'s table and JSON, in the demo's lines and in an export's files."""
    from rec_sys.serving.curl_lines import curl_lines
    from rec_sys.vector_database.catalogue import read_catalogue
    from rec_sys.vector_database.edge_index import EdgePublisher
    from tests.serving_bundles import write_serving_bundle

    words = [harm(draw).encode(errors="replace").decode() for _ in range(60)]
    bundle = write_serving_bundle(folder / "bundles" / "poisoned", words=words)
    index = {"backend": "edge", "folder": folder / "index", "check_queries": 4, "progress": False}
    common = {"output_dir": folder, "index": index, "inference": {}}
    EdgePublisher(EdgeIndex.model_validate(index)).publish(read_catalogue(bundle))
    reviews = folder / "reviews.json"
    reviews.write_text(json.dumps([{"asin": "p1", "text": harm(draw)}, {"asin": harm(draw)[:200] or "x"}]))
    users = folder / "users.csv"
    pl.DataFrame({"user_id": ["user 1", *words[:5]]}).write_csv(users)

    def show() -> None:
        for how in ({"user_id": "user 1"}, {"reviews": reviews}, {"reviews": reviews, "format": "json"}):
            infer(InferSettings.model_validate(common | how))
        infer(InferSettings.model_validate(common | {"users": users, "output": folder / "export"}))
        assert not list(folder.glob("export/**/*.csv")), "a spreadsheet would run formulas"
        for line in curl_lines("http://127.0.0.1:1", bundle):
            assert shlex.split(line)[0] == "curl"
            subprocess.run(["bash", "-c", f"curl() {{ :; }}\n{line}"], check=True, capture_output=True)

    return show


def harmful_page(draw: random.Random, folder: Path, payload: str) -> Callable[[], object]:
    """The report's page about a user and products of such names."""

    def render() -> None:
        text = harm(draw)
        source = "{% for u in users %}<p title='{{ u.user_id }}'>{{ u.history[0] }}</p>{% endfor %}"
        page = templates().from_string(source).render(users=[UserCard(text, [text], [], [])])
        inside = page.removeprefix("<p title='").removesuffix("</p>").replace("'>", "", 1)
        assert not set("<>'\"") & set(inside), page

    return render


POISONS: Final[dict[str, Poison]] = {
    poison.__name__: poison
    for poison in (
        *(packed_bomb, parquet_of_another_size, pickled, npy_of_another_size, tagged_yaml, foreign_weights),
        *(climbing_name, harmful_table, harmful_answer, harmful_page),
    )
}
