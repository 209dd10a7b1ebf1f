"""A corpus with damage of every kind: each damaged row is told with its place, no other notices."""

import json
from pathlib import Path
from random import Random

from tests.unit.batch.harness import Bench, EveryText

ROWS = 1000
_BYTES = bytes(byte for byte in range(256) if byte not in b"\r\n")
_VALUES: tuple[object, ...] = (
    None,
    True,
    -1,
    1e400,
    "x",
    [],
    {},
    [{}],
    {"role": 3},
    float("nan"),
    2**70,
    "\ud800",
)


def damaged(line: bytes, random: Random) -> bytes:
    """The line with bytes changed, cut or doubled, or with a member that makes no sense."""
    at = random.randrange(len(line))
    kind = random.randrange(5)
    if kind == 0:
        return line[:at] + bytes([random.choice(_BYTES)]) + line[at + 1 :]
    if kind == 1:
        return line[:at]
    if kind == 2:
        return line[:at] + line[at:] * 2
    if kind == 3:
        return line[: at // 2] + random.randbytes(9).translate(None, b"\r\n") + line[at:]
    row = json.loads(line)
    row[random.choice(["prompt", "n", "seed", "stop", "messages", "top_p", "x"])] = random.choice(
        _VALUES
    )
    return json.dumps(row).encode()


def is_json(line: bytes) -> bool:
    """What Python's reading of JSON, which lets more through, says."""
    try:
        json.loads(line.decode())
    except ValueError:
        return False
    return True


def test_every_damaged_row_is_told_and_no_other_notices(tmp_path: Path) -> None:
    random = Random(8)
    lines = [
        json.dumps({"id": n, "prompt": "ä" * (1 + n % 9), "seed": n}, ensure_ascii=False).encode()
        for n in range(ROWS)
    ]
    (tmp_path / "whole").mkdir()
    whole = Bench(tmp_path / "whole", lines)
    whole.preparer = EveryText()
    whole.run()
    expected = whole.lines()
    hit = set(random.sample(range(ROWS), ROWS // 2))
    torn = [damaged(line, random) if n in hit else line for n, line in enumerate(lines)]
    bench = Bench(tmp_path, torn)
    bench.preparer = EveryText()
    bench.run()
    found = {json.loads(line)["line"]: line for line in bench.lines()}
    assert len(bench.lines()) == len(found)
    failed = 0
    for number, line in enumerate(torn):
        if number not in hit:
            assert found[number + 1] == expected[number]
        elif line.strip():
            error = json.loads(found[number + 1])["error"]
            failed += error is not None
            assert error is not None or is_json(line)
            if error is not None:
                assert error["line"] == number + 1
                assert 1 <= error["column"] <= len(line.decode(errors="replace")) + 1
                assert error["message"]
        else:
            assert number + 1 not in found
    # Some damage makes another row that is sound, as another letter in a prompt does.
    assert failed > 0.7 * len(hit)
