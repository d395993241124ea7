"""The errors a user can cause, each carrying one clear sentence: what is wrong, where, and how to fix it.

Scripts print the sentence and exit; the Space shows it. All of them are also `ValueError`s, so callers who
know nothing of leuk_hf can catch what they expect.
"""


def one_line(error: BaseException) -> str:
    """Give what another library says as part of a sentence: one line, not too long.

    Args:
        error: Of any kind.
    """
    return " ".join(str(error).split())[:160] or type(error).__name__


class LeukError(ValueError):
    """A mistake the user can mend; `str(error)` is the sentence to show."""

    @property
    def sentence(self) -> str:
        """The sentence as it was raised: if it is a `leuk_hf.sentence.Sentence`, with what it was made of."""
        return self.args[0] if self.args and isinstance(self.args[0], str) else str(self)


class ImageError(LeukError):
    """An image that cannot be used: missing, not an image, truncated, too large, animated."""


class CheckpointError(LeukError):
    """A checkpoint that cannot be loaded: missing files, wrong tensors, an unknown Hub id, no network."""


class DataError(LeukError):
    """A data set that cannot be used: unknown layout, empty class, unreadable images."""


class TrainingError(LeukError):
    """A training run that cannot start or resume as asked."""


class HubError(LeukError):
    """Something that cannot be published on the Hub or is refused there: no token, no right, no connection."""
