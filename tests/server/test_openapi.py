"""No input makes the server fail: schemathesis, on the server's own description."""

import subprocess
import sys

import pytest

from tests.cli.process import PATIENCE
from tests.server.process import KEY, Serving

pytestmark = pytest.mark.native

_CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
)


def test_no_input_makes_it_fail(server: Serving) -> None:
    command = [sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()"]
    options = ["--seed", "1", "--max-examples", "8", "--phases", "examples,coverage,fuzzing"]
    options += ["--checks", ",".join(_CHECKS), "-H", f"Authorization: Bearer {KEY}"]
    done = subprocess.run(
        [*command, "run", f"{server.url}/openapi.json", *options],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "generated" in done.stdout
    server.idle()
    assert server.metric("failed_total") < server.metric("answers_total")
