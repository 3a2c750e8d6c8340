"""A process that loads a log into a new store and says what each phase cost, as JSON.

python -m benchmarks.load_once FOLDER ROWS STORE LOG: LOG is `.`, or a folder of other files.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from benchmarks.generator import Log, contract
from collectors.ingest import Ingest
from collectors.store.database import Database


def main(folder: Path, rows: int, store: Path, log: str) -> None:
    phases: dict[str, float] = {}
    at = ["open", time.process_time()]

    def phase(what: str, *_: int) -> None:
        """What a new name says was begun ends what was under way."""
        now = time.process_time()
        phases[str(at[0])] = phases.get(str(at[0]), 0.0) + now - float(at[1])
        at[:] = [what, now]

    now = Log(folder, rows).now()
    deployment = contract(log)
    if log != ".":
        # the same reference: taking bins from the first rows is no part of a rate
        deployment = deployment.model_copy(
            update={"labels": None, "reference": contract().reference}
        )
    with Database(store) as database:
        ingest = Ingest(database, [deployment], folder, lambda: now)
        phase("references")
        collected = ingest.collect(phase)
        for problem in collected.problems:
            raise RuntimeError(problem.message)
        wrong = [c for _, _, c in collected.counts if c.n_new != c.n_read]
        if wrong:
            raise RuntimeError(f"not every row is new: {wrong}")
        phase("closing")
    phase("")
    print(json.dumps(phases))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4])
