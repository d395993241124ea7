"""The data card: assets/dataset_card.md, a Jinja template, filled from a table and what its publisher states."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from pathlib import Path
from typing import Any

from datasets import DatasetInfo
from datasets.info import DatasetInfosDict
from huggingface_hub import DatasetCard, DatasetCardData

from leuk_hf._version import __version__
from leuk_hf.dataset_repo import IMAGE_PATTERN, DatasetTable, image_features, table_features
from leuk_hf.errors import DataError
from leuk_hf.group_source import HUB_NAME, TABLE_NAME
from leuk_hf.hub_cards import marked
from leuk_hf.labels import CLASS_NAMES
from leuk_hf.model_index import ARCHIVE_FIELDS
from leuk_hf.splits import PARTS, PROTOCOLS

KAGGLE_PAGE = "https://www.kaggle.com/datasets/mehradaria/leukemia"
_TEMPLATE = Path(__file__).parent / "assets" / "dataset_card.md"
_KAGGLE_FILE = re.compile(r"(Benign/WBC-Benign|(Early|Pre|Pro)/WBC-Malignant-\2)-\d{3}\.jpg")
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


@dataclasses.dataclass(frozen=True)
class Statement:
    """What the publisher of a data set states, for the card.

    Args:
        repo_id: Where it is published: owner/name.
        origin: Where the images come from, in words; "" for the Kaggle set mehradaria/leukemia.
        grouped_by: What a group is, in words; "" for what scripts/prepare_data.py finds.
        license: As the Hub names it, such as cc-by-4.0; "" for the terms of the Kaggle set, else none.
        permission: By which licence or permission the images may be published, in words; "" publishes none.
    """

    repo_id: str
    origin: str = ""
    grouped_by: str = ""
    license: str = ""
    permission: str = ""


def check_permission(permission: str) -> None:
    """Refuse to publish images without the right to.

    Args:
        permission: What the publisher states.

    Raises:
        DataError: If it names no licence or permission.
    """
    if len(permission.split()) < 2:
        raise DataError(
            "images are published only by somebody who has the right to; state it, as --i-may-publish-these-images"
            ' "the licence or permission, in words", or leave out --images to publish the table alone'
        )


def render_dataset_card(table: DatasetTable, statement: Statement) -> str:
    """Fill the template.

    Args:
        table: From `make_table`.
        statement: Of the publisher.

    Returns:
        Markdown with its YAML block, marked as ours.

    Raises:
        DataError: If the publisher must say more, or the repository's name is none.
    """
    said = Statement(**{name: " ".join(text.split()) for name, text in dataclasses.asdict(statement).items()})
    if not re.fullmatch(HUB_NAME, said.repo_id):
        raise DataError(f"{said.repo_id!r} cannot be a repository's name; give owner/name")
    is_kaggle = not said.origin
    if is_kaggle and (other := [row["file"] for row in table.rows if not _KAGGLE_FILE.fullmatch(row["file"])]):
        raise DataError(
            f"{other[0]} is no file of the Kaggle set mehradaria/leukemia; say for the card where the images come"
            ' from, as --origin "..., in words"'
        )
    if not (said.grouped_by or table.found):
        raise DataError('the group table is your own; say for the card what a group is, as --grouped-by "patient"')
    card = DatasetCard.from_template(
        card_data=_metadata(table, said, is_kaggle=is_kaggle),
        template_str=_TEMPLATE.read_text(encoding="utf-8"),
        said=said,
        is_kaggle=is_kaggle,
        kaggle_page=KAGGLE_PAGE,
        kaggle_fields=ARCHIVE_FIELDS,
        table=table,
        facts=facts_of(table),
        table_name=TABLE_NAME,
        version=__version__,
    )
    return marked(str(card))


def facts_of(table: DatasetTable) -> dict[str, Any]:
    """Count what a table holds.

    Args:
        table: From `make_table`.

    Returns:
        num_fields, num_copies, num_groups, num_grouped (fields that share theirs), largest_group, num_acquisitions;
        classes (name, fields, groups, acquisitions); parts (protocol, part, fields of each class).
    """
    rows = table.rows
    sizes = Counter(row["group"] for row in rows)
    classes = []
    for name in table.class_names:
        own = [row for row in rows if row["label"] == name]
        sessions = {row["acquisition"] for row in own} - {""}
        classes.append((name, len(own), len({row["group"] for row in own}), len(sessions)))
    parts, order = [], {part: place for place, part in enumerate(PARTS)}
    for protocol in PROTOCOLS:
        counts = Counter((row[f"split_{protocol}"], row["label"]) for row in rows)
        for part in sorted({part for part, _ in counts}, key=lambda part: (order.get(part, len(order)), part)):
            parts.append((protocol, part, [counts[part, name] for name in table.class_names]))
    return {
        "num_fields": len(rows),
        "num_copies": len(rows) - len({row["sha256"] for row in rows}),
        "num_groups": len(sizes),
        "num_grouped": sum(size for size in sizes.values() if size > 1),
        "largest_group": max(sizes.values()),
        "num_acquisitions": len({row["acquisition"] for row in rows} - {""}),
        "classes": classes,
        "parts": parts,
    }


def _metadata(table: DatasetTable, said: Statement, *, is_kaggle: bool) -> DatasetCardData:
    terms: dict[str, Any] = {"license": said.license or None}
    if is_kaggle and not said.license:
        # The database is open, its contents are not: who publishes them states by which right.
        named = {"license_name": "odbl-database-contents-c-original-authors", "license_link": KAGGLE_PAGE}
        terms = {"license": "other", **named} if said.permission else {"license": "odbl"}
    is_b_all = table.class_names == CLASS_NAMES
    # One configuration only: datasets reads all of a repository's by one reader, so the table beside images has none.
    features = (image_features if said.permission else table_features)(table.class_names)
    held = "images, groups and splits" if said.permission else "groups and splits"
    data = DatasetCardData(
        pretty_name=f"{'B-ALL' if is_b_all else 'Blood-smear'} fields: {held}",
        task_categories=["image-classification"],
        task_ids=["multi-class-image-classification"],
        size_categories=[next((name for limit, name in _SIZES if len(table.rows) < limit), "n>1M")],
        tags=["medical", "hematology", "blood-smear", *(["leukemia"] if is_b_all else []), "leuk_hf"],
        configs=[{"config_name": "default", "data_files": IMAGE_PATTERN if said.permission else TABLE_NAME}],
        **terms,
    )
    DatasetInfosDict({"default": DatasetInfo(features=features)}).to_dataset_card_data(data)
    return data
