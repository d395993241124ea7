"""Entry for Hugging Face Inference Endpoints; the work is done by the leuk_hf package beside this file."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from leuk_hf.endpoint import EndpointHandler

__all__ = ["EndpointHandler"]
