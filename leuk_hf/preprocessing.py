"""The one way from an image to pixel_values, shared by training and serving.

Shared contract: images are RGB uint8 PIL; pixel_values are float32 (N, 3, H, W), RGB, normalised by mean and
std. Burnt-in annotation is painted over if the checkpoint asks for it; a field is squashed (not cropped) to a
square, as this field's publications do, then CLAHE lifts local contrast on the L channel of LAB alone, then the
channels are normalised.
"""

import dataclasses
from collections.abc import Iterable, Sequence

import cv2
import numpy as np
from PIL import Image

from leuk_hf.annotation import Box, remove_annotation

__all__ = ["IMAGENET_MEAN", "IMAGENET_STD", "Box", "Preprocessor", "remove_annotation"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
_RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
_REDUCING_GAP = 3
# Nothing that is sensible lies beyond these, and memory goes by them.
_LARGEST_IMAGE_SIZE = 2048
_MOST_TILES = 64
_SMALLEST_STD = 1e-3  # a quarter of one of 255 levels; below it pixel_values overflow
_ANNOTATION_SIDE = 896  # twice the edge of the copy that annotation is looked for in


def is_whole(value: object, least: int, most: int) -> bool:
    """Tell whether something is a whole number in a range, and no truth value."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


@dataclasses.dataclass(frozen=True)
class Preprocessor:
    """Every parameter between an RGB image and pixel_values; part of a checkpoint's config.

    Args:
        image_size: Edge of the square given to the network, in pixels, from 32 to 2048.
        mean: Per channel, RGB, of values in [0, 1].
        std: Per channel, RGB, of values in [0, 1], at least 0.001.
        interpolation: "nearest", "bilinear", "bicubic" or "lanczos", with antialiasing when shrinking.
        clahe: Whether to equalise contrast (Zuiderveld, Graphics Gems IV, 1994) on L of LAB.
        clahe_clip_limit: Contrast limit of CLAHE, positive; 1 is nearly none.
        clahe_tiles: CLAHE works on this many by this many tiles, from 1 to 64.
        annotation_removal: Whether to paint over scale bars and labels first (`remove_annotation`).

    Raises:
        ValueError: If a value is outside its range.
    """

    image_size: int = 224
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    interpolation: str = "bilinear"
    clahe: bool = True
    clahe_clip_limit: float = 2.0
    clahe_tiles: int = 8
    annotation_removal: bool = False

    def __post_init__(self) -> None:
        # JSON has no tuples.
        object.__setattr__(self, "mean", tuple(float(value) for value in self.mean))
        object.__setattr__(self, "std", tuple(float(value) for value in self.std))
        if not is_whole(self.image_size, 32, _LARGEST_IMAGE_SIZE):
            raise ValueError(
                f"image_size is {self.image_size!r}; give a whole number from 32 to {_LARGEST_IMAGE_SIZE}"
            )
        if (
            len(self.mean) != 3
            or len(self.std) != 3
            or min(self.std) < _SMALLEST_STD
            or not np.isfinite([*self.mean, *self.std]).all()
        ):
            raise ValueError(
                f"mean {self.mean} and std {self.std} need three finite values each, std at least {_SMALLEST_STD}"
            )
        if self.interpolation not in _RESAMPLING:
            raise ValueError(f"interpolation is {self.interpolation!r}; choose one of {', '.join(_RESAMPLING)}")
        if not self.clahe_clip_limit > 0:
            raise ValueError(f"clahe_clip_limit is {self.clahe_clip_limit!r}; give a positive number")
        if not is_whole(self.clahe_tiles, 1, _MOST_TILES):
            raise ValueError(f"clahe_tiles is {self.clahe_tiles!r}; give a whole number from 1 to {_MOST_TILES}")

    @property
    def sufficient_side(self) -> int:
        """Shorter side, in pixels, to which `load_image` may reduce a larger image without harm (`reduce_to`).

        Three times what resizing takes from it (Pillow's `reducing_gap` of 3), and more than annotation is found in.
        """
        resized = _REDUCING_GAP * self.image_size
        return max(resized, _ANNOTATION_SIDE) if self.annotation_removal else resized

    def enhance(self, image: Image.Image) -> Image.Image:
        """Remove annotation, resize and equalise, as set: the image as the network sees it, before normalisation.

        Args:
            image: RGB uint8, any size.

        Returns:
            RGB uint8, (image_size, image_size).
        """
        return Image.fromarray(self._enhanced(image))

    def _enhanced(self, image: Image.Image) -> np.ndarray:
        if self.annotation_removal:
            image, _ = remove_annotation(image)
        size = (self.image_size, self.image_size)
        pixels = np.asarray(image if image.size == size else image.resize(size, _RESAMPLING[self.interpolation]))
        if not self.clahe:
            return pixels
        lab = cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB)
        # Made for each call: a CLAHE object keeps buffers and is not thread-safe.
        equaliser = cv2.createCLAHE(self.clahe_clip_limit, (self.clahe_tiles, self.clahe_tiles))
        cv2.insertChannel(equaliser.apply(cv2.extractChannel(lab, 0)), lab, 0)
        return cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)

    def normalise(self, enhanced: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
        """Turn enhanced images into pixel_values.

        Args:
            enhanced: uint8 (N, H, W, 3), RGB; at least one.

        Returns:
            float32 (N, 3, H, W), contiguous.
        """
        height, width, channels = enhanced[0].shape
        pixel_values = np.empty((len(enhanced), channels, height, width), dtype=np.float32)
        mean = np.array(self.mean, dtype=np.float32).reshape(3, 1, 1)
        std = np.array(self.std, dtype=np.float32).reshape(3, 1, 1)
        for field, values in zip(enhanced, pixel_values, strict=True):  # one by one they stay in the cache
            np.divide(field.transpose(2, 0, 1), np.float32(255), out=values, dtype=np.float32)
            values -= mean
            values /= std
        return pixel_values

    def __call__(self, images: Iterable[Image.Image]) -> np.ndarray:
        """Turn RGB images into pixel_values: float32 (N, 3, image_size, image_size).

        Args:
            images: RGB uint8, any sizes; at least one.
        """
        return self.normalise([self._enhanced(image) for image in images])

    def to_image(self, pixel_values: np.ndarray) -> Image.Image:
        """Undo the normalisation for display; exact for values that came from `normalise`.

        Args:
            pixel_values: float32 (3, H, W).

        Returns:
            RGB uint8, (W, H): the enhanced image.
        """
        channels_last = np.asarray(pixel_values, dtype=np.float32).transpose(1, 2, 0)
        scaled = channels_last * np.array(self.std, dtype=np.float32) + np.array(self.mean, dtype=np.float32)
        return Image.fromarray(np.round(np.clip(scaled, 0, 1) * 255).astype(np.uint8))
