"""What each ingredient of the recipe `default` is worth: variants with one ingredient changed, several seeds each.

Shared contract: a variant is the recipe `default` with `BASE`, at low resolution, in few epochs and with what has left
the recipe since it was asked about, and with `changes` put into its config. The checkpoint of a run is that of its
last epoch, averaged, or chosen on its validation part, never on the test part that the table shows. Ingredients are
judged twice: in other sessions, as they are (the test part), and in known sessions in other light (the validation
part, `leuk_hf.experiments.OTHER_LIGHT`).
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from leuk_hf.errors import TrainingError
from leuk_hf.experiments import OTHER_LIGHT, Experiment, part_in
from leuk_hf.fields import SAMPLES
from leuk_hf.protocol_tables import mean_and_spread, value_of
from leuk_hf.training_config import DEFAULT, TrainConfig

REFERENCE = "default"  # the variant without a change, which the others are compared with
# What makes the runs cheap, and the ingredients that were asked about and have left the recipe since.
BASE: dict[str, Any] = {
    "image_size": 112,
    "num_epochs": 2,
    "appearances": 3,
    "weight_averaging": 0.99,
    "weight_decay": 0.05,
    "label_smoothing": 0.05,
}


@dataclasses.dataclass(frozen=True)
class Ablation:
    """One ingredient changed.

    Args:
        question: What the variant asks, in one sentence.
        changes: Values of `TrainConfig` that differ from `default` with `BASE`.
    """

    question: str
    changes: Mapping[str, Any]


ABLATIONS: dict[str, Ablation] = {
    REFERENCE: Ablation(
        "How far does the recipe come, with all that was asked about, at low resolution and in few epochs?", {}
    ),
    "whole field": Ablation(
        "Does erasing everything but the leukocytes cost or gain accuracy in other sessions, against whole fields with"
        " the augmentation of plain?",
        {"weights": "scratch", "view": "field", "augmentation": "plain", "output_stride": 32},
    ),
    "in grey": Ablation(
        "Do differences between the colours of a field's leukocytes say more than their luminance alone?",
        {"view": "leukocytes"},
    ),
    "no warm-up": Ablation("Is it worth learning to measure cells before learning classes?", {"weights": "scratch"}),
    "no change of optics": Ablation(
        "Do stain, light, focus and noise drawn anew for each sample help, beside the other appearances, always the"
        " same, that make half of the samples?",
        {"augmentation": "none"},
    ),
    "outlines of the field as it is": Ablation(
        "Is it worth cutting leukocytes out along the outlines found in other light, in grey and alone, too?",
        {"appearances": 0},
    ),
    "no weight averaging": Ablation(
        "Does the moving average of the weights to the end beat the epoch with the lowest validation loss?",
        {"weight_averaging": 0.0, "keep_last": False},
    ),
    "no balanced sampling": Ablation(
        "Do as many fields of each class help the rare ones, Benign above all?", {"balanced_sampling": False}
    ),
    "CLAHE": Ablation(
        "Does equalising contrast help, or does it carry the background into the leukocytes?", {"clahe": True}
    ),
    "annotation removal": Ablation(
        "Do painted-over scale bars matter where everything but leukocytes is erased?", {"annotation_removal": True}
    ),
    "output stride 32": Ablation(
        "Does a last block with a quarter of the places tell cells apart as well?", {"output_stride": 32}
    ),
    "canvases only": Ablation(
        "Is it needed to see whole fields, too, as they are met later?", {"whole_field_share": 0.0}
    ),
    "whole fields only": Ablation("Is it needed to see canvases at all?", {"whole_field_share": 1.0}),
    "one field a canvas": Ablation(
        "Is it better to see more cells of one field at a time than cells of more fields?", {"fields_per_canvas": 1}
    ),
    "no label smoothing": Ablation("Does smoothing the targets help in other sessions?", {"label_smoothing": 0.0}),
    "weaker weight decay": Ablation("Is the stronger weight decay needed?", {"weight_decay": 0.01}),
    "without averaging, smoothing, decay": Ablation(
        "Do averaged weights, smoothed targets and the stronger weight decay matter together?",
        {"weight_averaging": 0.0, "keep_last": False, "label_smoothing": 0.0, "weight_decay": 0.01},
    ),
}


def plan(
    *,
    source: str,
    split: Path,
    groups: str | None,
    seeds: Sequence[int] = (0, 1),
    only: Collection[str] = (),
    cache: Path | None = None,
    default: TrainConfig = DEFAULT,
    base: Mapping[str, Any] = BASE,
) -> list[Experiment]:
    """List the experiments, seed by seed, so that all variants have one before any has two.

    Args:
        source: As in `TrainConfig`.
        split: Split table; its test part is what the table is about.
        groups: Group table, by whose groups a missing validation part is cut out of train.
        seeds: Of each variant.
        only: Names of the variants that are wanted; empty: all.
        cache: As in `TrainConfig`.
        default: The recipe whose ingredients are changed.
        base: Values that make it cheap.

    Raises:
        TrainingError: If a variant is unknown or a seed comes twice.
    """
    if unknown := [name for name in only if name not in ABLATIONS]:
        raise TrainingError(f"there is no ablation {unknown[0]!r}; choose among: {'; '.join(ABLATIONS)}")
    if not seeds or len(set(seeds)) < len(seeds):
        raise TrainingError("the seeds must be different, and at least one")
    shared = dataclasses.replace(default, **base)
    experiments = []
    for seed in seeds:
        for name, ablation in ABLATIONS.items():
            if only and name not in only:
                continue
            config = dataclasses.replace(
                shared, source=source, split=split, groups=groups, cache=cache, seed=seed, **ablation.changes
            )
            title = f"{name}-samples{SAMPLES}-seed{seed}"
            experiments.append(Experiment(title, name, split.stem, config, in_other_light=True))
    return experiments


def check_record(record: Path, entries: Mapping[str, Mapping[str, Any]], settings: Mapping[str, Any]) -> None:
    """See to it that no variant is compared with a reference of another size or length.

    Args:
        record: The experiments file, for the message.
        entries: Its content, from `leuk_hf.experiments.read_entries`.
        settings: `Experiment.changes` of the reference as it is to be run.

    Raises:
        TrainingError: If the file has runs on other settings.
    """
    for entry in entries.values():
        if entry["samples"] != SAMPLES or entry["variant"] not in ABLATIONS:
            continue
        own = entry["changes"]
        for name in sorted({*own, *settings} - set(ABLATIONS[entry["variant"]].changes)):
            if own.get(name) != settings.get(name):
                raise TrainingError(
                    f"{record} has runs with {name} {own.get(name, 'as in the recipe')}, not"
                    f" {settings.get(name, 'as in the recipe')}; give another --record, or the same settings"
                )


def in_other_sessions(entry: Mapping[str, Any]) -> float | None:
    """Give a run's balanced accuracy on the test part."""
    return value_of(entry, "test", "metrics", "balanced_accuracy")


def in_other_light(entry: Mapping[str, Any]) -> float | None:
    """Give the mean of a run's balanced accuracies on the validation part, changed as `OTHER_LIGHT` says."""
    values = [value_of(entry, part_in("validation", light), "metrics", "balanced_accuracy") for light in OTHER_LIGHT]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if len(known) == len(values) else None


def judge(
    entries: Sequence[Mapping[str, Any]], measure: Callable[[Mapping[str, Any]], float | None] = in_other_sessions
) -> dict[str, dict[str, Any]]:
    """Weigh every variant against the reference.

    Args:
        entries: From `leuk_hf.experiments.read_entries`.
        measure: By which they are weighed.

    Returns:
        Variant -> values (by seed), reference (of the same seeds), gain (the reference's mean less the variant's, over
        the seeds that both have, by samples made alike: `samples` of the entries), spread (the larger of the two
        ranges between seeds) and effect of the recipe's ingredient: 1 if it gains more than the spread, -1 if it costs
        more, else 0; None with fewer than two common seeds.
    """
    # Keyed by seed and by how samples were made: those of other code differ in more than the ingredient.
    values: dict[str, dict[tuple[int, int], float]] = {}
    for entry in entries:
        value = measure(entry)
        if value is not None:
            values.setdefault(entry["variant"], {})[entry["seed"], entry["samples"]] = value
    reference = values.get(REFERENCE, {})
    judged = {}
    for name in dict.fromkeys(entry["variant"] for entry in entries):
        if name == REFERENCE:
            continue
        own = values.get(name, {})
        keys = sorted(set(own) & set(reference))
        ours, theirs = [own[key] for key in keys], [reference[key] for key in keys]
        content: dict[str, Any] = {"values": ours, "reference": theirs, "gain": None, "spread": None, "effect": None}
        if len({seed for seed, _ in keys}) > 1:
            gain = sum(theirs) / len(theirs) - sum(ours) / len(ours)
            spread = max(max(ours) - min(ours), max(theirs) - min(theirs))
            content |= {"gain": gain, "spread": spread, "effect": (gain > spread) - (-gain > spread)}
        judged[name] = content
    return judged


def verdict(in_sessions: int | None, in_light: int | None) -> str:
    """Say what becomes of an ingredient: it stays only if its gain exceeds the spread between seeds somewhere.

    Args:
        in_sessions: Its effect on other sessions, from `judge`.
        in_light: Its effect on other light.
    """
    effects = {"other sessions": in_sessions, "other light": in_light}
    if None in effects.values():
        return "not known"
    gains = [place for place, effect in effects.items() if effect == 1]
    costs = [place for place, effect in effects.items() if effect == -1]
    if gains:
        return f"stays, for {' and '.join(gains)}" + (f", at a cost in {costs[0]}" if costs else "")
    return f"goes: better without it in {' and '.join(costs)}" if costs else "goes: no gain beyond the spread"


def ablation_table(entries: Sequence[Mapping[str, Any]]) -> str:
    """Write the ablations as Markdown, in the order of `ABLATIONS`, runs on samples of other code apart.

    Args:
        entries: From `leuk_hf.experiments.read_entries`; those of variants that are no longer asked for are left out.
    """
    lines = [
        "| variant | samples | question | other sessions (test): balanced accuracy, mean ± SD (each seed) | gain of"
        " default's ingredient (spread between seeds) | other light (validation): mean of balanced accuracies, mean"
        " ± SD (each seed) | gain of default's ingredient (spread between seeds) | balanced accuracy, validation |"
        " default's ingredient |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for samples, (name, ablation) in itertools.product(sorted({one["samples"] for one in entries}), ABLATIONS.items()):
        alike = [entry for entry in entries if entry["samples"] == samples]
        own = sorted((entry for entry in alike if entry["variant"] == name), key=lambda entry: entry["seed"])
        if not own:
            continue
        cells, effects = [name, str(samples), ablation.question], []
        for measure in (in_other_sessions, in_other_light):
            values = [measure(entry) for entry in own]
            each = ", ".join("not defined" if value is None else f"{value:.3f}" for value in values)
            weighed = judge(alike, measure).get(name, {"gain": None, "spread": None, "effect": None})
            effects.append(weighed["effect"])
            gain = "" if weighed["gain"] is None else f"{weighed['gain']:+.3f} ({weighed['spread']:.3f})"
            cells += [f"{mean_and_spread(values)} ({each})".lstrip(), gain]
        cells.append(mean_and_spread([value_of(entry, "validation", "metrics", "balanced_accuracy") for entry in own]))
        cells.append("" if name == REFERENCE else verdict(*effects))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
