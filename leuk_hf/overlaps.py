"""Find fields that show the same place of a slide, so that a split can keep them on one side.

Shared contract: every field is squashed to WORKING_SIZE x WORKING_SIZE pixels and all lengths, shifts and
transforms are in those working pixels; x goes right and y down from the centre of the top left pixel. Fields are
compared by luminance with slow light and local contrast taken out, so that neither brightness nor white balance
matters. The search runs over all pairs: small patches around cells are matched through an inverted file, pairs
whose matches agree on a shift are proposed, and a proposal becomes a link only if the matched cells fit one small
rotation and scale (or that after a mirroring or quarter turn) and the pixels themselves then correlate, which red
cells of two different places do not. Every result is independent of the order of the fields: ties and samples are
settled by the fields' digests.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
from tqdm.auto import tqdm

from leuk_hf.overlap_features import (
    CENTRE,
    MAXIMUM_KEYPOINTS,
    ORIENTATIONS,
    WORKING_SIZE,
    FieldFeatures,
    turn_descriptors,
)

# Measured on 250 real fields against copies turned, scaled, blurred and compressed: 99 % of the right matches are
# above 0.76, of the wrong ones one in 100,000. A little lower, for fields blurred by motion.
PROPOSAL_SIMILARITY = 0.72
PROPOSAL_VOTES = 3  # matches that agree on a shift: chance gives 3 to few pairs, a true quarter of a field many
PROPOSAL_SHIFT_STEP = 20.0  # pixels that votes may differ: 5 degrees move the edge of a field by 10
TURNED_KEYPOINTS = 60  # mirrored and turned copies are whole fields, so few of their keypoints are enough
CELL_POPULATION, MAXIMUM_CELLS = 512, 1024  # of the inverted file

VERIFY_SIMILARITY = 0.6  # looser: geometry decides now
INLIER_DISTANCE = 5.0  # pixels; the squashed camera image turns rotation into a little shear
# One objective gives one scale and the slide sits in a holder, but a field taken while the slide moved is distorted:
# real ones fit with a scale of 1.14 or 14 degrees.
MAXIMUM_SCALE = 1.2
MAXIMUM_ROTATION = 15.0  # degrees
MINIMUM_OVERLAP = 0.08  # share of the field; less is too little to tell by
# Of 15,600 proposals on real fields, wrong ones correlated up to 0.64 with 3 to 9 inliers in small overlaps and up to
# 0.36 with 10 to 14; on synthetic fields with few large cells up to 0.74 with 4 to 9. Right ones of motion-blurred
# fields fell to 0.39 with 19 inliers. Hence a sloping border.
CLEAR_CORRELATION = 0.78  # always enough
LEAST_CORRELATION = 0.35  # never enough below
CORRELATION_PER_INLIER, CORRELATION_WITHOUT_INLIERS = 0.04, 1.13
MINIMUM_INLIERS = 4
TURNED_INLIERS, TURNED_OVERLAP = 12, 0.4  # a mirrored or turned copy is a whole field: no chance hits by 7 more tries


@dataclasses.dataclass(frozen=True)
class Overlap:
    """Two fields that show the same place.

    Args:
        first: Index of a field.
        second: Index of the other field.
        transform: (2, 3), turns (x, y, 1) of the second field into (x, y) of the first.
        shift: x and y of the second field's centre as seen from the first one's, in working pixels.
        overlap_share: Share of the field's area that both show, in (0, 1].
        inliers: Matched keypoints that agree with `transform`.
        correlation: Of the local contrast where both overlap, in (0, 1].
    """

    first: int
    second: int
    transform: tuple[tuple[float, float, float], tuple[float, float, float]]
    shift: tuple[float, float]
    overlap_share: float
    inliers: int
    correlation: float


def propose_pairs(features: Sequence[FieldFeatures]) -> np.ndarray:
    """Find the pairs worth verifying among all pairs.

    Args:
        features: From `describe_field`.

    Returns:
        int64 (M, 2), indices into `features`, first < second, sorted, each pair once.
    """
    order = sorted(range(len(features)), key=lambda index: features[index].digest)
    fields = [features[index] for index in order]
    owners = np.repeat(np.arange(len(fields)), [len(field.points) for field in fields])
    if len(owners) == 0:
        return np.empty((0, 2), dtype=np.int64)
    points = np.concatenate([field.points for field in fields]) - np.float32(CENTRE)
    descriptors = np.concatenate([field.descriptors for field in fields])
    ranks = np.concatenate([np.arange(len(field.points)) for field in fields])
    cells = _InvertedFile(descriptors)
    pairs = []
    strongest = np.flatnonzero(ranks < TURNED_KEYPOINTS)
    # The last orientation is the inverse of the one before, so it is found with the roles exchanged.
    for orientation in ORIENTATIONS[:-1]:
        upright = orientation is ORIENTATIONS[0]
        turned = descriptors if upright else turn_descriptors(descriptors[strongest], orientation)
        left, right = cells.matches(turned, upright)
        right = right if upright else strongest[right]
        shifts = points[left] - points[right] @ orientation.T.astype(np.float32)
        pairs.append(_agreeing(owners[left], owners[right], shifts, len(fields)))
    # Identical files would find each other even without a keypoint.
    twins = [index for index in range(1, len(fields)) if fields[index].digest == fields[index - 1].digest]
    pairs.append(np.array([(index - 1, index) for index in twins], dtype=np.int64).reshape(-1, 2))
    found = np.sort(np.array(order)[np.concatenate(pairs)], axis=1)
    return np.unique(found, axis=0)


def verify_pair(first: FieldFeatures, second: FieldFeatures) -> Overlap | None:
    """Decide whether two fields show the same place.

    Args:
        first: From `describe_field`.
        second: Likewise. Exchanging the two inverts the transform and changes nothing else.

    Returns:
        The overlap with first = 0 and second = 1, or None.
    """
    exchanged = second.digest < first.digest
    fixed, moving = (second, first) if exchanged else (first, second)
    for orientation in ORIENTATIONS:
        aligned = _align(fixed, moving, orientation)
        if aligned is None:
            continue
        transform, inliers = aligned
        correlation, share = _correlate(fixed, moving, transform)
        if _is_overlap(correlation, share, inliers, turned=orientation is not ORIENTATIONS[0]):
            transform = cv2.invertAffineTransform(transform) if exchanged else transform
            centre = transform @ (CENTRE, CENTRE, 1.0) - CENTRE
            rows = [(float(row[0]), float(row[1]), float(row[2])) for row in transform]
            return Overlap(
                first=0,
                second=1,
                transform=(rows[0], rows[1]),
                shift=(float(centre[0]), float(centre[1])),
                overlap_share=share,
                inliers=inliers,
                correlation=correlation,
            )
    return None


def find_overlaps(
    features: Sequence[FieldFeatures],
    *,
    progress: bool = False,
    verified: MutableMapping[tuple[str, str], Overlap | None] | None = None,
    threads: int = 2,
) -> list[Overlap]:
    """Find all pairs of fields that show the same place.

    Args:
        features: From `describe_field`.
        progress: Whether to show a bar.
        verified: Decisions of earlier calls, by the digests of both fields; new ones are added to it.
        threads: Pairs are verified by this many threads.

    Returns:
        One overlap per pair, first < second, sorted; not transitive: join them to groups before splitting.
    """
    known = {} if verified is None else verified

    def decide(pair: np.ndarray) -> Overlap | None:
        first, second = features[pair[0]], features[pair[1]]
        key = (first.digest, second.digest)
        if key not in known:
            known[key] = verify_pair(first, second)
        decision = known[key]
        return decision and dataclasses.replace(decision, first=int(pair[0]), second=int(pair[1]))

    proposals = propose_pairs(features)
    with ThreadPoolExecutor(max_workers=threads) as pool:
        decisions = pool.map(decide, proposals)
        bar = tqdm(decisions, total=len(proposals), desc="Verifying overlaps", unit="pair", disable=not progress)
        return [decision for decision in bar if decision is not None]


class _InvertedFile:
    """Descriptors sorted into cells around some of them, each into its two nearest."""

    def __init__(self, descriptors: np.ndarray) -> None:
        count = int(np.clip(len(descriptors) // CELL_POPULATION, 1, MAXIMUM_CELLS))
        chosen = np.sort(np.random.default_rng(0).choice(len(descriptors), count, replace=False))
        self.descriptors, self.centres = descriptors, descriptors[chosen]
        self.members = self._members(self._nearest(descriptors, 2))

    def _nearest(self, descriptors: np.ndarray, count: int) -> np.ndarray:
        """Indices of the nearest cells; int (len(descriptors), count)."""
        count = min(count, len(self.centres))
        nearest = np.empty((len(descriptors), count), dtype=np.int32)
        for start in range(0, len(descriptors), 8192):
            similarity = descriptors[start : start + 8192] @ self.centres.T
            for column in range(count):
                best = similarity.argmax(axis=1)
                nearest[start : start + 8192, column] = best
                similarity[np.arange(len(best)), best] = -2
        return nearest

    def _members(self, nearest: np.ndarray) -> list[np.ndarray]:
        """For every cell the rows in it."""
        order = np.argsort(nearest.ravel(), kind="stable")
        ends = np.cumsum(np.bincount(nearest.ravel(), minlength=len(self.centres)))
        return np.split(order // nearest.shape[1], ends[:-1])

    def matches(self, queries: np.ndarray, same: bool) -> tuple[np.ndarray, np.ndarray]:
        """Rows of the file and of the queries that are similar, each pair once.

        Args:
            queries: float32 (Q, 64).
            same: The queries are the file itself: give every pair in one order only.
        """
        askers = self.members if same else self._members(self._nearest(queries, 1))
        codes = [np.empty(0, dtype=np.int64)]
        for members, asking in zip(self.members, askers, strict=True):
            wanted = self.descriptors[members]
            for start in range(0, len(asking), 1024):
                block = asking[start : start + 1024]
                rows, columns = np.nonzero(queries[block] @ wanted.T > PROPOSAL_SIMILARITY)
                left, right = members[columns].astype(np.int64), block[rows]
                codes.append((left * len(queries) + right)[left < right] if same else left * len(queries) + right)
        left, right = np.divmod(np.unique(np.concatenate(codes)), len(queries))
        return left, right


def _agreeing(left: np.ndarray, right: np.ndarray, shifts: np.ndarray, count: int) -> np.ndarray:
    """Pairs of fields of which enough matches agree on a shift; int64 (M, 2)."""
    other = left != right
    pair, shifts = (left * count + right)[other], shifts[other]
    found = [np.empty(0, dtype=np.int64)]
    side = 2 * math.ceil(WORKING_SIZE / PROPOSAL_SHIFT_STEP) + 4
    for offset in ((0.0, 0.0), (0.5, 0.0), (0.0, 0.5), (0.5, 0.5)):  # so that no border parts all neighbours
        bins = np.floor(shifts / PROPOSAL_SHIFT_STEP + offset).astype(np.int64) + side // 2
        codes, votes = np.unique((pair * side + bins[:, 0]) * side + bins[:, 1], return_counts=True)
        found.append(codes[votes >= PROPOSAL_VOTES] // (side * side))
    return np.stack(np.divmod(np.unique(np.concatenate(found)), count), axis=1)


def _align(fixed: FieldFeatures, moving: FieldFeatures, orientation: np.ndarray) -> tuple[np.ndarray, int] | None:
    """Fit the transform from the moving to the fixed field; float64 (2, 3) and the inliers."""
    if fixed.digest == moving.digest and orientation is ORIENTATIONS[0]:
        return np.eye(2, 3), len(fixed.points)
    if min(len(fixed.points), len(moving.points)) < MINIMUM_INLIERS:
        return None
    count = MAXIMUM_KEYPOINTS if orientation is ORIENTATIONS[0] else TURNED_KEYPOINTS
    similarity = fixed.descriptors[:count] @ turn_descriptors(moving.descriptors[:count], orientation).T
    if np.count_nonzero(similarity > VERIFY_SIMILARITY) < MINIMUM_INLIERS:
        return None
    best = similarity.argmax(axis=1)
    mutual = similarity.argmax(axis=0)[best] == np.arange(len(best))
    kept = np.flatnonzero(mutual & (similarity[np.arange(len(best)), best] > VERIFY_SIMILARITY))
    # Turned about the centre first, so that what is left to fit is small.
    moved = (moving.points[best[kept]] - CENTRE) @ orientation.T + CENTRE
    wanted = MINIMUM_INLIERS if orientation is ORIENTATIONS[0] else TURNED_INLIERS
    if len(kept) < wanted:
        return None
    fitted, inside = cv2.estimateAffinePartial2D(
        moved, fixed.points[kept], method=cv2.RANSAC, ransacReprojThreshold=INLIER_DISTANCE, maxIters=1000
    )
    if fitted is None or int(inside.sum()) < wanted:
        return None
    scale = math.hypot(fitted[0, 0], fitted[1, 0])
    rotation = math.degrees(math.atan2(fitted[1, 0], fitted[0, 0]))
    if not 1 / MAXIMUM_SCALE <= scale <= MAXIMUM_SCALE or abs(rotation) > MAXIMUM_ROTATION:
        return None
    first_turn = np.eye(3)
    first_turn[:2, :2] = orientation
    first_turn[:2, 2] = CENTRE - orientation @ (CENTRE, CENTRE)
    return fitted @ first_turn, int(inside.sum())


def _is_overlap(correlation: float, share: float, inliers: int, *, turned: bool) -> bool:
    """The decision, by the constants above."""
    if turned and (inliers < TURNED_INLIERS or share < TURNED_OVERLAP):
        return False
    wanted = CORRELATION_WITHOUT_INLIERS - CORRELATION_PER_INLIER * inliers
    return share >= MINIMUM_OVERLAP and correlation >= min(CLEAR_CORRELATION, max(LEAST_CORRELATION, wanted))


def _correlate(fixed: FieldFeatures, moving: FieldFeatures, transform: np.ndarray) -> tuple[float, float]:
    """Correlation of the local contrast where both fields are valid, and the share of the field shown by both."""
    size = (WORKING_SIZE, WORKING_SIZE)
    shown = cv2.warpAffine(np.ones(size, np.uint8), transform, size) > 0
    both = fixed.valid & (cv2.warpAffine(moving.valid.astype(np.uint8), transform, size) > 0)
    warped = cv2.warpAffine(moving.picture.astype(np.float32), transform, size)
    first, second = fixed.picture[both].astype(np.float64), warped[both].astype(np.float64)
    if len(first) < 2:
        return 0.0, 0.0
    first, second = first - first.mean(), second - second.mean()
    spread = math.sqrt(float((first * first).sum() * (second * second).sum()))
    return (float((first * second).sum()) / spread if spread > 0 else 0.0), float(shown.mean())
