"""Ask the running demo for one prediction, as a program would."""

import sys
from pathlib import Path

from gradio_client import Client, handle_file

EXAMPLE = Path(__file__).parent.parent / "leuk_hf" / "assets" / "examples" / "synthetic-Pre.png"

client = Client(sys.argv[1], verbose=False)
answer = client.predict(image=handle_file(str(EXAMPLE)), api_name="/predict")
total = sum(answer["probabilities"].values())
assert len(answer["probabilities"]) == 4 and abs(total - 1) < 1e-4, answer
assert answer["label"] == answer["prediction_set"][0] and answer["library"].startswith("leuk_hf"), answer
print(f"client: {answer['label']}, probabilities sum to {total:.6f}")
