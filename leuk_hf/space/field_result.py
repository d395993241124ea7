"""The result of one field as a piece of a page: verdict, field under its heatmap, evidence cells.

Shared contract: everything that a visitor's file or a checkpoint brings is escaped; pictures are data URIs, so that no
file is left on the server and nothing has an address. Opacity, the line between before and after, outlines and the
chosen cell are the browser's alone, see `leuk_hf.space.field_look`.
"""

from __future__ import annotations

import base64
import dataclasses
import html
import math
from typing import Any

import cv2
from PIL import Image

from leuk_hf.errors import LeukError
from leuk_hf.evidence import Evidence, EvidenceCell, FieldCells, crop_box, weigh_cells
from leuk_hf.explanation import Explanation
from leuk_hf.image_encoding import encode_image
from leuk_hf.percentages import probability_text, share_text
from leuk_hf.prediction import Prediction
from leuk_hf.space.language import RIGHT_TO_LEFT
from leuk_hf.space.sentences import verdict, within
from leuk_hf.space.words import say, tell
from leuk_hf.visualization import colourise

NUM_CROPS = 8
CROP_BYTES = 160_000  # of one crop: some 600 by 600 pixels, larger than cells are in most fields
_LONGEST_HEAT = 320  # a heatmap is smooth, and the browser enlarges it


@dataclasses.dataclass(frozen=True, eq=False)
class FieldResult:
    """All that is shown of one field, in whichever language.

    Args:
        prediction: Its answer.
        is_calibrated: Whether the checkpoint's temperature was fitted.
        sees_leukocytes: Whether the network sees nothing else.
        provenance: From `Page.provenance`.
        size: (width, height) of the field as shown.
        field: Data URI.
        target: Class explained.
        layer: Layer explained.
        method: One of `explanation.METHODS`.
        heat: Data URI of the coloured heatmap; None when nothing argues for the target.
        places: Of a Grad-CAM: (width, height) of the network's own map.
        evidence: The leukocytes under this explanation.
        crops: The strongest of them, and their data URIs.
    """

    prediction: Prediction
    is_calibrated: bool
    sees_leukocytes: bool
    provenance: dict[str, str | None]
    size: tuple[int, int]
    field: str
    target: str
    layer: str
    method: str
    heat: str | None
    places: tuple[int, int] | None
    evidence: Evidence
    crops: tuple[tuple[EvidenceCell, str], ...]


def picture(
    image: Image.Image, *, longest: int | None = None, lossless: bool = False, at_most: int | None = None
) -> str:
    """Give an image as a data URI.

    Args:
        image: RGB.
        longest: Longer side, in pixels, to which it is reduced.
        lossless: PNG instead of JPEG.
        at_most: Bytes of the file, beyond which the image is reduced until it fits.
    """
    if longest is not None and max(image.size) > longest:
        image = image.copy()
        image.thumbnail((longest, longest))
    kind = "png" if lossless else "jpeg"
    content = encode_image(image, kind)  # type: ignore[arg-type]
    while at_most is not None and len(content) > at_most:
        ratio = 0.95 * math.sqrt(at_most / len(content))
        image = image.resize((max(1, int(image.width * ratio)), max(1, int(image.height * ratio))))
        content = encode_image(image, kind)  # type: ignore[arg-type]
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def explained(found: FieldCells, explanation: Explanation, image: Image.Image) -> dict[str, Any]:
    """Give what of a `FieldResult` an explanation decides.

    Args:
        found: The field's leukocytes, in the size that is shown.
        explanation: In that size.
        image: The field at full resolution, to cut crops from.
    """
    evidence = weigh_cells(found, explanation.heatmap)
    strongest = evidence.ranked[:NUM_CROPS]
    boxes = [crop_box(cell, found.size, image.size) for cell in strongest]
    crops = [picture(image.crop(box), at_most=CROP_BYTES) for box in boxes]
    heat = None
    if not explanation.is_empty:
        ratio = min(1.0, _LONGEST_HEAT / max(found.size))
        size = (max(1, round(found.size[0] * ratio)), max(1, round(found.size[1] * ratio)))
        small = cv2.resize(explanation.heatmap, size, interpolation=cv2.INTER_AREA)
        heat = picture(Image.fromarray(colourise(small)), lossless=True)
    return {
        "target": explanation.target,
        "layer": explanation.layer,
        "heat": heat,
        "evidence": evidence,
        "crops": tuple(zip(strongest, crops, strict=True)),
    }


def render(result: FieldResult | None, language: str) -> str:
    """Write the result as HTML.

    Args:
        result: None before there is a field.
        language: One of `LANGUAGES`.
    """
    if result is None:
        return f'<div class="leuk-empty">{html.escape(say("classify_empty", language))}</div>'
    direction = "rtl" if language in RIGHT_TO_LEFT else "ltr"
    refused = "" if result.prediction.answered else " leuk-refused"
    return (
        f'<div class="leuk-result{refused}" dir="{direction}">'
        f'<div class="leuk-answer">{_answer(result, language)}</div>'
        f'<div class="leuk-seen">{_stage(result, language)}{_settings(result, language)}</div>'
        f'<div class="leuk-cells">{_cells(result, language)}{_provenance(result, language)}</div></div>'
    )


def unusable_html(error: LeukError, language: str) -> str:
    """Write, in place of a result, why an image cannot be used.

    Args:
        error: That says why.
        language: One of `LANGUAGES`.
    """
    direction = "rtl" if language in RIGHT_TO_LEFT else "ltr"
    return (
        f'<div class="leuk-empty" role="alert" dir="{direction}"><h3>{say("classify_unusable", language)}</h3>'
        f"<p>{html.escape(tell(error.sentence, language))}</p></div>"
    )


def _answer(result: FieldResult, language: str) -> str:
    prediction = result.prediction
    headline, sentence = verdict(prediction, language, is_calibrated=result.is_calibrated)
    warnings = "".join(f"<li>{html.escape(tell(reason, language))}</li>" for reason in prediction.reasons)
    if warnings:
        heading = say("classify_warnings" if prediction.answered else "classify_because", language)
        warnings = f'<div class="leuk-warnings"><b>{heading}</b><ul>{warnings}</ul></div>'
    rows = []
    for name, probability in prediction.probabilities.items():
        first = ' class="leuk-first"' if prediction.answered and name == prediction.label else ""
        bar = f'<i aria-hidden="true"><b style="width:{100 * probability:.1f}%"></b></i>'
        figure = html.escape(probability_text(probability))
        rows.append(f"<li{first}><bdi>{html.escape(name)}</bdi>{bar}<bdi>{figure}</bdi></li>")
    label = html.escape(say("classify_probabilities", language), quote=True)
    forced = "" if prediction.answered else f'<p class="leuk-note">{html.escape(say("classify_forced", language))}</p>'
    return (
        f'<h3 class="leuk-verdict">{html.escape(headline)}</h3>'
        + (f"<p>{html.escape(sentence)}</p>" if sentence else "")
        + (warnings if not prediction.answered else "")
        + f'{forced}<ul class="leuk-classes" aria-label="{label}">{"".join(rows)}</ul>'
        + (warnings if prediction.answered else "")
    )


def _stage(result: FieldResult, language: str) -> str:
    width, height = result.size
    key = "classify_field_only_alt" if result.heat is None else "classify_alt"
    alt = html.escape(say(key, language, target=result.target), quote=True)
    heat = "" if result.heat is None else f'<img class="leuk-heat" src="{result.heat}" alt="">'
    line = "" if result.heat is None else '<div class="leuk-line" aria-hidden="true"></div>'
    font = max(width, height) / 30
    cells = []
    for cell in result.evidence.cells:
        path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in cell.outline.tolist()) + "Z"
        across = min(max((cell.box[0] + cell.box[2]) / 2, font), width - font)
        down = min(max((cell.box[1] + cell.box[3]) / 2, font / 2), height - font / 2)
        cells.append(
            f'<g data-cell="{cell.number}"><path class="leuk-casing" d="{path}"/><path d="{path}"/>'
            f'<text x="{across:.1f}" y="{down:.1f}" font-size="{font:.1f}">{cell.number}</text></g>'
        )
    return (
        f'<figure class="leuk-stage" style="aspect-ratio:{width}/{height};--leuk-ratio:{width / height:.3f}">'
        f'<img class="leuk-field" src="{result.field}" alt="{alt}">{heat}'
        f'<svg viewBox="0 0 {width} {height}" aria-hidden="true">{"".join(cells)}</svg>{line}</figure>'
    )


def _settings(result: FieldResult, language: str) -> str:
    method = say(f"classify_method_{result.method}", language)
    if result.method == "grad_cam":
        method = f"{method} ({result.layer})"
    said = say("classify_bar" if result.heat else "classify_no_map", language, target=result.target, method=method)
    if result.target != result.prediction.label:
        said = f"{said} {say('classify_not_predicted', language, target=result.target)}"
    note = f'<p class="leuk-note">{html.escape(said)}</p>'
    outlines = _setting("outlines", language, 'type="checkbox" checked')
    if result.heat is None:
        return f'<div class="leuk-settings">{outlines}{note}</div>'
    scale = html.escape(say("classify_bar_alt", language), quote=True)
    return (
        '<div class="leuk-settings">'
        + _setting("split", language, 'type="range" dir="ltr" min="0" max="100" value="0"')
        + f'<div class="leuk-row">{_setting("opacity", language, _OPACITY)}{outlines}</div>'
        + f'<div class="leuk-bar" dir="ltr"><bdi>{say("classify_bar_none", language)}</bdi>'
        + f'<div role="img" aria-label="{scale}"></div><bdi>{say("classify_bar_most", language)}</bdi></div>'
        + f"{note}</div>"
    )


_OPACITY = 'type="range" dir="ltr" min="0" max="100" value="45"'


def _setting(name: str, language: str, attributes: str) -> str:
    text = html.escape(say(f"classify_{name}", language))
    field = f'<input data-sets="{name}" {attributes}>'
    return f"<label>{field}{text}</label>" if "checkbox" in attributes else f"<label>{text}{field}</label>"


def _cells(result: FieldResult, language: str) -> str:
    evidence, count = result.evidence, len(result.evidence.cells)
    shares = {"share": evidence.share, "area": evidence.area}
    values = {"count": count, **{name: within(share_text(share), language) for name, share in shares.items()}}
    is_answered = result.prediction.answered
    if not count:
        counted = say(f"classify_counted_{'unseen' if is_answered and result.sees_leukocytes else 'none'}", language)
    elif not is_answered:
        counted = say("classify_counted_refused", language, count=count)
    elif result.heat is None:
        counted = say("classify_counted_only", language, **values)
    else:
        counted = say("classify_counted_one" if count == 1 else "classify_counted", language, **values)
    notes = [counted]
    if count and result.heat and result.sees_leukocytes and result.places:
        notes.append(say("classify_coarse", language, places="\u2066{}\u00a0×\u00a0{}\u2069".format(*result.places)))
    if count and result.heat:
        notes.append(say("classify_crops", language))
    buttons = []
    for cell, source in result.crops if result.heat else ():
        share = share_text(cell.share)
        told = say("classify_crop", language, number=cell.number, percent=within(share, language))
        buttons.append(
            f'<button type="button" data-cell="{cell.number}" aria-pressed="false" aria-label="{html.escape(told)}">'
            f'<img src="{source}" alt=""><b>{cell.number}</b><br><bdi>{html.escape(share)}</bdi></button>'
        )
    return (
        f"<h4>{say('classify_evidence', language)}</h4><p>{html.escape(' '.join(notes))}</p>"
        f'<div class="leuk-crops">{"".join(buttons)}</div>'
    )


def _provenance(result: FieldResult, language: str) -> str:
    known = {key: html.escape(value) for key, value in result.provenance.items() if value}
    parts = [f"<code>{known['model']}</code>"]
    if "revision" in known:
        parts.append(f"{say('classify_revision', language)} <code>{known['revision']}</code>")
    parts += [f"<code>{known[key]}</code>" for key in ("identity", "library", "backend") if key in known]
    return f'<p class="leuk-note leuk-model">{say("classify_model", language)}: <bdi>{" · ".join(parts)}</bdi></p>'
