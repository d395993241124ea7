"""A model card's metadata: what the Hub indexes, with every protocol as a result of its own, from results.json alone.

Shared contract: no figure is put here that is not in results.json; figures that are not defined are left out.

Source: https://github.com/huggingface/hub-docs/blob/main/modelcard.md
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from leuk_hf.protocol_tables import epochs_of, is_comparison

TASK = "image-classification"
DATASET = "Acute Lymphoblastic Leukemia (ALL) image dataset"
ARCHIVE_FIELDS = 3256  # files in its folder Original, as Kaggle gives it
# Figure of results.json -> metric of the Hub; the others are named as they are.
_METRICS = {"macro_f1": "f1", "mean_auroc": "roc_auc"}
METRIC_IDS = ("accuracy", "f1", "precision", "recall", "roc_auc")


def card_data(
    base: ModelCardData,
    results: Mapping[str, Any],
    *,
    model_name: str,
    recipe: str | None = None,
    data_name: str = DATASET,
    base_model: str | None = None,
    widget: Sequence[Mapping[str, Any]] = (),
) -> ModelCardData:
    """Complete the metadata that all models of the class share.

    Args:
        base: Of the class.
        results: Content of results.json; {} without one.
        model_name: For the index.
        recipe: Whose figures over folds and seeds are the model's, too; None: only those of the checkpoint itself.
        data_name: What it was evaluated on.
        base_model: Hub id of the weights that the training began with, if it was any.
        widget: Sample images with expected outputs: src, example_title, output.
    """
    content = base.to_dict()
    evaluated = list(_results(results, recipe, data_name))
    if evaluated:
        content |= {"model_name": model_name, "eval_results": evaluated, "metrics": list(METRIC_IDS)}
    if base_model:
        content["base_model"] = base_model
    if widget:
        content["widget"] = [dict(one) for one in widget]
    return ModelCardData(**content)


def _results(results: Mapping[str, Any], recipe: str | None, data_name: str) -> Iterator[EvalResult]:
    protocols = sorted(results.get("protocols", {}).items(), key=lambda item: is_comparison(item[1]))
    for key, entry in protocols:  # these very weights first
        if not is_comparison(entry):
            yield from _of_one(entry, f"{data_name}, protocol {key}, this checkpoint", key, data_name)
        elif recipe in entry["recipes"]:
            without = f" without {', '.join(entry['without'])}" if entry["without"] else ""
            count = len(entry["runs"])
            runs = "1 run" if count == 1 else f"{count} runs"
            epochs = epochs_of(entry["recipes"][recipe])
            length = "" if epochs is None else f" of {epochs} epochs"
            place = f"{data_name}, protocol {entry['protocol']}{without}, recipe {recipe}, {runs}{length}"
            yield from _of_one({**entry["recipes"][recipe], "part": entry["part"]}, place, key, data_name)


def _of_one(entry: Mapping[str, Any], place: str, config: str, data_name: str) -> Iterator[EvalResult]:
    def result(metric: str, name: str, value: float) -> EvalResult:
        return EvalResult(
            task_type=TASK,
            task_name="Image classification",
            dataset_type="imagefolder",
            dataset_name=place,
            dataset_config=config,
            dataset_split=entry["part"],
            metric_type=metric,
            metric_name=name,
            metric_value=value,
        )

    for name, figure in entry["metrics"].items():
        if figure["value"] is not None:
            yield result(_METRICS.get(name, name), name.replace("_", " "), figure["value"])
    for class_name, figures in entry["per_class"].items():
        for name, metric in (("sensitivity", "recall"), ("specificity", "specificity"), ("precision", "precision")):
            if name in figures and figures[name]["value"] is not None:
                yield result(metric, f"{class_name} {name}", figures[name]["value"])
