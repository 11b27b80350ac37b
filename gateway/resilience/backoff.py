"""How long to wait before the next attempt.

The first attempt after a failure comes at once, because most failures are single; then
the pauses grow by a factor up to a bound. Chance is an argument: it spreads those who
failed together, so that they don't return together. Durations are seconds.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses that grow from *first* by *factor* up to *longest*."""

    first: float = 0.1
    factor: float = 2.0
    longest: float = 5.0
    spread: float = 0.25
    """The share of a pause that chance may take away; 0 makes every pause exact."""

    def pause(self, failures: int, chance: float) -> float:
        """Return the wait after *failures* in a row; *chance* lies in 0 to 1.

        One failure, or none, needs no wait.
        """
        if failures <= 1:
            return 0.0
        pause = self.first
        # A loop, not a power: a thousand failures must not overflow a float.
        for _ in range(failures - 2):
            pause *= self.factor
            if pause >= self.longest:
                break
        return min(pause, self.longest) * (1.0 - self.spread * chance)
