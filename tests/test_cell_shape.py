"""How wide leukocytes are for their height: by hand, and by the script."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from leuk_hf.cell_shape import cell_shape, widths_over_heights
from leuk_hf.data_tables import data_text
from leuk_hf.synthetic import write_smears

ROOT = Path(__file__).parents[1]


def test_ellipses_have_the_ratio_of_their_axes_and_cut_ones_do_not_count():
    labels = np.zeros((200, 200), np.int32)
    for label, (centre, axes) in enumerate([((50, 60), (20, 20)), ((120, 60), (16, 20)), ((60, 140), (30, 20))], 1):
        cv2.ellipse(labels, centre, axes, 0, 0, 360, label, -1)
    assert widths_over_heights(labels) == pytest.approx([1, 0.8, 1.5], rel=0.03)
    cv2.ellipse(labels, (199, 150), (16, 20), 0, 0, 360, 4, -1)
    assert len(widths_over_heights(labels)) == 3
    line = np.zeros((9, 9), np.int32)
    line[4, 2:7] = 1  # variance of five places is 2, and a twelfth
    assert widths_over_heights(line) == pytest.approx([np.sqrt((2 + 1 / 12) * 12)])


def test_the_mean_is_over_cells_and_the_interval_over_groups():
    ratios = [[0.8, 0.9], [1.0], [], [0.7]]
    entry = cell_shape(ratios, np.array([0, 0, 1, 2]), ["a", "a", "b", "b"], seed=0)
    assert entry["width_over_height"]["value"] == pytest.approx(3.4 / 4)
    assert (entry["num_fields"], entry["num_leukocytes"]) == (3, 4)
    assert entry["by_session"] == {"a": pytest.approx(0.9), "b": pytest.approx(0.7)}
    low, high = entry["width_over_height"]["interval"]
    assert low == pytest.approx(0.7) and high == pytest.approx(0.9)
    with pytest.raises(ValueError, match="no field has a leukocyte that lies wholly inside; give fields with some"):
        cell_shape([[], []], np.arange(2), ["a", "a"])


def test_the_script_measures_and_puts_it_into_results(tmp_path):
    write_smears(tmp_path / "smears", fields_per_class=2, seed=0, image_size=160)
    files = sorted(path.relative_to(tmp_path / "smears").as_posix() for path in (tmp_path / "smears").rglob("*.png"))
    rows = ["file,group,acquisition"] + [f"{name},{index},one" for index, name in enumerate(files)]
    (tmp_path / "groups.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    command = [sys.executable, str(ROOT / "scripts" / "measure_cell_shape.py"), "--source", str(tmp_path / "smears")]
    command += ["--groups", str(tmp_path / "groups.csv"), "--results", str(tmp_path / "results.json")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    results = json.loads((tmp_path / "results.json").read_text())
    entry = results["data"]["cell_shape"]
    assert 0.7 < entry["width_over_height"]["value"] < 1.1 and entry["num_leukocytes"] > 8
    assert f"{entry['width_over_height']['value']:.3f} times as wide as tall" in done.stdout
    text = data_text(results)
    assert f"of {entry['num_leukocytes']} that lie wholly inside of {entry['num_fields']} fields" in text
    missing = subprocess.run([*command[:3], str(tmp_path / "none"), *command[4:]], capture_output=True, text=True)
    assert missing.returncode == 2 and missing.stderr.startswith("error: ") and "Traceback" not in missing.stderr
