"""What the service says that it takes and answers, tried by schemathesis.

    uv run -m tests.chaos.api_schema --seed 0 --cases 2000

Examples, every limit of every field, drawn requests and sequences of them, in and against the OpenAPI description: no
error of the service's own, no status, kind of content or shape of an answer that is not documented.
"""

import re
import subprocess
import sys
from pathlib import Path

from tests.chaos.campaign import Campaign, run_by_hand
from tests.chaos.served_house import lone_gateway

CHECKS = (
    *("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance"),
    "response_schema_conformance",
)
_CASES_FOR_EACH = 21  # requests, about, that a drawn example an operation comes to; those of limits beside
_LIMITS = 2_170  # requests to the limits of all fields, about
_FEWEST_EXAMPLES = 5  # drawn for an operation, however few cases are asked for
_COUNTED = re.compile(r"(\d[\d,]*) generated")
_REQUEST_SECONDS = 30
_SECONDS = 7_200


def attack(campaign: Campaign, cases: int) -> None:
    """Sends about so many requests to a gateway, at least those to the limits of every field."""
    with lone_gateway() as (url, gateway):
        folder = gateway.log.parent  # schemathesis keeps notes where it runs
        examples = max(_FEWEST_EXAMPLES, (cases - _LIMITS) // _CASES_FOR_EACH)
        ended = _ask(f"{url}/openapi.json", campaign.seed, examples, folder)
        said = folder / "schemathesis.txt"
        said.write_text(ended.stdout + ended.stderr)
        with campaign.case("the description", said, gateway.log):
            assert ended.returncode == 0, "\n".join(ended.stdout.splitlines()[-60:])
    counted = _COUNTED.search(ended.stdout)
    campaign.figures["requests"] = counted[1] if counted else "none"


def _ask(description: str, seed: int, examples: int, folder: Path) -> "subprocess.CompletedProcess[str]":
    program = Path(sys.executable).with_name("schemathesis")
    command = [str(program), "run", description, "--checks", ",".join(CHECKS), "--seed", str(seed)]
    command += ["--max-examples", str(examples), "--request-timeout", str(_REQUEST_SECONDS), "--no-color"]
    command += ["--generation-database", "none"]
    return subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False, cwd=folder)


if __name__ == "__main__":
    run_by_hand("api_schema", attack, "cases", 2_000)
