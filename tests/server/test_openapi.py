"""No input makes the server fail: schemathesis, on the server's own description."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.process import PATIENCE
from tests.server.process import KEY, serving

pytestmark = pytest.mark.native

_CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
)


def test_no_input_makes_it_fail(tmp_path: Path, kept_home: Path, embedder: Path) -> None:
    # A small context, because an answer may go on to its end.
    options = ("--api-key", KEY, "--context", "256", "--also", str(embedder))
    with serving(tmp_path, kept_home, *options) as server:
        done = _schemathesis(f"{server.url}/openapi.json", tmp_path)
        assert done.returncode == 0, done.stdout
        server.idle()
        assert server.metric("answers_total") > 0
        embedded = 'requests_total{path="/v1/embeddings",status="200"}'
        assert server.metric(re.escape(embedded)) > 0


def _schemathesis(url: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()"]
    options = ["--seed", "1", "--max-examples", "2", "--phases", "examples,coverage,fuzzing"]
    options += ["--checks", ",".join(_CHECKS), "-H", f"Authorization: Bearer {KEY}"]
    options += ["--request-timeout", str(PATIENCE)]
    return subprocess.run(
        [*command, "run", url, *options],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
    )
