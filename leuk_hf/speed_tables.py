"""How fast leuk_hf is, as Markdown, from results.json alone; ratios first: they carry over to other machines.

Shared contract: a figure is {"median", "quartiles"} and is written as median (lower quartile-upper quartile).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

_FEATURE_NAMES = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx512_bf16": "AVX512-BF16",
    "amx_bf16": "AMX",
    "asimd": "NEON",
    "bf16": "BF16",
    "sve": "SVE",
}
_PACKAGES = ("torch", "openvino", "onnxruntime", "captum", "grad-cam")


def speed_text(results: dict[str, Any], sections: Collection[str] | None = None) -> str:
    """Write the section `speed` of results.json as Markdown; empty without one.

    Args:
        results: Content of a results.json.
        sections: Tables that are shown: inference, stages, cold, memory, training, parity; by default all.
    """
    writers = {
        "inference": _inference,
        "stages": _stages,
        "cold": _cold,
        "memory": _memory,
        "training": _training,
        "parity": _parity,
    }
    shown = [
        (write, entry)
        for section, write in writers.items()
        for name, entry in results.get("speed", {}).items()
        if name.split()[0] == section and (sections is None or section in sections)
    ]
    sources = [f"{machine_sentence(entry)} Made by `{entry['command']}`." for _, entry in shown]
    is_common = len(set(sources)) == 1  # then it is said once
    texts = [f"On {sources[0]}"] if is_common else []
    for (write, entry), source in zip(shown, sources, strict=True):
        footer = " ".join(part for part in ("" if is_common else f"On {source}", load_sentence(entry)) if part)
        texts.append("\n\n".join(part for part in (write(entry), footer) if part))
    return "\n\n".join(texts)


def machine_sentence(entry: dict[str, Any]) -> str:
    """Say on what an entry was measured.

    Args:
        entry: Of the section `speed`: machine and versions.
    """
    machine = entry["machine"]
    features = [
        f"{word} {', '.join(_FEATURE_NAMES[name] for name in names)}"
        for word, there in (("with", True), ("without", False))
        if (names := [name for name, found in machine["features"].items() if found is there])
    ]
    versions = {**entry.get("versions", {}), **machine["packages"]}
    packages = [f"{name} {versions[name]}" for name in _PACKAGES if name in versions]
    threads = machine["threads"]
    counts = f"threads: torch {threads['torch']}"
    if isinstance(threads["openvino"], int):
        counts += f", the others {threads['openvino']}"
    variables = "".join(f", {name}={value}" for name, value in machine["thread_variables"].items())
    return (
        f"{machine['processor']}, {machine['cores']} cores, {', '.join(features) or 'features not known'} (bfloat16"
        f" {machine['bfloat16']}); {counts}{variables}; {', '.join(packages)}."
    )


def load_sentence(entry: dict[str, Any]) -> str:
    """Say whether the machine was busy; empty where the system does not tell.

    Args:
        entry: Of the section `speed`: machine, and load_average at start and end.
    """
    start, end = entry["load_average"]
    if start is None:
        return ""
    cores = entry["machine"]["cores"]
    # What is measured keeps all cores busy itself, so the end shows less than the start.
    busy = start > 0.5 * cores or end > cores + 1
    warning = ": **the machine was busy; of these figures only the ratios count**" if busy else ""
    return f"Load average {start:g} at the start, {end:g} at the end{warning}."


def _inference(entry: dict[str, Any]) -> str:
    size, floor = entry["image_size"], entry["floor"]
    peers = {peer: None for row in entry["rows"] for peer in row.get("times_faster", {})}
    headings = "".join(f" | times faster than {peer.split()[0].rstrip(':')}" for peer in peers)
    lines = [
        f"**From pixel_values to an explained answer**, {entry['model']}, {size} pixels, one image unless said"
        f" otherwise: medians of {entry['rounds']} interleaved rounds (quartiles), ratios taken within each round."
        " Maps: largest difference to Captum's, relative to their largest value.",
        "",
        f"| way{headings} | times the floor | ms | maps |",
        f"|---|{'---|' * (len(peers) + 3)}",
    ]
    for row in entry["rows"]:
        if "missing" in row:
            lines.append(f"| {row['name']} | {row['missing']}{' |' * (len(peers) + 3)}")
            continue
        ratios = " | ".join(_figure(row["times_faster"][peer]) for peer in peers)
        difference = row["map_difference"]
        maps = "" if difference is None else f"{difference:.1e}" if difference else "0"
        note = f" ({row['note']})" if "note" in row else ""
        time = _figure(row["milliseconds"])
        lines.append(f"| {row['name']}{note} | {ratios} | {_figure(row['over_floor'])} | {time} | {maps} |")
    rates = ", ".join(f"{name} {rate:.0f}" for name, rate in floor["gigaflops_per_second"].items())
    lines.append(f"| floor |{' |' * len(peers)} 1 | {_figure(floor['milliseconds'])} | |")
    lines += [
        "",
        f"The floor is the network's {entry['flops'] / 1e9:.2f} GFLOP (convolutions and linear layers) at the rate of"
        f" the fastest large matrix product in the same rounds ({floor['product']}; GFLOP/s: {rates}).",
    ]
    return "\n".join(lines)


def _stages(entry: dict[str, Any]) -> str:
    files = entry["files"]
    lines = [
        f"**From the bytes of a JPEG to the bytes of its overlay (PNG)**, by stage, {entry['predictor']}: ms, medians"
        f" of {entry['rounds']} rounds (quartiles), and share of the whole. A photo is reduced while it is decoded.",
        "",
        f"| stage | {' | '.join(f'{name} | share' for name in files)} |",
        f"|---|{'---|---|' * len(files)}",
    ]
    for stage in next(iter(files.values()))["stages"]:
        if stage == "annotation removal" and not entry["annotation_removal"]:
            continue
        cells = [file["stages"][stage] for file in files.values()]
        text = " | ".join(f"{_figure(cell['milliseconds'])} | {100 * cell['share']:.0f} %" for cell in cells)
        lines.append(f"| {stage} | {text} |")
    for key, title in (("without_network", "all but the network"), ("all", "all")):
        lines.append(f"| **{title}** | {' | '.join(f'{_figure(file[key])} | ' for file in files.values())}|")
    return "\n".join(lines)


def _cold(entry: dict[str, Any]) -> str:
    lines = [
        f"**A cold process**, seconds from its start to its end, medians of {entry['rounds']} interleaved rounds"
        " (quartiles); files in the system's cache.",
        "",
        "| process | s | of which after Python has started | loads |",
        "|---|---|---|---|",
    ]
    for name, row in entry["rows"].items():
        loaded = ", ".join(row["loaded"]) or "neither torch nor timm"
        lines.append(f"| {name} | {_figure(row['seconds'])} | {_figure(row['seconds_inside'])} | {loaded} |")
    return "\n".join(lines)


def _memory(entry: dict[str, Any]) -> str:
    lines = [
        f"**Peak memory of `scripts/predict.py`** on synthetic JPEG fields of {entry['field_size']} pixels:",
        "",
        "| backend | files | peak, MB | images per second |",
        "|---|---|---|---|",
    ]
    for row in entry["rows"]:
        rate = f"{row['images_per_second']:.3g}"
        lines.append(f"| {row['backend']} | {row['num_files']} | {row['peak_megabytes']:.0f} | {rate} |")
    return "\n".join(lines)


def _training(entry: dict[str, Any]) -> str:
    lines = [
        f"**Training throughput**, {entry['image_size']} pixels, batches of {entry['batch_size']} on"
        f" {entry['device']}: medians of {entry['rounds']} interleaved rounds (quartiles). The plain loop decodes and"
        " equalises every field in every epoch and trains in float32; the others take the fields from the cache of"
        " `train.py`.",
        "",
        "| loop | times the plain loop | images per second |",
        "|---|---|---|",
    ]
    for name, row in entry["rows"].items():
        lines.append(f"| {name} | {_figure(row['times_plain'])} | {_figure(row['images_per_second'])} |")
    sizes = entry["progressive_sizes"]
    if sizes:
        lines += ["", f"Progressive: equal shares of the images at {', '.join(map(str, sizes))} pixels."]
    return "\n".join(lines)


def _parity(entry: dict[str, Any]) -> str:
    lines = [
        f"**Same answers on every backend**, on {entry['fields']}, {entry['model']}, compared with"
        f" {entry['reference']}. Probabilities: fields above {entry['margin']:g}. Sets and verdicts: in brackets,"
        f" those that differ within {entry['margin']:g} of a threshold.",
        "",
        "| backend | fields | labels differ | probabilities | largest difference | sets | verdicts"
        " | maps: median and largest relative difference | lowest correlation |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in entry["backends"].items():
        differing = row["differing"]
        sets, verdicts = (f"{differing[key]} ({differing[f'{key}_near_threshold']})" for key in ("set", "verdict"))
        lines.append(
            f"| {name} | {row['num_fields']} | {differing['label']} | {differing['probability']}"
            f" | {row['largest_probability_difference']:.1e} | {sets} | {verdicts}"
            f" | {row['map_difference']['median']:.1e}, {row['map_difference']['largest']:.1e}"
            f" | {row['lowest_map_correlation']:.6f} |"
        )
    named = [
        f"- {name}: {field['file']} ({', '.join(field['differs_in']).replace('_', ' ')})"
        for name, row in entry["backends"].items()
        for field in row["differing"]["fields"]
    ]
    # The README is no place for hundreds of names; results.json has them all.
    more = [f"- and {len(named) - 10} more, in results.json"] if len(named) > 10 else []
    return "\n".join([*lines, *(["", *named[:10], *more] if named else [])])


def _figure(figure: dict[str, Any]) -> str:
    lower, upper = figure["quartiles"]
    return f"{_number(figure['median'])} ({_number(lower)}-{_number(upper)})"


def _number(value: float) -> str:
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
