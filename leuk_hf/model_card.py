"""The model card: model_card.md, a Jinja template, filled from a model's config and its results.json."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard, ModelCardData

from leuk_hf._version import __version__
from leuk_hf.audit_tables import BASELINES, audit_table, baseline_table
from leuk_hf.claims import claims_text
from leuk_hf.data_tables import data_text, shape_text
from leuk_hf.explanation_tables import explanations_text
from leuk_hf.model_config import IMAGENET_REPOSITORY
from leuk_hf.model_index import ARCHIVE_FIELDS, DATASET, card_data
from leuk_hf.protocol_tables import comparison_text, figure_text, is_comparison
from leuk_hf.speed_tables import speed_text
from leuk_hf.training_config import kept_last

_PACKAGE = Path(__file__).parent
_REFUSAL = {
    "answered": "share answered",
    "accuracy": "accuracy of the answered",
    "balanced_accuracy": "balanced accuracy of the answered",
}


def template_path() -> Path:
    """Find the template: beside the package's other assets when installed, at the top of a checkout."""
    installed = _PACKAGE / "assets" / "model_card.md"
    return installed if installed.is_file() else _PACKAGE.parent / "model_card.md"


def render_model_card(
    base: ModelCardData,
    config: dict[str, Any],
    *,
    results: dict[str, Any] | None = None,
    training: dict[str, Any] | None = None,
    data_name: str = DATASET,
    widget: Sequence[Mapping[str, Any]] = (),
    plots: Sequence[str] = (),
    earlier: str | None = None,
    brings_package: bool = False,
) -> ModelCard:
    """Fill the template.

    Args:
        base: Metadata that all models share.
        config: A model's `config`.
        results: Content of the results.json that belongs to the weights; without it the card says that no
            evaluation is recorded.
        training: Content of the training.json that belongs to the weights.
        data_name: What the weights were trained and evaluated on.
        widget: Sample images, as for `model_index.card_data`.
        plots: Names of plots of figures beside the card.
        earlier: Commit up to which the repository holds figures of other weights.
        brings_package: Whether what runs the model of leuk_hf lies beside the card, with its requirements.txt.
    """
    settings = config["leuk_hf"]
    recorded = training or {}
    return ModelCard.from_template(
        card_data=card_data(
            base,
            results or {},
            model_name="leuk_hf",
            recipe=recorded.get("recipe"),
            data_name=data_name,
            base_model=IMAGENET_REPOSITORY if recorded.get("starting_weights") == "imagenet" else None,
            widget=widget,
        ),
        template_str=template_path().read_text(encoding="utf-8"),
        settings=settings,
        timm_knows=config["architecture"] == "densenet121",
        training=training,
        stages=stages_of(recorded),
        data_name=data_name,
        is_kaggle=data_name == DATASET,
        data_share=data_share(recorded) if data_name == DATASET else "",
        plots=plots,
        earlier=earlier,
        brings_package=brings_package,
        validation_calibrates=_validation_calibrates(results or {}, recorded),
        keeps_last=kept_last(recorded.get("config", {})),
        calibrated_alone=_calibrated_alone(results or {}),
        refuses=any(limit is not None for limit in settings["refusal_limits"].values()),
        results_table=results_table(results) if results else None,
        claims=claims_text(results or {}),
        audit=audit_text(results or {}),
        explanations=explanations_text(results or {}),
        baselines=baselines_text(results or {}),
        data=data_text(results or {}),
        cell_shape=shape_text(measured) if (measured := (results or {}).get("data", {}).get("cell_shape")) else None,
        speed=speed_text(results or {}),
        version=__version__,
    )


def _validation_calibrates(results: Mapping[str, Any], training: Mapping[str, Any]) -> bool:
    """Tell whether more fields calibrated the network than its calibration part has."""
    kept = sum(training.get("fields", {}).get("calibration", {}).values())
    counts = [entry.get("num_calibration_fields", 0) for entry in results.get("calibration", {}).values()]
    return bool(kept) and max(counts, default=0) > kept


def _calibrated_alone(results: Mapping[str, Any]) -> str:
    """Say what calibrating on the calibration part alone would have given; empty if it was not measured."""
    told = []
    for entry in results.get("calibration", {}).values():
        alone = entry.get("calibration_part_alone", {})
        for part in (name for name in alone if name.endswith("_part")):
            figures = {**alone[part]["metrics"], "sets": alone[part]["prediction_sets"]["mean_size"]}
            error, sets, accuracy = (
                figure_text(figures[name]) for name in ("expected_calibration_error", "sets", "balanced_accuracy")
            )
            told.append(
                f"Fitted to the {alone['num_calibration_fields']} fields of the calibration part alone, instead of"
                f" {entry['num_calibration_fields']}, the same weights come to a calibration error of {error}, sets of"
                f" {sets} and a balanced accuracy of {accuracy} on part {part.removesuffix('_part')}."
            )
    return " ".join(told)


def results_table(results: dict[str, Any]) -> str:
    """Write the section `protocols` of results.json as Markdown, with intervals: the checkpoint's own figures, then
    the recipes beside each other.

    Args:
        results: Content of a results.json with a `protocols` section.
    """
    lines = []
    for protocol, section in results["protocols"].items():
        if is_comparison(section):
            continue
        lines += [
            f"Protocol `{protocol}`, part `{section['part']}`: {section['num_fields']} fields, made by",
            f"`{section['command']}`",
            "",
            "| measure | value | 95 % interval |",
            "|---|---|---|",
        ]
        lines += [_line(name, figure) for name, figure in section["metrics"].items()]
        refusal, sets = section.get("with_refusal", {}), section.get("prediction_sets", {})
        lines += [_line(f"with refusal: {_REFUSAL.get(name, name)}", figure) for name, figure in refusal.items()]
        lines += [_line(f"prediction sets: {name}", figure) for name, figure in sets.items()]
        for class_name, figures in section["per_class"].items():
            own = figures["num_fields"]
            for name, count in (("sensitivity", own), ("specificity", section["num_fields"] - own), ("coverage", own)):
                if name in figures:
                    lines.append(_line(f"{class_name} {name} ({count} fields)", figures[name]))
        lines.append("")
    own_figures, compared = "\n".join(lines).strip(), comparison_text(results)
    return "\n\n".join(text for text in (own_figures, compared) if text)


def stages_of(training: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """List the records of the trainings that led to some weights, the first one first; empty if none is recorded.

    Args:
        training: Content of the training.json that belongs to the weights.
    """
    stages = [training] if training else []
    while "started_from" in stages[0] if stages else False:
        stages.insert(0, stages[0]["started_from"])
    return stages


def data_share(training: Mapping[str, Any]) -> str:
    """Say how much of the Kaggle archive a run had, by its own record; empty if it had all, or nothing is recorded.

    Args:
        training: Content of a training.json.
    """
    counts = {part: sum(classes.values()) for part, classes in training.get("fields", {}).items()}
    used = sum(counts.values())
    if not 0 < used < ARCHIVE_FIELDS:
        return ""
    return (
        f"Of the {ARCHIVE_FIELDS} fields of the archive, {used} are in some part of this run"
        f" ({', '.join(f'{part} {count}' for part, count in counts.items())}), copies and neighbours among them."
        f" The other {ARCHIVE_FIELDS - used} are in none: the run saw none of them, and no figure below is of them."
    )


def audit_text(results: dict[str, Any], sections: Collection[str] | None = None) -> str:
    """Write the shortcut audits of results.json as Markdown; empty without any.

    Args:
        results: Content of a results.json.
        sections: Sections of rows to show; by default all.
    """
    texts = []
    for name, report in results.get("audit", {}).items():
        if name != BASELINES:
            made = f"{name}: {report['num_fields']} fields, seed {report['seed']}, made by"
            texts.append(f"{made}\n`{report['command']}`\n\n{audit_table(report, sections)}")
    return "\n\n".join(texts)


def baselines_text(results: dict[str, Any]) -> str:
    """Write the trivial baselines of results.json as Markdown; empty without any.

    Args:
        results: Content of a results.json.
    """
    if (content := results.get("audit", {}).get(BASELINES)) is None:
        return ""
    return f"Made by `{content['command']}`:\n\n{baseline_table(content['protocols'])}"


def _line(name: str, figure: dict[str, Any]) -> str:
    value, interval = figure["value"], figure["interval"]
    shown = "not defined" if value is None else f"{value:.3f}"
    bounds = "not known" if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}"
    return f"| {name.replace('_', ' ')} | {shown} | {bounds} |"
