"""Draws the pictures of docs/scheduler.md: of the simulator and, given a record, of real rounds.

`python bench/pictures.py [--rounds FILE]`; FILE is what `bench/rounds.py --json FILE` left. The
same numbers give the same files, byte by byte.
"""

import argparse
import json
from collections.abc import Callable
from functools import partial
from itertools import accumulate
from operator import mul
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from edgespec.controller import FixedPolicy
from edgespec.costs import CostModel
from edgespec.events import Round
from edgespec.simulation import rivals
from edgespec.simulation.machine import Machine
from edgespec.simulation.run import ours, simulate
from edgespec.simulation.text import Text

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"
STAIRS = (14.9, 25, 35, 29, 37, 53, 68, 50, 55, 58, 60.5, 63, 75, 86, 97, 65, 75)
"""V(n) in ms as tests/unit/test_simulation.py has it: 1.1B, Q4_0, two AVX-512 cores."""
TARGET, DRAFTER, OURS, GREY = "#2f6f9f", "#e08a2c", "#2a8a5b", "#8a8a8a"

Span = tuple[float, float]


def gpu(n: int) -> float:
    """A step of n tokens where each further one adds an eighth."""
    return 1 + 0.12 * (n - 1)


def stairs(n: int) -> float:
    """The measured staircase, in plain steps."""
    return STAIRS[n - 1] / STAIRS[0]


def costs(axes: Axes) -> None:
    """V(n) and what it costs per token."""
    sizes = range(1, len(STAIRS) + 1)
    axes.bar(sizes, STAIRS, color=TARGET, width=0.7)
    axes.set(xlabel="tokens in one decode, n", ylabel="V(n), ms", xticks=range(1, 18, 2))
    axes.set_title("V(n) is a staircase")


def choices(axes: Axes) -> None:
    """1 + S_1 + ... + S_k - rate * V(k+1) for several acceptances, and where it is largest."""
    for chance, colour in ((0.5, GREY), (0.7, DRAFTER), (0.9, OURS)):
        lengths = range(17)
        survival = accumulate([chance] * 16, mul)
        tokens = list(accumulate(survival, initial=1.0))
        rate = max(tokens[k] / stairs(k + 1) for k in lengths)
        gains = [tokens[k] - rate * stairs(k + 1) for k in lengths]
        best = max(lengths, key=gains.__getitem__)
        axes.plot(lengths, gains, color=colour, label=f"{chance:.0%} accepted: k* = {best}")
        axes.plot(best, gains[best], "o", color=colour)
    axes.axhline(0, color=GREY, linewidth=0.5)
    axes.set(xlabel="drafts, k", ylabel="E[tokens] - rate · V(k+1)", ylim=(-6, 0.6))
    axes.set_title("the choice on this staircase")
    axes.legend(loc="lower left")


def gains(axes: Axes, machine: Machine, title: str) -> None:
    """Speed over plain decoding against acceptance: ours, rivals in hindsight, and the oracle."""
    chances = [n / 20 for n in range(6, 20)]
    lengths = range(1, machine.max_batch)
    sides: dict[str, tuple[str, str, Callable[[Text], float]]] = {
        "oracle": (GREY, ":", partial(rivals.oracle, machine)),
        "edgespec": (OURS, "-", lambda text: ours(machine, text).seconds),
        "PEARL, best k": (TARGET, "--", lambda text: min(
            rivals.pearl(machine, text, k) for k in lengths)),
        "sequential, best k": (DRAFTER, "--", lambda text: min(
            rivals.sequential(machine, text, k) for k in lengths)),
    }  # fmt: skip
    texts = [Text(lambda _, c=chance: c, 800, seed=1) for chance in chances]  # type: ignore[misc]
    for name, (colour, style, seconds) in sides.items():
        speeds = [rivals.plain(machine, text) / seconds(text) for text in texts]
        axes.plot(chances, speeds, style, color=colour, label=name)
    axes.axhline(1, color=GREY, linewidth=0.5)
    axes.set(xlabel="acceptance of a draft", ylabel="speed over plain decoding", ylim=(0.5, 5))
    axes.set_title(title)
    axes.legend(loc="upper left")


def debts(axes: Axes) -> None:
    """Time lost against plain decoding where the drafter is right at first and then never."""
    machine = Machine(stairs, 0.1)
    text = Text(lambda position: 0.9 if position < 60 else 0.0, 240, noise=3.0, seed=3)
    fixed = FixedPolicy(CostModel(machine.table()), 3)
    for name, colour, run in (
        ("always 3 drafts", DRAFTER, partial(simulate, machine, text, fixed)),
        ("edgespec", OURS, partial(ours, machine, text)),
    ):
        rounds: list[Round] = []
        run(on_round=rounds.append)
        emitted = list(accumulate(one.accepted + 1 for one in rounds))
        lost = [one.verify[1] - n for one, n in zip(rounds, emitted, strict=True)]
        axes.plot(emitted, lost, color=colour, label=name)
    axes.plot([0, 240], [2, 14], color=GREY, linestyle=":", label="the bound, 0.05 U + 2 V(1)")
    axes.axvline(60, color=GREY, linewidth=0.5)
    axes.set(xlabel="tokens", ylabel="T - U, plain steps")
    axes.set_title("the drafter is right nine times in ten, from token 60 on never")
    axes.legend(loc="upper left")


def schedule(axes: Axes, rounds: list[Round], unit: float, title: str) -> None:
    """When the target verified and the drafter drafted; over each round, its k and what held."""
    begin = rounds[0].verify[0]

    def bars(spans: list[Span], row: int, colour: str) -> None:
        shown = [((a - begin) / unit, (b - a) / unit) for a, b in spans]
        axes.broken_barh(shown, (row, 0.7), facecolors=colour, edgecolor="white", linewidth=0.4)

    bars([one.verify for one in rounds], 1, TARGET)
    bars([span for one in rounds for span in one.drafting if span[1] > begin], 0, DRAFTER)
    for one in rounds:
        middle = (sum(one.verify) / 2 - begin) / unit
        label = f"{one.accepted}/{one.drafted}" if one.drafted else "-"
        axes.text(middle, 1.75, label, ha="center", fontsize=7)
    end = (rounds[-1].verify[1] - begin) / unit
    axes.set(xlim=(0, end), ylim=(-0.2, 2.2), yticks=[0.35, 1.35])
    axes.set_yticklabels(["drafter", "target"])
    axes.set_title(title)


def simulated(draft: float, contention: float) -> list[Round]:
    """Some rounds from the middle of an imagined answer."""
    machine = Machine(gpu, draft, verify_contention=contention, draft_contention=contention)
    rounds: list[Round] = []
    ours(machine, Text(lambda _: 0.75, 300, seed=2), on_round=rounds.append)
    return rounds[30:42]


def recorded(file: Path) -> Callable[[Figure], None]:
    """The picture of a record that bench/rounds.py made."""
    kept = json.loads(file.read_text(encoding="utf-8"))
    rounds = [
        Round(
            one["index"], one["drafted"], one["accepted"], one.get("depth", one["drafted"]),
            tuple(one["verify"]),
            tuple((begin, end) for begin, end in one["drafting"]),
        )
        for one in kept["rounds"][4:16]
    ]  # fmt: skip

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        schedule(axes, rounds, 1e-3, f"{kept['model']} on {kept['machine']['cpu']}, measured")
        axes.set_xlabel("ms")

    return draw


def side_by_side(*drawings: Callable[[Axes], None]) -> Callable[[Figure], None]:
    """One picture of several."""

    def draw(figure: Figure) -> None:
        for axes, drawing in zip(figure.subplots(1, len(drawings)), drawings, strict=True):
            drawing(axes)

    return draw


def overlaps(figure: Figure) -> None:
    """The same pair with the drafter on a device of its own and on the target's."""
    apart, together = figure.subplots(2)
    schedule(apart, simulated(0.2, 1.0), 1.0, "drafter on a device of its own: drafting ahead")
    schedule(together, simulated(0.2, 1.8), 1.0, "both on the same cores: in turns")
    together.set_xlabel("plain steps of the target")


def save(name: str, size: tuple[float, float], draw: Callable[[Figure], None]) -> None:
    """Write docs/images/`name`.svg."""
    figure = Figure(figsize=size, layout="constrained")
    draw(figure)
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    path = IMAGES / f"{name}.svg"
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    print(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=Path, help="a record of real rounds to draw as well")
    options = parser.parse_args()
    mpl.rcParams |= {"svg.hashsalt": "edgespec", "svg.fonttype": "none", "font.size": 9}
    mpl.rcParams |= {"axes.titlesize": 9, "legend.frameon": False, "legend.fontsize": 8}
    save("choice", (8, 3.2), side_by_side(costs, choices))
    save("overlap", (8, 3.4), overlaps)
    near, far = Machine(gpu, 0.1), Machine(stairs, 0.1)
    save("gain", (8, 3.2), side_by_side(
        partial(gains, machine=near, title="each further token + 12 %"),
        partial(gains, machine=far, title="the staircase"),
    ))  # fmt: skip
    save("guard", (6, 3.2), lambda figure: debts(figure.subplots()))
    if options.rounds:
        save("rounds", (8, 1.9), recorded(options.rounds))


if __name__ == "__main__":
    main()
