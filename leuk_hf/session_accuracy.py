"""How often compared recipes are right in each session of a test part: few sessions, each told by itself.

Shared contract: intervals over groups of overlapping fields know nothing of how sessions differ, so that a mean over
sessions hides one that is lost altogether; and a test part may hold sessions of whose fields others were trained on.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from leuk_hf.cross_validation import spread
from leuk_hf.experiments import Experiment, predictions_path
from leuk_hf.protocol_tables import left_out
from leuk_hf.results import Results, read_predictions


def by_session(
    experiments: Sequence[Experiment],
    output: Path,
    sessions: Mapping[str, str],
    trained: Mapping[tuple[int, int], Collection[str]],
    *,
    recipes: Collection[str],
) -> dict[str, Any]:
    """Tell how often each recipe is right in each session and class of a protocol's test part.

    Args:
        experiments: All those of one protocol.
        output: Folder of the runs.
        sessions: Field -> session.
        trained: (fold, seed) of a run -> fields that it may learn from.
        recipes: Those whose runs are finished.

    Returns:
        JSON types: num_left_out and share_left_out (of the tested fields, those of sessions none of whose fields were
        learned from) and rows, in order of class and session: session, class, num_fields (that any run tests),
        num_trained (fields of the session that the runs that test it learn from, the most of any) and recipes (name
        -> mean, standard_deviation and values of the share right, over the runs).
    """
    rows: dict[tuple[int, str], dict[str, Any]] = {}
    for experiment in experiments:
        if experiment.variant not in recipes:
            continue
        run = read_predictions(predictions_path(experiment.folder(output), "test"))
        learned = [sessions.get(path, "") for path in trained[experiment.config.fold, experiment.config.seed]]
        for label, session, paths, right in _cells(run, sessions):
            row = rows.setdefault(
                (label, session),
                {
                    "session": session,
                    "class": run.class_names[label],
                    "fields": set(),
                    "num_trained": 0,
                    "recipes": {name: [] for name in recipes},
                },
            )
            row["fields"].update(paths)
            row["num_trained"] = max(row["num_trained"], learned.count(session))
            row["recipes"][experiment.variant].append(round(float(right.mean()), 6))
    ordered = [rows[key] for key in sorted(rows)]
    for row in ordered:
        row["num_fields"] = len(row.pop("fields"))
        row["recipes"] = {name: spread(values) for name, values in row["recipes"].items()}
    unknown, all_fields = (sum(row["num_fields"] for row in some) for some in (left_out(ordered), ordered))
    return {"num_left_out": unknown, "share_left_out": round(unknown / all_fields, 6), "rows": ordered}


def _cells(run: Results, sessions: Mapping[str, str]) -> Iterator[tuple[int, str, list[str], np.ndarray]]:
    paths = np.array(run.paths)
    told = np.array([sessions.get(path, "") for path in run.paths])
    right = run.probabilities.argmax(axis=1) == run.labels
    for label, session in itertools.product(np.unique(run.labels).tolist(), np.unique(told).tolist()):
        chosen = (run.labels == label) & (told == session)
        if chosen.any():
            yield label, session, paths[chosen].tolist(), right[chosen]
