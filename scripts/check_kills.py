"""Does a search end as the undisturbed one, however often it is killed?

    python scripts/check_kills.py [--seeds 25] [--first 0] [--minutes 60]

For each seed a search without training is begun, killed or interrupted before writes
and at times drawn by the seed (in trials, refit and registration), resumed, killed in
the resume and so on. Its records are checked each time, and compared with those of an
undisturbed search at the end. Prints a line for each seed; exit code 1 if any fails.
"""

import argparse
import itertools
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "helpers"))

from kill_stories import check_story, make_project, running_server, undisturbed_by

from ktune.tracking.store import open_store


def main() -> int:
    """Check the stories of all seeds until the time is up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=25)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=60)
    arguments = parser.parse_args()
    end = time.monotonic() + 60 * arguments.minutes
    totals: Counter[int] = Counter()
    n_failed, n_checked = 0, 0
    with tempfile.TemporaryDirectory() as name:
        folder, numbers = Path(name), itertools.count()
        empty = folder / "empty.db"
        open_store(f"sqlite:///{empty}", create=True)
        with running_server(folder) as server:

            def project(name: str) -> object:
                place = folder / f"{next(numbers)}-{name}"
                return make_project(server, place, empty)

            undisturbed = undisturbed_by(project)
            for seed in range(arguments.first, arguments.first + arguments.seeds):
                if time.monotonic() > end:
                    break
                n_checked += 1
                try:
                    codes = check_story(seed, project, undisturbed)
                except AssertionError:
                    n_failed += 1
                    print(f"seed {seed}: FAILED\n{traceback.format_exc()}", flush=True)
                else:
                    totals += codes
                    print(
                        f"seed {seed}: as undisturbed after {dict(codes)}", flush=True
                    )
    print(
        f"{n_checked} seeds, {n_failed} failed; {totals[-9]} kills, "
        f"{totals[130]} signals"
    )
    return int(bool(n_failed))


if __name__ == "__main__":
    sys.exit(main())
