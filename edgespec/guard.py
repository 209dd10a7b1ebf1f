"""The promise that speculation never costs more than 5 % and two steps over plain decoding."""


class DebtGuard:
    """Keeps T <= (1 + slack) U + steps V(1) over one answer.

    T is the time spent, U what the tokens emitted so far would have cost plainly. A round is
    allowed only if the bound still holds when it takes as long as feared and yields one token.
    """

    def __init__(self, slack: float = 0.05, steps: float = 2.0) -> None:
        self._slack = slack
        self._steps = steps
        self._spent = 0.0
        self._plain = 0.0

    def start(self) -> None:
        """Begin a new answer with a clean account."""
        self._spent = self._plain = 0.0

    def record(self, seconds: float, tokens: int, plain_step: float) -> None:
        """Book a finished round, each of whose tokens would have cost a plain step."""
        self._spent += seconds
        self._plain += tokens * plain_step

    def allows(self, seconds: float, plain_step: float) -> bool:
        """True if a round that takes `seconds` cannot break the bound."""
        return seconds <= self.room(plain_step)

    def room(self, plain_step: float) -> float:
        """How many seconds the next round may take without breaking the bound."""
        credit = (1 + self._slack) * (self._plain + plain_step) + self._steps * plain_step
        return credit - self._spent

    @property
    def debt(self) -> float:
        """Seconds lost against plain decoding so far (negative: gained)."""
        return self._spent - self._plain
