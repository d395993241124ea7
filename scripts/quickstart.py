# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # leuk_hf in one notebook
#
# Get data, prepare it, train a little, evaluate, explain, look for shortcuts, push: the whole road from smear fields
# to a model on the Hugging Face Hub.
#
# **For research and teaching only. Nothing here is a medical device, and nothing it says may be used for diagnosis.**
#
# As it stands the notebook draws its own synthetic fields, downloads nothing and takes a few minutes on any processor.
# It then teaches how the pieces fit together, and nothing else: **synthetic fields say nothing about real ones.**
#
# ## Install
#
# You need Python 3.10 to 3.13 and a copy of the leuk_hf repository. On your own machine, in the copy:
# `pip install -e ".[notebook]"`. On a hosted machine such as Colab, put the copy beside this notebook as the folder
# `leuk_hf_repository`, take away the `#` in the next cell, run it once, and restart the kernel.

# %%
# # %pip install -q "./leuk_hf_repository[notebook]"

# %% [markdown]
# ## Get data
#
# `DATA` is `"synthetic"`, a folder with one folder of fields for each class, the Kaggle set that the shipped
# checkpoint was trained on, or a data set on the Hub (`"owner/name"`). Everything is written below the folder `WORK`;
# with real data it then holds patients' images, so choose a disk where they may lie.

# %%
import shutil
from pathlib import Path

from IPython.display import Image, Markdown, display

from leuk_hf.data import load_smears
from leuk_hf.synthetic import write_smears

DATA = "synthetic"
# DATA = "kaggle:mehradaria/leukemia"  # or a folder; then take a GPU, or some hours
WORK = Path("runs/quickstart")

source = DATA
if DATA == "synthetic":
    source = str(WORK / "smears")
    write_smears(source, fields_per_class=20, seed=0, image_size=128)
dataset = load_smears(source)
print(f"{len(dataset)} fields of the classes {', '.join(dataset.features['label'].names)}")
display(dataset[0]["image"])

# %% [markdown]
# ## Prepare it: what belongs together?
#
# Fields of one slide often overlap. If a network has seen one of two overlapping fields, it knows the other, so a
# **random split flatters**: it asks for what was learned by heart. So copies and overlapping fields are found first
# and kept on one side of the split (`grouped`); whole sessions at the microscope can be kept apart, too
# (`acquisition`). The table that is written, one row per field, holds no image and may be published.
#
# Every synthetic field is a scene of its own, so little is found here. In the Kaggle set every second field has a copy
# or a neighbour. The same as a command: `python scripts/prepare_data.py FOLDER --out groups.csv --report report`.

# %%
from leuk_hf.group_report import summary_of, summary_table
from leuk_hf.group_source import read_groups
from leuk_hf.group_table import write_groups
from leuk_hf.groups import find_groups

GROUPS = WORK / "groups.csv"
found = find_groups(dataset, cache=WORK / "groups-cache")
write_groups(GROUPS, found.records)
display(Markdown(summary_table(summary_of(found))))

# %% [markdown]
# ## Train a little
#
# A `TrainConfig` says all that decides a training; what is left out is as in the recipe `plain`. For the synthetic
# fields the network is tiny. Real fields get the whole DenseNet-121, and are better trained by the command, which runs
# on several GPUs, can be stopped at any moment and goes on with `--resume`:
#
# ```bash
# accelerate launch scripts/train.py --source FOLDER --groups groups.csv --protocol acquisition --output runs/mine
# ```

# %%
import dataclasses

from leuk_hf.training import train
from leuk_hf.training_config import TrainConfig

COMMAND = "jupyter execute scripts/quickstart.ipynb"  # for the records
RUN = WORK / "run"
config = TrainConfig(source=source, output=RUN, groups=GROUPS, protocol="grouped", cache=WORK / "cache", seed=0)
if DATA == "synthetic":
    config = dataclasses.replace(
        config, image_size=64, growth_rate=8, block_config=(2, 2, 2, 2), num_epochs=10, batch_size=8
    )
    shutil.rmtree(RUN, ignore_errors=True)  # so that this cell can run again; a run of hours would not be thrown away
record = train(config, command=COMMAND)
display(Image(filename=RUN / "curves.png"))

# %% [markdown]
# ## Evaluate
#
# The checkpoint of the best epoch is loaded as anybody would load it, and answers to the test part, which neither the
# weights nor the choice of the epoch have seen. A figure without its interval is half a figure: look how wide the
# intervals of so few fields are. Prediction sets and refusal are not fitted yet, so a set holds every class and
# nothing is refused; `scripts/calibrate.py` fits them. The figures go into a `results.json` beside the weights, from
# where the model card takes them. As a command: `python scripts/evaluate.py --model runs/mine/checkpoint --source
# FOLDER --split runs/mine/split.csv`.

# %%
from leuk_hf import LeukDenseNet
from leuk_hf.evaluation import evaluate, merge_results
from leuk_hf.model_card import results_table
from leuk_hf.plots import plot_confusion_matrix
from leuk_hf.provenance import provenance
from leuk_hf.splits import read_split

CHECKPOINT = RUN / "checkpoint"
model = LeukDenseNet.from_pretrained(CHECKPOINT)
test = dataset.select(read_split(RUN / "split.csv", dataset, "test"))
results = evaluate(model, test, groups=[row["group"] for row in read_groups(GROUPS, test)])
entry = {"part": "test", **results.summary(), **provenance(COMMAND)}
merge_results(CHECKPOINT / "results.json", "protocols", config.protocol, entry)
display(Markdown(results_table({"protocols": {config.protocol: entry}})))

# %%
title = f"protocol {config.protocol}, {len(test)} test fields"
plot_confusion_matrix(results.confusion, results.class_names, WORK / "confusion.png", title=title)
display(Image(filename=WORK / "confusion.png"))

# %% [markdown]
# ## Explain
#
# Grad-CAM shows where in a field the network found what speaks for a class. A red spot on a leukocyte does not prove
# that the leukocyte decided; the next step asks for that.

# %%
from leuk_hf.data import read_image, without_decoding
from leuk_hf.explanation import explain
from leuk_hf.plots import plot_panel

rows = without_decoding(test)
field = read_image(rows[0])
explanation = explain(model, field)
probability = explanation.prediction.probabilities[explanation.target]
caption = f"true: {model.class_names[rows[0]['label']]}\npredicted: {explanation.target} ({probability:.2f})"
overlay = explanation.overlay(field)
plot_panel([(caption, field, overlay)], WORK / "grad_cam.png", title=f"Grad-CAM, {explanation.layer}")
display(Image(filename=WORK / "grad_cam.png"))

# %% [markdown]
# ## Ask the shortcut question
#
# Does it read leukocytes at all? Every leukocyte is taken out and the hole painted over: whoever still names the class
# has found it in the background. The control makes equal holes where no leukocyte lies; if that changes the answers
# too, the painting disturbs, and the first row says little. The synthetic classes differ in background and colour on
# purpose, so expect a shortcut. All rows: `python scripts/audit.py FOLDER --split runs/mine/split.csv --model
# runs/mine/checkpoint`.

# %%
from leuk_hf.adapters import from_leuk
from leuk_hf.audit import audit

report = audit(
    from_leuk(model),
    [read_image(row) for row in rows],
    test["label"],
    class_names=model.class_names,
    names=test["path"],
    rows=["leukocytes removed, inpainted", "sham: equal holes off the leukocytes"],
)
audited = {"part": "test", "identity": model.identity(), "backend": None, **report.to_dict(), **provenance(COMMAND)}
merge_results(CHECKPOINT / "results.json", "audit", "quickstart", audited)
display(Markdown(report.to_markdown()))

# %% [markdown]
# ## Push
#
# `assemble_model_repo` writes the folder of a model repository: the weights, a card filled from `results.json`, plots,
# synthetic samples with the answers to them, a handler for Inference Endpoints, and this notebook. No field of your
# data is among it. Before you publish it, look at the card and at `training.json`: of absolute paths only the last
# part is published, but relative ones, such as `runs/quickstart`, as you gave them, and with `split.csv` the names of
# your files.
#
# To publish, run `hf auth login` (or set `HF_TOKEN`) and set `REPO_ID`; then run the two cells. The repository is
# private until you open it. Weights, config and card alone take one line, `model.push_to_hub("your-name/your-model",
# private=True)`; the command is `python scripts/push_to_hub.py --repo your-name/your-model --model
# runs/mine/checkpoint --private`.

# %%
from leuk_hf.model_index import DATASET
from leuk_hf.model_repo import OBSOLETE, assemble_model_repo

data_name = "Data of the owner's that this card does not describe"  # say what your data is
if DATA == "synthetic":
    data_name = "Synthetic fields drawn by leuk_hf, which say nothing about real smears"
elif DATA == "kaggle:mehradaria/leukemia":
    data_name = DATASET
repository = WORK / "repository"
assemble_model_repo(CHECKPOINT, repository, data_name=data_name)
print("\n".join(sorted(path.name for path in repository.iterdir())))

# %%
import os

from huggingface_hub import get_token

from leuk_hf.hub import publish_folder
from leuk_hf.hub_weights import CARD_CLAIMS

REPO_ID = os.environ.get("REPO_ID", "")  # your-name/your-model
if REPO_ID and get_token():
    published = publish_folder(
        repository,
        REPO_ID,
        message="Publish the quickstart's checkpoint",
        private=True,
        obsolete=OBSOLETE,
        card_agrees_on=CARD_CLAIMS,
    )
    print(f"{published.url}, commit {published.commit}")
    again = LeukDenseNet.from_pretrained(REPO_ID, revision=published.commit)
    print("what the Hub gives back is", "the same model" if again.identity() == model.identity() else "another model")
else:
    print("Nothing is pushed: that takes a token (hf auth login, or HF_TOKEN) and a REPO_ID.")
