"""Ask the running demo for one prediction, as a program would."""

import sys
from pathlib import Path

from gradio_client import Client, handle_file

EXAMPLE = Path(__file__).parent.parent / "leuk_hf" / "assets" / "examples" / "synthetic-Pre.png"

client = Client(sys.argv[1], verbose=False)
label, overlay, verdict = client.predict(image=handle_file(str(EXAMPLE)), api_name="/predict")
total = sum(entry["confidence"] for entry in label["confidences"])
assert len(label["confidences"]) == 4 and abs(total - 1) < 1e-4, label
assert Path(overlay).stat().st_size > 10_000, overlay
assert verdict.startswith(f"### {label['label']}"), verdict
print(f"client: {label['label']}, probabilities sum to {total:.6f}")
