"""The soaks in short; in long they are `python tests/soak/run.py --minutes 60` and, for the server,
`python tests/soak/serve.py`.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.process import PATIENCE, environment

FOLDER = Path(__file__).parent


@pytest.mark.native
@pytest.mark.slow
@pytest.mark.parametrize(
    "command", [["run.py"], ["serve.py", "--requests", "400", "--streams", "20"]]
)
def test_nothing_is_lost_grows_or_drifts(command: list[str]) -> None:
    script, *options = command
    done = subprocess.run(
        [sys.executable, str(FOLDER / script), *options],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
