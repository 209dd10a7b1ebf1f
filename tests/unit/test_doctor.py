import json
from dataclasses import asdict
from pathlib import Path

import pytest

from edgespec import __version__, doctor, slowness
from edgespec.slowness import Cause, Finding


def test_the_report_says_what_a_bug_report_needs(edgespec_home: Path) -> None:
    report = doctor.collect()
    assert report.edgespec == __version__
    assert report.packages["numpy"]
    assert report.processor.default_threads >= 1
    assert "core" in report.processor.usable
    assert report.memory.total >= report.memory.available > 0
    assert report.paths["models"] == str(edgespec_home / "models")
    assert report.models["nano"].present
    assert report.native == {}


def test_it_tells_what_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    finding = Finding(Cause.BATTERY, "the battery is in use", "plug it in")
    monkeypatch.setattr(slowness, "saturated", lambda *_: ())
    monkeypatch.setattr(slowness, "find", lambda topology: (finding, finding))
    lines = [line for line in doctor.render(doctor.collect()).splitlines() if "battery" in line]
    assert [line.split(maxsplit=1) for line in lines] == [["slow", str(finding)]] * 2
    monkeypatch.setattr(slowness, "find", lambda topology: ())
    assert "nothing was found" in doctor.render(doctor.collect())


def test_it_can_be_written_as_json() -> None:
    report = doctor.collect({"system": "AVX2"})
    assert json.loads(json.dumps(asdict(report)))["native"] == {"system": "AVX2"}


def test_packages_that_are_not_installed() -> None:
    assert doctor.collect().packages.keys() == set(doctor.PACKAGES)
    assert doctor._version("no-such-package") is None


def test_the_text_is_aligned() -> None:
    text = doctor.render(doctor.collect({"devices": "none"}))
    lines = dict(line.split("  ", 1) for line in text.splitlines())
    assert lines["native devices"].strip() == "none"
    assert lines["models nano present"].strip() == "yes"
    assert lines["memory total"].endswith(" MiB")
    column = text.splitlines()[0].index(__version__)
    assert all(line[column - 1] == " " and line[column] != " " for line in text.splitlines())
