"""The contract read aloud: for every label, look at every row of its key. For small inputs.

A row is a candidate at time T if its keys are equal, field by field, and
    event_time <= T; commit_time <= S; with a time to live L also event_time >= T - L;
    mode `known`: created_time <= T, a null one counting as the commit time;
    mode `served`: as the view's default mode, and commit_time <= T.
The winner has the greatest (event_time, created_time with null lowest, commit_time, ordinal); a winner that is a
tombstone, no candidate, or a null key give nothing. Python's integers have no end, so `T - L` needs no care.
"""

from collections import defaultdict

from .definitions import View
from .tables import Log


def winners(view: View, log: Log, keys: list[list], times_us: list[int], mode: str, snapshot_us: int | None) -> list:
    """For each label the number of the winning row of the log, or None."""
    created = log.created_us.to_pylist()
    rows = list(
        zip(
            log.event_us.to_pylist(),
            created,
            log.commit_us.to_pylist(),
            log.ordinal.to_pylist(),
            log.deleted.to_pylist(),
            strict=True,
        )
    )
    rows_of_key = defaultdict(list)
    for number, key in enumerate(zip(*(column.to_pylist() for column in log.keys), strict=True)):
        rows_of_key[key].append(number)

    found = []
    for time_us, key in zip(times_us, zip(*keys, strict=True), strict=True):
        best, best_rank = None, None
        if all(part is not None for part in key):
            for number in rows_of_key.get(key, ()):
                event, created_us, commit, ordinal, _ = rows[number]
                if not _is_candidate(view, event, created_us, commit, time_us, mode, snapshot_us):
                    continue
                rank = (event, created_us is not None, created_us or 0, commit, ordinal)
                if best_rank is None or rank > best_rank:
                    best, best_rank = number, rank
        found.append(None if best is None or rows[best][4] else best)
    return found


def _is_candidate(view: View, event, created, commit, time_us, mode: str, snapshot_us: int | None) -> bool:
    if event > time_us:
        return False
    if snapshot_us is not None and commit > snapshot_us:
        return False
    if view.ttl_us is not None and event < time_us - view.ttl_us:
        return False
    if mode == "served":
        if commit > time_us:
            return False
        mode = view.default_mode
    if mode == "known":
        return (commit if created is None else created) <= time_us
    return True
