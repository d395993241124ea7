"""The command that measures what the audit of one field borrows."""

import subprocess
import sys
from pathlib import Path

import numpy as np

from leuk_hf.perturbations import colour_statistics
from leuk_hf.synthetic import render_smear

ROOT = Path(__file__).parent.parent


def test_it_prints_the_means_of_each_class_in_the_part(tmp_path):
    rows, expected = ["file,label,split"], {}
    for folder, name in (("Benign", "Benign"), ("Early", "Early Pre-B"), ("Pre", "Pre-B"), ("Pro", "Pro-B")):
        (tmp_path / folder).mkdir()
        measured = []
        for number in range(3):
            field = render_smear(name, seed=number, image_size=64)
            field.save(tmp_path / folder / f"{number}.png")
            rows.append(f"{folder}/{number}.png,{name},{'test' if number == 1 else 'train'}")
            if number != 1:
                measured.append(colour_statistics(np.asarray(field)))
        expected[name] = np.mean(measured, axis=0)
    split = tmp_path / "split.csv"
    split.write_text("\n".join(rows), encoding="utf-8")
    command = [sys.executable, "scripts/measure_colours.py", "--source", str(tmp_path), "--split", str(split)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = [
        f'    "{name}": changed.ColourStatistics(({", ".join(f"{value:.1f}" for value in mean)}),'
        f" ({', '.join(f'{value:.1f}' for value in spread)})),"
        for name, (mean, spread) in expected.items()
    ]
    assert done.stdout.splitlines() == lines
