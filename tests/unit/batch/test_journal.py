"""The journal and the output, whatever happens to them in between."""

import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from random import Random

import pytest

from edgespec.batch.journal import Journal, Record
from edgespec.batch.output import Order
from edgespec.batch.progress import Progress
from edgespec.batch.run import Batch
from edgespec.batch.storage import AppendFile
from edgespec.errors import EdgespecError, InvalidInput
from tests.unit.batch.harness import Bench, FakeExecutor

LINES = [f'{{"prompt": "{"abc" * (number % 7 + 1)}", "id": {number}}}' for number in range(40)]
DAMAGED = [*LINES[:9], '{"prompt": 1}', *LINES[10:20], "x", *LINES[21:]]


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file can grow beyond `size` bytes, as if the disk were full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def stop_after_rows(count: int) -> Callable[[Progress, Batch], None]:
    """What stops a run once `count` rows are done."""

    def on_progress(now: Progress, batch: Batch) -> None:
        if now.done >= count:
            batch.stop()

    return on_progress


def expected(folder: Path, order: Order) -> list[bytes]:
    """The lines of a run that nothing disturbs, in any order unless it is the input's."""
    folder.mkdir()
    bench = Bench(folder, DAMAGED)
    bench.run()
    return bench.lines() if order is Order.INPUT else sorted(bench.lines())


def test_a_record_survives_the_way_to_the_disk_and_damage_does_not() -> None:
    record = Record(7, 0xABC, 12, True, '{"text": "é 1 2"}'.encode())
    line = record.encode()
    assert Record.decode(line) == record
    for at in range(len(line)):
        assert Record.decode(line[:at]) is None
        assert Record.decode(line[:at] + bytes([line[at] ^ 4]) + line[at + 1 :]) is None


def test_a_journal_knows_its_rows_again(tmp_path: Path) -> None:
    records = [Record(row, row, 3, row == 4, b"x" * row * 9999) for row in (4, 0, 2)]
    journal = Journal(tmp_path / "j")
    assert journal.header is None
    journal.begin({"a": 1})
    assert journal.scan(5).rows == 0
    for record in records:
        journal.append(record)
    journal.close()
    again = Journal(tmp_path / "j")
    assert again.header == {"a": 1}
    found = again.scan(5)
    assert (found.rows, found.failed, found.tokens) == (3, 1, 9)
    assert [again.holds(row) for row in range(5)] == [True, False, True, False, True]
    assert [again.read(record.row) for record in records] == records == list(again.records())
    again.close()


def test_two_processes_cannot_have_one_journal(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    with pytest.raises(InvalidInput, match="another edgespec batch"):
        Journal(tmp_path / "j")
    journal.close()
    Journal(tmp_path / "j").close()


def test_what_is_no_journal_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "j").write_bytes(b"my diary\n")
    with pytest.raises(InvalidInput, match="no journal"):
        Journal(tmp_path / "j")
    assert (tmp_path / "j").read_bytes() == b"my diary\n"


def test_a_write_that_fails_halfway_is_taken_back(tmp_path: Path) -> None:
    file = AppendFile(tmp_path / "f")
    file.append(b"whole\n")
    with largest_file(10), pytest.raises(EdgespecError, match="File too large"):
        file.append(b"too long\n")
    assert (tmp_path / "f").read_bytes() == b"whole\n"
    file.append(b"again\n")
    file.close()
    assert (tmp_path / "f").read_bytes() == b"whole\nagain\n"


@pytest.mark.parametrize("order", list(Order))
def test_killed_at_any_byte_it_goes_on_without_loss_or_repetition(
    tmp_path: Path, order: Order
) -> None:
    """A kill leaves a beginning of what was written; both files are cut at random."""
    whole = expected(tmp_path / "whole", order)
    random = Random(1)
    for number in range(25):
        folder = tmp_path / str(number)
        folder.mkdir()
        bench = Bench(folder, DAMAGED)
        bench.order = order
        for _ in range(4):
            stop_after = random.randint(1, 15)
            bench.run(FakeExecutor(seed=stop_after), stop_after_rows(stop_after))
            assert all(line in whole for line in bench.lines())
            tear(bench, random)
        bench.run()
        lines = bench.lines()
        assert (lines if order is Order.INPUT else sorted(lines)) == whole


def tear(bench: Bench, random: Random) -> None:
    """What a kill can do to the journal, and a power cut to the output."""
    journal = bench.journal.read_bytes()
    begin = journal.index(b"\n") + 1
    if b'"complete"' not in journal[:begin] and random.random() < 0.7:
        bench.journal.write_bytes(journal[: random.randint(begin, len(journal))])
        kept = bench.journal.read_bytes().count(b"\n") - 1
        lines = bench.output.read_bytes().splitlines(keepends=True)
        # The output never has what the journal has not.
        data = b"".join(lines[: min(len(lines), kept)]) if bench.order is Order.COMPLETED else b""
        size = random.randint(0, len(data))
        bench.output.write_bytes(data[:size] + b"\0" * random.choice([0, 0, len(data) - size]))


@pytest.mark.parametrize("order", list(Order))
def test_a_full_disk_stops_it_and_it_goes_on_exactly(tmp_path: Path, order: Order) -> None:
    whole = expected(tmp_path / "whole", order)
    random = Random(2)
    for number in range(15):
        folder = tmp_path / str(number)
        folder.mkdir()
        bench = Bench(folder, DAMAGED)
        bench.order = order
        limit = random.randint(1, 6000)
        stops = 0
        while True:
            with suppress(EdgespecError), largest_file(limit):
                bench.run(FakeExecutor(seed=number + stops))
                break
            stops += 1
            limit += random.randint(1, 6000)
            if bench.output.exists():
                assert all(line in whole for line in bench.lines())
        lines = bench.lines()
        assert (lines if order is Order.INPUT else sorted(lines)) == whole
        assert stops or limit > 4000


def test_a_finished_batch_is_not_begun_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path, LINES)
    bench.run()
    with ExitStack() as stack:
        _, ledger = bench.open(stack)
        assert ledger.complete
        assert (ledger.found.rows, ledger.found.tokens) == (40, 80)
    assert bench.journal.stat().st_size < 1000


def test_what_a_killed_end_left_is_in_nobodys_way(tmp_path: Path) -> None:
    bench = Bench(tmp_path, LINES)
    bench.journal.with_name(f"{bench.journal.name}.new").write_bytes(b"half of something longer")
    bench.run()
    with ExitStack() as stack:
        assert bench.open(stack)[1].complete


def refused(bench: Bench) -> str:
    with pytest.raises(InvalidInput) as caught, ExitStack() as stack:
        bench.open(stack)
    return str(caught.value)


def half(folder: Path) -> Bench:
    """A batch that was stopped on its way."""
    bench = Bench(folder, LINES)
    bench.run(FakeExecutor(width=1), stop_after_rows(20))
    assert len(bench.lines()) == 20
    return bench


def test_a_changed_input_is_explained(tmp_path: Path) -> None:
    bench = half(tmp_path)
    bench.write([*LINES, LINES[0]])
    assert "has grown by 1 rows" in refused(bench)
    bench.write([*LINES[:7], "", LINES[0], *LINES[8:]])
    assert "line 9 is answered already and is another one now" in refused(bench)
    bench.write([*LINES[:30], LINES[0], *LINES[31:]])
    assert "the lines that are answered already are the same" in refused(bench)
    bench.write(LINES[:30])
    assert "it had 40 rows, now it has 30" in refused(bench)
    bench.write(LINES)
    assert bench.run().done == 40


def test_other_settings_are_explained(tmp_path: Path) -> None:
    bench = half(tmp_path)
    bench.settings = bench.settings.with_sampling("temperature", 0.5, ())
    assert "another --temperature: 0.8, not 0.5" in refused(bench)


def test_an_output_that_somebody_changed_is_left_alone(tmp_path: Path) -> None:
    bench = half(tmp_path)
    data = bench.output.read_bytes()
    for changed in (data.replace(b"eog", b"GOE", 1), data + b"mine\n"):
        bench.output.write_bytes(changed)
        assert "was changed" in refused(bench)
        assert bench.output.read_bytes() == changed


def test_an_output_that_is_gone_is_written_anew(tmp_path: Path) -> None:
    bench = half(tmp_path)
    bench.output.unlink()
    assert bench.run().done == 40
    assert len(bench.lines()) == 40


def test_an_output_without_a_journal_is_not_overwritten(tmp_path: Path) -> None:
    bench = Bench(tmp_path, LINES)
    bench.output.write_text("precious\n")
    assert "there is no out.jsonl.journal" in refused(bench)
    assert bench.output.read_text() == "precious\n"


def test_a_finished_output_that_was_changed_is_told(tmp_path: Path) -> None:
    bench = Bench(tmp_path, LINES)
    bench.run()
    bench.output.unlink()
    assert "is gone since" in refused(bench)
