"""What each ingredient of the recipe `default` is worth: variants with one ingredient changed, several seeds each.

Shared contract: a variant is the recipe `default` with `BASE`, in grey, at low resolution and in few epochs, and with
`changes` put into its config. The checkpoint of a run is that of its last epoch, averaged, or chosen on its validation
part, never on the test part that the table shows.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from leuk_hf.errors import TrainingError
from leuk_hf.experiments import Experiment
from leuk_hf.fields import SAMPLES
from leuk_hf.protocol_tables import mean_and_spread, value_of
from leuk_hf.training_config import DEFAULT, TrainConfig

REFERENCE = "default"  # the variant without a change, which the others are compared with
# In grey, as the recipe was before the leukocytes' colours came to it; the row "in colour" asks what they are worth.
BASE: dict[str, Any] = {"image_size": 112, "num_epochs": 3, "appearances": 3, "view": "leukocytes"}


@dataclasses.dataclass(frozen=True)
class Ablation:
    """One ingredient changed.

    Args:
        question: What the variant asks, in one sentence.
        changes: Values of `TrainConfig` that differ from `default` with `BASE`.
        is_in_recipe: Whether it is the variant that is like the recipe, and `BASE` that lacks the ingredient.
    """

    question: str
    changes: Mapping[str, Any]
    is_in_recipe: bool = False


ABLATIONS: dict[str, Ablation] = {
    REFERENCE: Ablation(
        "How far does the recipe come as it is, but in grey, at low resolution and in few epochs?", {}
    ),
    "whole field": Ablation(
        "Does erasing everything but the leukocytes cost or gain accuracy in other sessions, against whole fields with"
        " the augmentation of plain?",
        {"weights": "scratch", "view": "field", "augmentation": "plain", "output_stride": 32},
    ),
    "in colour": Ablation(
        "Do differences between the colours of a field's leukocytes say more than their luminance alone?",
        {"view": "leukocytes_in_colour"},
        is_in_recipe=True,
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
        "Does the moving average of the weights beat the weights of the last step?", {"weight_averaging": 0.0}
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
            experiments.append(Experiment(f"{name}-samples{SAMPLES}-seed{seed}", name, split.stem, config))
    return experiments


def judge(entries: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Weigh every variant against the reference by the balanced accuracy of the test part.

    Args:
        entries: From `leuk_hf.experiments.read_entries`.

    Returns:
        Variant -> values (by seed), reference (of the same seeds), gain (mean with the recipe's ingredient minus mean
        without it, which is the reference's minus the variant's but for those that are `is_in_recipe`, over the seeds
        that both have, by samples made alike: `samples` of the entries), spread (the larger of the two ranges between
        seeds) and verdict: "stays" if the ingredient
        gains more than the spread, else "goes"; "not known" with fewer than two common seeds.
    """
    # Keyed by seed and by how samples were made: those of other code differ in more than the ingredient.
    values: dict[str, dict[tuple[int, int], float]] = {}
    for entry in entries:
        value = value_of(entry, "test", "metrics", "balanced_accuracy")
        if value is not None:
            values.setdefault(entry["variant"], {})[entry["seed"], entry["samples"]] = value
    reference = values.get(REFERENCE, {})
    judged = {}
    for name, own in values.items():
        if name == REFERENCE:
            continue
        keys = sorted(set(own) & set(reference))
        ours, theirs = [own[key] for key in keys], [reference[key] for key in keys]
        content: dict[str, Any] = {"values": ours, "reference": theirs, "gain": None, "spread": None}
        if len({seed for seed, _ in keys}) > 1:
            gain = sum(theirs) / len(theirs) - sum(ours) / len(ours)
            content["gain"] = -gain if name in ABLATIONS and ABLATIONS[name].is_in_recipe else gain
            content["spread"] = max(max(ours) - min(ours), max(theirs) - min(theirs))
        verdict = "not known" if content["gain"] is None else _verdict(content["gain"], content["spread"])
        judged[name] = {**content, "verdict": verdict}
    return judged


def ablation_table(entries: Sequence[Mapping[str, Any]]) -> str:
    """Write the ablations as Markdown, in the order of `ABLATIONS`, runs on samples of other code apart.

    Args:
        entries: From `leuk_hf.experiments.read_entries`; those of variants that are no longer asked for are left out.
    """
    lines = [
        "| variant | samples | question | balanced accuracy, test: mean ± SD (each seed) | sensitivity for malignant"
        " at 95 % specificity, test | balanced accuracy, validation | gain of default's ingredient | spread between"
        " seeds | default's ingredient |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for samples, (name, ablation) in itertools.product(sorted({one["samples"] for one in entries}), ABLATIONS.items()):
        alike = [entry for entry in entries if entry["samples"] == samples]
        own = sorted((entry for entry in alike if entry["variant"] == name), key=lambda entry: entry["seed"])
        if not own:
            continue
        judged = judge(alike)
        tested = [value_of(entry, "test", "metrics", "balanced_accuracy") for entry in own]
        malignant = [value_of(entry, "test", "metrics", "malignant_sensitivity_at_95_specificity") for entry in own]
        validated = [value_of(entry, "validation", "metrics", "balanced_accuracy") for entry in own]
        each = ", ".join("not defined" if value is None else f"{value:.3f}" for value in tested)
        row = judged.get(name, {"gain": None, "spread": None, "verdict": ""})
        weighed = ["" if row[key] is None else f"{row[key]:+.3f}" for key in ("gain", "spread")]
        cells = [name, str(samples), ablation.question, f"{mean_and_spread(tested)} ({each})",
                 mean_and_spread(malignant), mean_and_spread(validated), weighed[0], weighed[1].lstrip("+"),
                 row["verdict"]]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _verdict(gain: float, spread: float) -> str:
    if gain > spread:
        return "stays"
    return "goes: better without it" if -gain > spread else "goes: no gain beyond the spread"
