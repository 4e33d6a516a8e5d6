"""How long `sallyport control` takes to be ready and what it holds while idle; likewise the recorder."""
import json
import os
import pathlib
import statistics
import sys
import tempfile
import time

import harness

ROUNDS = 3 if "SALLYPORT_BENCH_QUICK" in os.environ else 15


def started(role, before=()):
    """Medians of (milliseconds until ready, MiB resident)."""
    times, sizes = [], []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory(prefix="sp-") as d, harness.Instance(pathlib.Path(d) / "i") as inst:
            for b in before:
                inst.start(b)
            begin = time.monotonic()
            p = inst.start(role)
            times.append((time.monotonic() - begin) * 1000)
            sizes.append(p.memory_kib()[1] / 1024)
    return statistics.median(times), statistics.median(sizes)


def bare_start():
    """Milliseconds to start and end the executable: what of it is the machine's."""
    times = []
    for _ in range(ROUNDS):
        begin = time.monotonic()
        harness.sallyport("version", check=True)
        times.append((time.monotonic() - begin) * 1000)
    return statistics.median(times)


def main():
    bare = bare_start()
    for role, before, limits in (("recorder", (), (None, None)), ("control", ("recorder",), (100.0, 20.0))):
        ms, mib = started(role, before)
        for what, value, unit, limit in (("start", ms, "ms", limits[0]), ("idle memory", mib, "MiB", limits[1])):
            figure = {"name": f"{role}.{what}", "unit": unit, "ours": round(value, 2), "note": f"median of {ROUNDS} fresh instances"}
            if limit is not None:
                figure["limit"] = limit
            if what == "start":
                figure["peers"] = {"sallyport version": round(bare, 2)}
            print(json.dumps(figure), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
