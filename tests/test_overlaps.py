"""leuk_hf.overlaps: windows with known shifts are linked, other places are not, whatever light, focus and order."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from leuk_hf import synthetic
from leuk_hf.overlap_features import FieldFeatures, describe_field
from leuk_hf.overlaps import Overlap, find_overlaps, propose_pairs, verify_pair

FIELDS = Path(__file__).parents[2] / "shared" / "data" / "leukemia" / "Original"
REFERENCE = Path(__file__).parent / "reference" / "overlaps.csv"
NOTHING = np.zeros((224, 224), dtype=bool)
SHIFTS = ((0, 0), (24, -8), (-40, 31), (60, 60), (-75, 40), (90, -20), (-100, 10), (5, 110), (70, -80), (-95, -60))
LOOKS = ("red_cell_count", "leukocyte_count", "smudge_count")


@pytest.fixture(scope="module")
def canvases() -> list[np.ndarray]:
    """Ten scenes of 400 pixels with cells as large as in a field of 224."""
    scenes = []
    with pytest.MonkeyPatch.context() as patch:
        for name, look in list(synthetic.APPEARANCES.items()):
            wide = dataclasses.replace(
                look,
                **{key: tuple(round(3.2 * value) for value in getattr(look, key)) for key in LOOKS},
                red_cell_radius=tuple(value * 0.56 for value in look.red_cell_radius),
                leukocyte_radius=tuple(value * 0.56 for value in look.leukocyte_radius),
            )
            patch.setitem(synthetic.APPEARANCES, f"wide {name}", wide)
        names = [name for name in synthetic.APPEARANCES if name.startswith("wide ")]
        for seed in range(len(SHIFTS)):
            scenes.append(np.asarray(synthetic.render_smear(names[seed % 4], seed=seed, image_size=400)))
    return scenes


def window(canvas: np.ndarray, x: int = 0, y: int = 0) -> np.ndarray:
    """Cut the window of 224 pixels whose centre is off the canvas's by x and y."""
    top, left = (len(canvas) - 224) // 2 + y // 2, (len(canvas) - 224) // 2 + x // 2
    return canvas[top : top + 224, left : left + 224]


def recapture(field: np.ndarray, seed: int) -> np.ndarray:
    """Other light, white balance, focus and noise, and JPEG."""
    rng = np.random.default_rng(seed)
    changed = cv2.GaussianBlur(field, (0, 0), rng.uniform(0.3, 1.6)).astype(np.float32)
    changed = changed * rng.uniform(0.75, 1.1) * rng.uniform(0.94, 1.06, 3) + rng.normal(0, 3, field.shape)
    encoded = cv2.imencode(".jpg", np.clip(changed, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 50])[1]
    return cv2.imdecode(encoded, cv2.IMREAD_COLOR)


@pytest.fixture(scope="module")
def features(canvases: list[np.ndarray]) -> list[FieldFeatures]:
    """Fields 2k and 2k + 1 show scene k, SHIFTS[k] apart."""
    made = []
    for index, (canvas, (x, y)) in enumerate(zip(canvases, SHIFTS, strict=True)):
        pair = (window(canvas, -x, -y), window(canvas, x, y))
        made += [describe_field(recapture(field, 2 * index + side), NOTHING) for side, field in enumerate(pair)]
    return made


@pytest.fixture(scope="module")
def links(features: list[FieldFeatures]) -> list[Overlap]:
    return find_overlaps(features, threads=1)


def test_every_overlap_is_found_with_its_shift_and_nothing_else(links: list[Overlap]) -> None:
    assert [(link.first, link.second) for link in links] == [(2 * k, 2 * k + 1) for k in range(len(SHIFTS))]
    for link, (x, y) in zip(links, SHIFTS, strict=True):
        assert np.abs(np.subtract(link.shift, (x, y))).max() <= 2
        assert link.overlap_share == pytest.approx((1 - abs(x) / 224) * (1 - abs(y) / 224), abs=0.03)
        assert 0.5 < link.correlation <= 1


def test_order_of_the_fields_does_not_matter(features: list[FieldFeatures], links: list[Overlap]) -> None:
    order = np.random.default_rng(3).permutation(len(features))
    shuffled = find_overlaps([features[index] for index in order], threads=1)
    found = {tuple(sorted((int(order[link.first]), int(order[link.second])))): link for link in shuffled}
    assert sorted(found) == [(link.first, link.second) for link in links]
    for link in links:
        assert found[link.first, link.second].correlation == link.correlation
        assert found[link.first, link.second].inliers == link.inliers


def test_exchanging_the_fields_inverts_the_transform(features: list[FieldFeatures]) -> None:
    there, back = verify_pair(features[4], features[5]), verify_pair(features[5], features[4])
    assert there is not None and back is not None
    assert np.allclose(cv2.invertAffineTransform(np.array(there.transform)), back.transform, atol=1e-9)
    assert there.shift[0] * back.shift[0] < 0


@pytest.mark.parametrize(
    ("name", "matrix"),
    [
        ("mirror", ((-1, 0), (0, 1))),
        ("flip", ((1, 0), (0, -1))),
        ("transpose", ((0, 1), (1, 0))),
        ("quarter", ((0, 1), (-1, 0))),
        ("three quarters", ((0, -1), (1, 0))),
    ],
)
def test_mirrored_and_turned_copies_are_found(
    canvases: list[np.ndarray], name: str, matrix: tuple[tuple[int, int], tuple[int, int]]
) -> None:
    field, other = window(canvases[0]), window(canvases[1])
    turned = {
        "mirror": field[:, ::-1],
        "flip": field[::-1],
        "transpose": field.transpose(1, 0, 2),
        "quarter": np.rot90(field, -1),
        "three quarters": np.rot90(field, 1),
    }[name]
    described = [describe_field(np.ascontiguousarray(picture), NOTHING) for picture in (field, other, turned)]
    (link,) = find_overlaps(described, threads=1)
    assert (link.first, link.second) == (0, 2)
    assert np.allclose(np.array(link.transform)[:, :2], matrix, atol=0.02)
    assert np.abs(link.shift).max() < 1


def test_small_rotation_and_scale(canvases: list[np.ndarray]) -> None:
    canvas = canvases[2]
    matrix = cv2.getRotationMatrix2D((199.5, 199.5), 5, 1.04)
    turned = cv2.warpAffine(canvas, matrix, canvas.shape[1::-1])
    link = verify_pair(describe_field(window(canvas), NOTHING), describe_field(window(turned), NOTHING))
    assert link is not None
    assert np.hypot(*np.array(link.transform)[:, 0]) == pytest.approx(1 / 1.04, abs=0.01)
    assert np.abs(link.shift).max() <= 2


def test_another_image_size_and_a_copy(canvases: list[np.ndarray]) -> None:
    field = window(canvases[3])
    larger = Image.fromarray(field).resize((1024, 768), Image.Resampling.BICUBIC)
    described = [describe_field(picture) for picture in (field, larger, Image.fromarray(field))]
    found = find_overlaps(described, threads=1)
    assert [(link.first, link.second) for link in found] == [(0, 1), (0, 2), (1, 2)]
    assert found[1].overlap_share == 1 and found[1].correlation == pytest.approx(1)
    assert found[1].shift == (0, 0)


@pytest.mark.parametrize("masked", [False, True])
def test_the_same_scale_bar_does_not_link(canvases: list[np.ndarray], masked: bool) -> None:
    described = []
    for canvas in canvases:
        field, bar = window(canvas).copy(), NOTHING.copy()
        bar[20:60, 20:110] = True
        field[bar] = 255
        field[50:56, 25:105] = 0
        cv2.putText(field, "500 pixels", (24, 44), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1)
        described.append(describe_field(field, bar if masked else NOTHING))
        if masked:
            inside = (described[-1].points >= (20, 20)) & (described[-1].points < (110, 60))
            assert not inside.all(axis=1).any()
    assert find_overlaps(described, threads=1) == []


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (224, 224)])
@pytest.mark.parametrize("value", [0, 127, 255])
def test_flat_and_tiny_images_link_to_nothing(
    features: list[FieldFeatures], size: tuple[int, int], value: int
) -> None:
    flat = describe_field(np.full((*size, 3), value, dtype=np.uint8))
    assert len(flat.points) == 0 and flat.descriptors.shape == (0, 64)
    assert verify_pair(flat, features[0]) is None and verify_pair(features[0], flat) is None
    assert len(propose_pairs([flat, features[0]])) == 0


def test_no_fields_and_one_field(features: list[FieldFeatures]) -> None:
    assert find_overlaps([]) == [] and find_overlaps(features[:1]) == []
    assert propose_pairs([]).shape == (0, 2)


def test_decisions_are_kept_and_used_again(features: list[FieldFeatures], links: list[Overlap]) -> None:
    kept: dict[tuple[str, str], Overlap | None] = {}
    assert find_overlaps(features[:6], verified=kept) == links[:3]
    pair = (features[2].digest, features[3].digest)
    assert kept[pair] is not None
    kept[pair] = None  # a decision that is not the function's own shows that it is used
    assert [link.first for link in find_overlaps(features[:6], verified=kept)] == [0, 4]


def test_what_is_no_field_is_refused() -> None:
    with pytest.raises(ValueError, match="uint8"):
        describe_field(np.zeros((8, 8), dtype=np.uint8))
    with pytest.raises(ValueError, match="agree"):
        describe_field(np.zeros((8, 8, 3), dtype=np.uint8), np.zeros((4, 4), dtype=bool))


@pytest.mark.skipif(not FIELDS.is_dir(), reason=f"the real fields are not at {FIELDS}")
def test_pairs_judged_by_eye() -> None:
    with REFERENCE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    judged = {answer: [row for row in rows if row["overlap"] == answer][::3] for answer in ("yes", "no")}
    described: dict[str, FieldFeatures] = {}
    for row in judged["yes"] + judged["no"]:
        for name in (row["first"], row["second"]):
            if name not in described:
                with Image.open(FIELDS / name) as field:
                    described[name] = describe_field(field)
    names = sorted(described)
    found = {(names[link.first], names[link.second]) for link in find_overlaps([described[name] for name in names])}
    hits = {answer: sum((row["first"], row["second"]) in found for row in rows) for answer, rows in judged.items()}
    assert len(judged["yes"]) >= 20 and hits["yes"] >= 0.9 * len(judged["yes"])
    assert len(judged["no"]) >= 20 and hits["no"] == 0
