"""What was measured on the data set and on the measuring tools, as Markdown, from results.json alone."""

from __future__ import annotations

from typing import Any


def data_text(results: dict[str, Any]) -> str:
    """Write the section `data` of results.json as Markdown; empty without one.

    Args:
        results: Content of a results.json.
    """
    data = results.get("data", {})
    writers = {
        "groups": _groups,
        "overlaps_judged_pairs": _judged_pairs,
        "overlaps_windows_of_synthetic_scenes": _windows,
        "leukocyte_segmentation": _segmentation,
        "annotation_removal": _annotation,
        "cell_shape": _cell_shape,
    }
    texts = [f"{write(data[name])}\n\n(`{data[name]['command']}`)" for name, write in writers.items() if name in data]
    return "\n\n".join(texts)


def _groups(entry: dict[str, Any]) -> str:
    sessions: dict[str, int] = {}
    for counts in entry["acquisitions"].values():
        for label in counts:
            sessions[label] = sessions.get(label, 0) + 1
    return (
        f"**Groups.** {entry['num_fields']} fields: {entry['num_exact_copies']} are exact copies of another,"
        f" {entry['num_overlaps']} pairs show the same place ({entry['num_overlaps_across_classes']} across classes),"
        f" {entry['num_fields_linked']} fields have a copy or a neighbour; {entry['num_groups']} groups, the largest"
        f" of {entry['largest_groups'][0]} fields. Acquisition sessions inferred:"
        f" {', '.join(f'{label} {count}' for label, count in sessions.items())}; nearly one session:"
        f" {', '.join(entry['classes_in_stretches']) or 'none'}."
    )


def _judged_pairs(entry: dict[str, Any]) -> str:
    return (
        f"**Overlap links, real pairs judged by eye** ({entry['num_yes']} overlap, {entry['num_no']} do not):"
        f" recall {_share(entry['recall'])}, precision {_share(entry['precision'])}. The pairs were seen while"
        " thresholds were set."
    )


def _windows(entry: dict[str, Any]) -> str:
    lines = [
        "**Overlap links, synthetic windows with known shifts,** degraded by light, focus, noise and JPEG: precision"
        f" {_share(entry['precision'])}.",
        "",
        "| overlap | pairs | recall (95 % interval) |",
        "|---|---|---|",
    ]
    for name, row in entry["by_overlap"].items():
        lines.append(f"| {name} | {row['num_pairs']} | {_share(row['recall'])} |")
    return "\n".join(lines)


def _segmentation(entry: dict[str, Any]) -> str:
    names = {
        "leuk_hf": "leuk_hf",
        "otsu_blurred_a": "Otsu on blurred a*",
        "data_set_authors": "the data set's own masks",
    }
    lines = [
        "**Leukocyte segmentation** against outlines drawn by eye, on fields not used for fitting:",
        "",
        "| method | class | fields | Dice | count error | leukocyte pixels within 3 px |",
        "|---|---|---|---|---|---|",
    ]
    for method, classes in entry["methods"].items():
        for label, row in classes.items():
            figures = " | ".join(_share(row[name]) for name in ("dice", "count_error", "coverage"))
            lines.append(f"| {names.get(method, method)} | {label} | {row['num_fields']} | {figures} |")
    return "\n".join(lines)


def _annotation(entry: dict[str, Any]) -> str:
    found = "; ".join(f"{style} {_share(row)} of {row['num_fields']}" for style, row in entry["recall"].items())
    alarms = "; ".join(f"{name} {_share(row)} of {row['num_fields']}" for name, row in entry["false_alarms"].items())
    return (
        f"**Burnt-in annotation.** Found, by style: {found}. False alarms: {alarms}. Thresholds were set while looking"
        " at this data set, so these figures are no held-out test."
    )


def _cell_shape(entry: dict[str, Any]) -> str:
    by_session = entry["by_session"].values()
    return (
        f"**Shape of leukocytes.** {shape_text(entry)} times as wide as tall: mean and interval of"
        f" {entry['num_leukocytes']} that lie wholly inside of {entry['num_fields']} fields, in single sessions"
        f" {min(by_session):.2f} to {max(by_session):.2f}."
    )


def shape_text(entry: dict[str, Any]) -> str:
    """Write how wide leukocytes are for their height, with its interval.

    Args:
        entry: `cell_shape` of the section `data` of results.json.
    """
    return _share(entry["width_over_height"])


def _share(figure: dict[str, Any]) -> str:
    if figure["value"] is None:
        return "not known"
    low, high = figure["interval"]
    return f"{figure['value']:.3f} ({low:.3f}-{high:.3f})"
