"""How much of something may come, on the average and at once. Pure."""

from collections import OrderedDict

__all__ = ["Bucket", "Shares"]

_MOST_NAMES = 1024


class Bucket:
    """Tokens that come back at a rate, up to a number; whoever finds too few has asked for too much."""

    def __init__(self, rate_per_s: float, most: float) -> None:
        self._rate_per_s = rate_per_s
        self._most = most
        self._left = most
        self._at_ns = 0

    def take(self, count: float, tick_ns: int) -> bool:
        """Take `count` tokens at `tick_ns`; False, and none taken, where there are fewer."""
        if self._at_ns:
            self._left = min(self._most, self._left + (tick_ns - self._at_ns) / 1e9 * self._rate_per_s)
        self._at_ns = tick_ns
        if self._left < count:
            return False
        self._left -= count
        return True


class Shares:
    """A bucket for each name, of those that were heard last."""

    def __init__(self, rate_per_s: float, most: float) -> None:
        self._rate_per_s = rate_per_s
        self._most = most
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def take(self, name: str, tick_ns: int) -> bool:
        """Take one token of `name`; False where it has none left."""
        bucket = self._buckets.pop(name, None) or Bucket(self._rate_per_s, self._most)
        self._buckets[name] = bucket
        if len(self._buckets) > _MOST_NAMES:
            self._buckets.popitem(last=False)
        return bucket.take(1, tick_ns)
