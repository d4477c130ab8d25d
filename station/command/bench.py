"""`station bench`: measure this computer. Main thread; the measured line runs in a process of its own."""


from station.command.options import AsJson

__all__ = ["bench"]


def bench(as_json: AsJson = False) -> None:
    """Measure regions, engine, events and the whole line on this computer."""
    from station.bench.suite import measure  # loads the kernels and the engine: only when called

    measure(as_json)
