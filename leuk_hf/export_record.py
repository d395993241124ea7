"""What an export says of itself: export.json, beside the graphs in an exported folder or a checkpoint.

Shared contract: nothing here imports torch or a backend. A graph is used only if it is the file that the record
describes, and was made from the weights and settings that lie beside it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

from leuk_hf import checkpoint_io
from leuk_hf.errors import CheckpointError, one_line
from leuk_hf.hub_files import hash_on_hub, is_cached
from leuk_hf.model_config import check_architecture

RECORD_NAME = "export.json"
ONNX_NAME = "model.onnx"
OPENVINO_NAME = "openvino_model.xml"
OPENVINO_WEIGHTS_NAME = "openvino_model.bin"
GRAPH_NAMES = (ONNX_NAME, OPENVINO_NAME, OPENVINO_WEIGHTS_NAME)
SCHEMA_VERSION = 1
# What each backend reads, best first.
_GRAPHS = {"openvino": (OPENVINO_NAME, ONNX_NAME), "onnxruntime": (ONNX_NAME,)}
_KEYS = {
    "schema_version": int,
    "identity": str,
    "settings_sha256": str,
    "weights_sha256": str,
    "map_layer": str,
    "beside_weights": bool,
    "graphs": dict,
}


class UnusableRecordError(CheckpointError):
    """There is an export.json, but it is damaged or of a newer leuk_hf; the weights beside it may be sound."""


@dataclasses.dataclass(frozen=True)
class ExportRecord:
    """An export that was found.

    Args:
        source: Folder or Hub id; None for the shipped checkpoint.
        download: How a Hub id is read: revision and so on.
        folder: Where config.json lies on this machine.
        settings: From `checkpoint_io.read_config`.
        content: Of export.json.
    """

    source: str | Path | None
    download: dict[str, Any]
    folder: Path
    settings: dict[str, Any]
    content: dict[str, Any]

    def graph_for(self, backend: str) -> Path | None:
        """Find the graph that a backend reads, downloading it when the source is a Hub id.

        Args:
            backend: "openvino" or "onnxruntime".

        Returns:
            The file, or None if the export has none for it.

        Raises:
            CheckpointError: If a file is not the one that was exported, or lies on the Hub beside other weights.
        """
        for name in _GRAPHS[backend]:
            if name not in self.content["graphs"]:
                continue
            self._check_weights_on_hub(name)
            names = (name, OPENVINO_WEIGHTS_NAME) if name == OPENVINO_NAME else (name,)
            paths = []
            for each in names:
                path = checkpoint_io.find(self.source, each, **self.download)
                if path is None:
                    raise CheckpointError(f"{self.folder} lacks {each}, which {RECORD_NAME} names; export it again")
                paths.append(path)
                if file_sha256(path) != self.content["graphs"].get(path.name):
                    raise CheckpointError(f"{path} is not the file that {RECORD_NAME} describes; export it again")
            return paths[0]
        return None

    @property
    def is_on_hub(self) -> bool:
        """Whether the source is a Hub id."""
        return self.source is not None and not Path(self.source).expanduser().is_dir()

    def has_weights(self) -> bool:
        """Tell whether torch's weights lie beside the graphs; of a Hub repository, whether they were exported so."""
        if self.is_on_hub:
            return self.content["beside_weights"]
        return (self.folder / checkpoint_io.WEIGHTS_NAME).is_file()

    def check_weights(self) -> None:
        """Fetch the weights beside the graphs and compare them with those that the graphs were made from.

        Raises:
            CheckpointError: If they cannot be had or are others.
        """
        weights = checkpoint_io.locate(self.source, checkpoint_io.WEIGHTS_NAME, **self.download)
        if file_sha256(weights) != self.content["weights_sha256"]:
            raise CheckpointError(f"{weights} is not what the exported graph was made from; export it again")

    def _check_weights_on_hub(self, graph: str) -> None:
        """Compare the weights beside a graph on the Hub before it is fetched; a graph in the cache was compared then.

        Weights that were pushed alone leave the graph of those before them.
        """
        revision = self.download.get("revision")
        if not self.is_on_hub or is_cached(str(self.source), graph, **self.download):
            return
        name = checkpoint_io.WEIGHTS_NAME
        found = hash_on_hub(
            str(self.source),
            name,
            here="a folder",
            there="a repository",
            error=CheckpointError,
            revision=revision,
            token=self.download.get("token"),
        )
        if found is not None and len(found) != 64:  # small enough for git, which has another hash
            found = file_sha256(checkpoint_io.locate(self.source, name, **self.download))
        if found not in (None, self.content["weights_sha256"]):
            raise CheckpointError(f"{self.source}: the exported graph was made from other weights; export it again")

    def fault(self) -> str | None:
        """Say in a sentence why the graphs may not be used with what lies beside them; None if they may."""
        weights = self.folder / checkpoint_io.WEIGHTS_NAME
        changed = weights.is_file() and file_sha256(weights) != self.content["weights_sha256"]
        if changed or settings_sha256(self.folder / checkpoint_io.CONFIG_NAME) != self.content["settings_sha256"]:
            what = "weights" if changed else "settings"
            return f"{self.folder}: the exported graph was made from other {what}; export it again"
        return None


def find_export(source: str | Path | None, **download: Any) -> ExportRecord | None:
    """Look for an export in a checkpoint.

    Args:
        source: Folder, Hub id, or None for the shipped checkpoint.
        **download: As for `checkpoint_io.locate`.

    Raises:
        UnusableRecordError: If its export.json cannot be used.
        CheckpointError: If the source cannot be had, or its config.json cannot be used.
    """
    path = checkpoint_io.find(source, RECORD_NAME, **download)
    if path is None:
        return None
    content = _read(path)
    if source is not None and not Path(source).expanduser().is_dir() and path.parent.parent.name == "snapshots":
        download = {**download, "revision": path.parent.name}  # whatever is pushed meanwhile, one commit's files
    config = checkpoint_io.locate(source, checkpoint_io.CONFIG_NAME, **download)
    settings = checkpoint_io.read_config(config)
    try:
        checkpoint_io.check_class_names(settings["class_names"])
        checkpoint_io.check_temperature(settings["temperature"])
        check_architecture(
            **{name: settings[name] for name in ("growth_rate", "block_config", "bn_size", "drop_rate")}
        )
        layers = checkpoint_io.cam_layers_of(settings)
        # The two closed forms: the last dense block, and what is averaged for the logits.
        if content["map_layer"] not in (f"denseblock{len(settings['block_config'])}", layers[-1]):
            raise UnusableRecordError(f"{path}: its map_layer is {content['map_layer']!r}; export the model again")
        if settings["cam_layer"] not in layers:
            raise ValueError(f"cam_layer is {settings['cam_layer']!r}")
    except KeyError as error:
        raise CheckpointError(f"{config} has no leuk_hf setting {error}; save the model again") from error
    except UnusableRecordError:
        raise
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"{config}: {error}; export the model again") from error
    return ExportRecord(source, download, config.parent, settings, content)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UnusableRecordError(
            f"{path} is no record of an export ({one_line(error)}); export the model again"
        ) from error
    if not isinstance(content, dict):
        raise UnusableRecordError(f"{path} is no record of an export (it is no JSON object); export the model again")
    schema = content.get("schema_version")
    if isinstance(schema, int) and schema > SCHEMA_VERSION:
        raise UnusableRecordError(f"{path} has schema_version {schema}; upgrade leuk_hf")
    for key, kind in _KEYS.items():
        if not isinstance(content.get(key), kind):
            fault = f"its {key} is {content[key]!r}" if key in content else f"it has no {key}"
            raise UnusableRecordError(f"{path} is no record of an export ({fault}); export the model again")
    return content


def settings_sha256(config: Path) -> str:
    """Hash what a config.json says to leuk_hf, whatever its order or spacing.

    Args:
        config: Readable by `checkpoint_io.read_config`.
    """
    settings = json.loads(config.read_text(encoding="utf-8"))["leuk_hf"]
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """Hash a file.

    Args:
        path: The file.
    """
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()
