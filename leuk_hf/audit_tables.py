"""Audits and baselines as Markdown, from the JSON types of results.json alone: light enough for a model card."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

BASELINES = "baselines"  # entry of the audit section that belongs to no classifier


def audit_table(report: dict[str, Any], sections: Collection[str] | None = None) -> str:
    """Write an audit as Markdown: findings first, then one line per row.

    Args:
        report: An `AuditReport.to_dict`.
        sections: Sections whose rows are shown; by default all.
    """
    lines = [f"{'**Exposed:**' if finding['exposed'] else 'Not found:'} {finding['name']}. {finding['evidence']}"
             for finding in report["findings"]]  # fmt: skip
    table = [
        "| what was done to the field | accuracy (95 % interval) | balanced accuracy | predictions changed"
        " | followed the donor | refused | mean top probability |",
        "|---|---|---|---|---|---|---|",
    ]
    section = None
    for name, row in report["rows"].items():
        if sections is not None and row["section"] not in sections:
            continue
        if row["section"] != section:
            section = row["section"]
            table.append(f"| *{section}* | | | | | | |")
        cells = [
            name,
            f"{_percent(row['accuracy'])} ({_bounds(row['accuracy'])})",
            f"{_percent(row['balanced_accuracy'])} ({_bounds(row['balanced_accuracy'])})",
            "" if section == "field" else _percent(row["changed"]),
            "" if row["followed_donor"] is None else _percent(row["followed_donor"]),
            "cannot" if row["refused"] is None else _percent(row["refused"]),
            f"{row['mean_top_probability']:.2f}",
        ]
        table.append(f"| {' | '.join(cells)} |")
    checks = report["checks"]
    before, after = checks["leukocyte_area_share"], checks["leukocyte_area_share_after_inpainting"]
    cloned = checks["leukocyte_area_share_after_cloning"]
    bluish = ""  # reports from before that row have none
    if (left := checks.get("leukocyte_area_share_without_bluish")) is not None:
        share = 100 * checks["bluish_hole_area_share"]
        bluish = f", {100 * left:.2f} % without anything bluish, which takes {share:.0f} % of the field along"
    notes = (
        f"Checks: leukocytes cover {100 * before:.1f} % of the fields, {100 * after:.2f} % after inpainting and"
        f" {100 * cloned:.2f} % after cloning{bluish}, by the audit's own segmentation; the sham holes have"
        f" {100 * checks['sham_hole_area_ratio']:.0f} % of the area of the real ones; corner: {checks['corner']};"
        f" fields without any leukocyte found: {checks['num_fields_without_leukocytes']} of {report['num_fields']}."
    )
    return "\n".join(["\n".join(f"- {line}" for line in lines), "", *table, "", notes])


def baseline_table(content: dict[str, Any]) -> str:
    """Write baselines as Markdown: one line per feature set, one column per protocol.

    Args:
        content: Protocol -> feature set -> `summarise`.
    """
    protocols = list(content)
    lines = [
        f"| a random forest on | {' | '.join(protocols)} |",
        f"|---|{'---|' * len(protocols)}",
    ]
    for name in next(iter(content.values()))["features"]:
        cells = []
        for protocol in protocols:
            figure = content[protocol]["features"][name]["accuracy"]
            low, high = figure["interval"]
            cells.append(f"{100 * figure['value']:.1f} % ({100 * low:.1f}-{100 * high:.1f})")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _percent(figure: dict[str, Any]) -> str:
    return f"{100 * figure['value']:.1f} %"


def _bounds(figure: dict[str, Any]) -> str:
    low, high = figure["interval"]
    return f"{100 * low:.1f}-{100 * high:.1f}"
