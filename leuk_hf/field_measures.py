"""Stain, light and sharpness of a field as numbers: what sittings at the microscope differ in.

Shared contract: images are RGB, uint8 (H, W, 3) or PIL, any size; measures are plain floats.
"""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
from PIL import Image

_COLOURS = ("red", "green", "blue")


def measure_field(image: np.ndarray | Image.Image, ignore: np.ndarray | None = None) -> dict[str, float]:
    """Measure stain, light and sharpness of a field; how many cells of which kind there are is left out on purpose.

    Noise and blockiness come from the image as it is, the rest from a copy of at most 256 pixels a side.

    Args:
        image: Any size.
        ignore: bool (H, W), pixels to leave out (scale bars); noise and blockiness see them nevertheless.

    Returns:
        background_{red,green,blue}: Mean colour of empty glass in [0, 255]: the brightest peak of green that holds
            5 % of the pixels, and 6 levels around it.
        slope_x, slope_y: Change of the light from the centre to the right and lower edge, as a share of the centre.
        vignetting: The same for the distance squared (1 at the middle of an edge), negative when corners are dark.
        {red_cell,leukocyte}_{density,red,blue}: Absorbance log10(glass / cells), mean colours, summed over red,
            green and blue, and the share of red and of blue in it: exposure drops out, and thickness from the
            shares (Ruifrok and Johnston, 2001). Thirds where the sum is below 0.05 or there are no such cells.
            Leukocytes are, crudely, what Otsu's threshold (1979) finds reddest in a* of LAB.
        contrast: Standard deviation of grey, in levels.
        sharpness: log10 of 1 + the variance of the Laplacian (Pech-Pacheco et al., ICPR 2000).
        noise: Mean of the lower half of the absolute response to Immerkaer's kernel (CVIU 64, 1996), / 6, in levels.
        blockiness: log of the grey steps across JPEG's 8-pixel borders over those elsewhere; 0 below 18 pixels.

    Raises:
        ValueError: If `ignore` has another size than the image.
    """
    pixels = np.ascontiguousarray(image.convert("RGB") if isinstance(image, Image.Image) else image)
    if ignore is not None and ignore.shape != pixels.shape[:2]:
        raise ValueError(f"the mask to ignore is {ignore.shape}, the image {pixels.shape[:2]}; give them one size")
    noise, blockiness = _noise_and_blockiness(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32))
    seen: np.ndarray = np.full(pixels.shape[:2], 255, dtype=np.uint8)
    if ignore is not None and not ignore.all():
        seen[ignore] = 0
    factor = 256 / max(seen.shape)
    if factor < 1:
        size = (max(1, round(seen.shape[1] * factor)), max(1, round(seen.shape[0] * factor)))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
        seen = cv2.resize(seen, size, interpolation=cv2.INTER_NEAREST)

    background = _background_colour(pixels, seen)
    light, surface = _illumination(pixels[..., 1], seen > 0)
    cells = (seen > 0) & (pixels[..., 1] < 0.88 * surface)
    reddish = cv2.GaussianBlur(cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB)[..., 1], (0, 0), 1.5)
    threshold, _ = cv2.threshold(reddish, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    leukocytes = (cells & (reddish > threshold)).astype(np.uint8)
    red_cells = (cells & (cv2.dilate(leukocytes, np.ones((3, 3), dtype=np.uint8)) == 0)).astype(np.uint8)
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    measures = {f"background_{name}": value for name, value in zip(_COLOURS, background, strict=True)}
    measures |= dict(zip(("slope_x", "slope_y", "vignetting"), light, strict=True))
    for kind, mask in (("red_cell", red_cells), ("leukocyte", leukocytes)):
        colour = np.array(cv2.mean(pixels, mask)[:3]) if mask.any() else background
        red, green, blue = np.log10((background + 1) / (colour + 1))
        density = red + green + blue
        shares = (red / density, blue / density) if density > 0.05 else (1 / 3, 1 / 3)
        measures |= dict(zip((f"{kind}_density", f"{kind}_red", f"{kind}_blue"), (density, *shares), strict=True))
    measures["contrast"] = cv2.meanStdDev(grey, mask=seen)[1].item()
    laplacian = cv2.meanStdDev(cv2.Laplacian(grey, cv2.CV_32F), mask=seen)[1].item()
    measures |= {"sharpness": np.log10(1 + laplacian**2), "noise": noise, "blockiness": blockiness}
    return {name: float(value) for name, value in measures.items()}


def _background_colour(pixels: np.ndarray, seen: np.ndarray) -> np.ndarray:
    green = pixels[..., 1]
    counts = cv2.calcHist([green], [0], seen, [256], [0, 256]).ravel().astype(np.float64)
    kernel = np.exp(-0.5 * (np.arange(-9, 10) / 3) ** 2)
    # Mirrored at the ends, so that a saturated background has its peak at 255.
    smooth = np.pad(np.convolve(np.pad(counts, 9, mode="symmetric"), kernel, mode="valid"), 1, constant_values=-1)
    peak = (smooth[1:-1] >= smooth[:-2]) & (smooth[1:-1] >= smooth[2:])
    filled = np.convolve(np.pad(counts, 6), np.ones(13), mode="valid") >= 0.05 * counts.sum()
    mode = int(np.flatnonzero(peak & filled)[-1]) if (peak & filled).any() else int(np.argmax(counts))
    glass = cv2.bitwise_and(cv2.inRange(green, max(0, mode - 6), min(255, mode + 6)), seen)
    return np.array(cv2.mean(pixels, glass)[:3])


def _illumination(green: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fit 1, x, y, x^2 + y^2 to the bright level of 6 x 6 tiles, giving way where cells fill a tile."""
    height, width = green.shape
    rows, columns = (np.linspace(0, edge, 7).astype(int) for edge in (height, width))
    points, levels = [], []
    for top, bottom in pairwise(rows):
        for left, right in pairwise(columns):
            inside = green[top:bottom, left:right][seen[top:bottom, left:right]]
            if inside.size:
                points.append(((left + right) / width - 1, (top + bottom) / height - 1))
                levels.append(float(np.partition(inside, 9 * inside.size // 10)[9 * inside.size // 10]))
    x, y = np.array(points).T
    design, level, weight = np.stack([np.ones_like(x), x, y, x**2 + y**2], axis=1), np.array(levels), np.ones_like(x)
    for _ in range(4):
        fit = np.linalg.lstsq(design * weight[:, None], level * weight, rcond=None)[0]
        residual = level - design @ fit
        spread = 1.4826 * np.median(np.abs(residual - np.median(residual))) + 1
        weight = np.where(residual < -1.5 * spread, 0.1, 1.0)
    x, y = np.linspace(-1, 1, width)[None, :], np.linspace(-1, 1, height)[:, None]
    return fit[1:] / max(fit[0], 1.0), fit[0] + fit[1] * x + fit[2] * y + fit[3] * (x**2 + y**2)


def _noise_and_blockiness(grey: np.ndarray) -> tuple[float, float]:
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], dtype=np.float32)
    response = np.abs(cv2.filter2D(grey, -1, kernel)).ravel()
    half = (response.size + 1) // 2
    ratios = []
    for values in (grey, grey.T):
        steps = np.abs(np.diff(values, axis=1)).mean(axis=0)
        across = np.arange(steps.size) % 8 == 7
        if steps.size > 16:
            ratios.append(np.log((steps[across].mean() + 0.1) / (steps[~across].mean() + 0.1)))
    return float(np.partition(response, half - 1)[:half].mean()) / 6, float(np.mean(ratios)) if ratios else 0.0
