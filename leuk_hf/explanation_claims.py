"""Sentences that measured explanations support; see `leuk_hf.claims`. The worst class decides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from leuk_hf.claim import Claim, high_end, low_end, number
from leuk_hf.sentence import Sentence

ON_LEUKOCYTES = 0.8  # of what the leukocytes' own map reaches
LEARNED = 0.3  # rank correlation with a random network's map up to which a map counts as learned


def explanation_claims(results: dict[str, Any]) -> Iterator[Claim]:
    """Give the sentences.

    Args:
        results: Content of a results.json.
    """
    for name, entry in results.get("explanations", {}).items():
        chosen = entry["chosen"]
        if chosen is None:
            yield Claim(
                Sentence("No map is shown to be true to it."),
                Sentence("no gain over random blocks ({name})", name=name),
                Sentence("That its maps are false."),
                False,
            )
            continue
        own = next(one for one in entry["maps"] if all(one[key] == chosen[key] for key in ("method", "layer")))
        of_perfect = {
            label: figures["of_perfect"]
            for label, figures in own["classes"].items()
            if label != "all" and figures.get("of_perfect", {}).get("value") is not None
        }
        low = min(map(low_end, of_perfect.values()), default=0.0)
        classes = {label: figures for label, figures in own["classes"].items() if label != "all"}
        hottest = _by_class(classes, "pointing")
        beside = low >= ON_LEUKOCYTES and min(hottest.values(), default=1.0) < ON_LEUKOCYTES
        figure = Sentence(
            "{shares} of what the leukocytes' own map reaches on the same grid ({method}, {layer})",
            shares=_listed({label: share["value"] for label, share in of_perfect.items()}),
            method=chosen["method"],
            layer=chosen["layer"],
        )
        if hottest:
            figure = Sentence(
                "{before}; the hottest place is on a leukocyte in {shares} of the fields",
                before=figure,
                shares=_listed(hottest),
            )
        yield Claim(
            Sentence(
                "Nearly as much of its map lies on leukocytes as its coarse grid allows, but not always its hottest"
                " place."
            )
            if beside
            else Sentence("Its map lies on leukocytes, and what it shows matters for the answer.")
            if low >= ON_LEUKOCYTES
            else Sentence("What its map shows matters for the answer, but part of it lies beside leukocytes."),
            figure,
            Sentence("What about a leukocyte decides; where only leukocytes can be seen, a map on them is no merit."),
            low >= ON_LEUKOCYTES and not beside,
        )
        random = _by_class(classes, "network_randomised")
        if not random:
            continue
        label = max(random, key=lambda name: random[name])
        worst, all_classes = classes[label], own["classes"]["all"]
        learned = high_end(worst["network_randomised"]) <= LEARNED
        yield Claim(
            Sentence("Where its map is hot depends on what it has learned.")
            if learned
            else Sentence("Where its map is hot is in part given by its architecture, not by what it has learned."),
            Sentence(
                "rank correlation with the map of a random network {network} ({label} {worst}), of a random classifier"
                " {classifier}, of random blocks {unrelated}",
                network=number(all_classes["network_randomised"]),
                label=label,
                worst=number(worst["network_randomised"]),
                classifier=number(all_classes["classifier_randomised"]),
                unrelated=number(all_classes["unrelated"]),
            ),
            Sentence("Which part: a network that sees leukocytes alone marks them whatever its weights."),
            learned,
        )


def _by_class(classes: Mapping[str, Any], name: str) -> dict[str, float]:
    figures = {label: row[name] for label, row in classes.items() if row.get(name)}
    return {label: figure["value"] for label, figure in figures.items() if figure["value"] is not None}


def _listed(values: Mapping[str, float]) -> str:
    return ", ".join(f"{label} {value:.2f}" for label, value in values.items())
