"""A folder with a model in Demucs' own layout, with one ONNX file, or of a training framework.

It holds one bag (`NAME.yaml`) and the checkpoints that the bag names, or one checkpoint, or
one ONNX model, beside which a note may lie (`octet.separation.models.mdxnet.note`), or one
checkpoint and the YAML file of the framework that trained it
(`octet.separation.models.frameworks.config`). Nothing here is taken on trust: neither what a
YAML file says nor where links lead.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from octet.errors import ModelDamagedError, UnknownModelError
from octet.separation.models.frameworks.config import Config
from octet.separation.models.mdxnet.note import Note
from octet.separation.models.spec import MAX_SECONDS, MAX_TEXT

MAX_BAG_BYTES = 64 * 1024
MAX_MEMBERS = 32
MAX_ENTRIES = 1000
MAX_BYTES = 4 * 1024**3

YAML = (".yaml", ".yml")
KINDS = (".onnx", ".safetensors", ".th")
"""Endings of weights, in the order in which they are preferred."""
FRAMEWORKS = (".safetensors", ".ckpt", ".th", ".pt", ".pth")
"""Endings of checkpoints of the training frameworks."""

_SIGNATURE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_BAG_HINT = "A bag looks like demucs' own: `models: [SIGNATURE, ...]`, `weights`, `segment`."


@dataclass(frozen=True)
class Bag:
    """Files that make one model together.

    Attributes:
        name: what to call it.
        files: one of weights for each member.
        weights: of each member for each source; empty means equal.
        segment: in seconds, in place of the networks' own; None keeps theirs.
        licence: as the bag states it (Octet's addition to Demucs' format), or empty.
        note: on a file of MDX-Net's, which does not describe itself.
        config: of the training framework that the one file comes from.
    """

    name: str
    files: tuple[Path, ...]
    weights: tuple[tuple[float, ...], ...] = ()
    segment: float | None = None
    licence: str = ""
    note: Note | None = None
    config: Config | None = None

    def weights_for(self, sources: int) -> tuple[tuple[float, ...], ...]:
        """The weights, one row a member, after a look at their shape.

        Raises:
            ModelDamagedError: they do not fit the number of sources, or cancel one out.
        """
        rows = self.weights or tuple((1.0,) * sources for _ in self.files)
        if any(len(row) != sources for row in rows):
            raise ModelDamagedError(
                f"the bag {self.name} has not one weight for each of {sources} sources", _BAG_HINT
            )
        if not all(sum(column) for column in zip(*rows, strict=True)):
            raise ModelDamagedError(f"the weights of the bag {self.name} cancel a source out")
        return rows


def open_bag(path: Path) -> Bag:
    """Reads what a folder, or a single file of weights, holds.

    Raises:
        UnknownModelError: there is no model in it.
        ModelDamagedError: it is ambiguous, not what it says, or reaches outside the folder.
    """
    if path.is_dir():
        return _open_folder(path)
    if path.suffix in FRAMEWORKS and path.suffix not in KINDS:
        raise UnknownModelError(
            f"{path.name} does not say what it is",
            "Name the folder that holds it and its YAML file, and nothing else.",
        )
    if path.suffix not in KINDS:
        raise UnknownModelError(
            f"{path.name} is no model", f"Models are folders, or end in {', '.join(KINDS)}."
        )
    file = _checked(path, path.parent, links=True)
    notes = [path.with_suffix(ending) for ending in YAML] if path.suffix == ".onnx" else []
    for note in notes:
        content = _read_yaml(_checked(note, path.parent)) if note.exists() else None
        if content is not None and "models" not in content:
            return _noted(note, content, file)
    return Bag(path.stem, (file,))


def find_file(folder: Path, signature: str) -> Path | None:
    """The weights of a member: `SIGNATURE.onnx`, `.safetensors`, `.th`, `SIGNATURE-HASH.th`."""
    for kind in KINDS:
        path = folder / (signature + kind)
        if path.exists():
            return _checked(path, folder)
    hashed = [path for path in folder.glob("*.th") if path.stem.rpartition("-")[0] == signature]
    if len(hashed) > 1:
        raise ModelDamagedError(f"{folder.name} holds several checkpoints {signature}", "Keep one.")
    return _checked(hashed[0], folder) if hashed else None


def _open_folder(folder: Path) -> Bag:
    names = _names(folder)
    bags = [name for name in names if name.endswith(YAML)]
    if len(bags) > 1:
        raise ModelDamagedError(
            f"{folder.name} holds several bags ({', '.join(bags[:3])})", "Keep one, or name a file."
        )
    files = [name for name in names if Path(name).suffix in KINDS]
    if bags:
        bag = _checked(folder / bags[0], folder)
        content = _read_yaml(bag)
        if "models" not in content and [Path(name).suffix for name in files] == [".onnx"]:
            return _noted(bag, content, _checked(folder / files[0], folder))
        if "models" not in content and "model" in content and "training" in content:
            return _trained(bag, content, names)
        return _read_bag(bag, content, folder)
    if len(files) != 1:
        raise UnknownModelError(
            f"{folder.name} holds {'several models' if files else 'no model'}",
            "A model folder holds one bag (.yaml) and its checkpoints, or one file "
            f"that ends in {', '.join(KINDS)}.",
        )
    return Bag(folder.resolve().name, (_checked(folder / files[0], folder),))


def _names(folder: Path) -> list[str]:
    try:
        # Hidden files are the system's or a cache's, never a model.
        names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise UnknownModelError(f"{folder} cannot be read ({error.strerror})") from error
    if len(names) > MAX_ENTRIES:
        raise UnknownModelError(f"{folder} is no model folder: it holds {len(names)} files")
    return names


def _checked(path: Path, folder: Path, *, links: bool = False) -> Path:
    """The path, if it is a regular file within the folder and not beyond all size."""
    try:
        real = path.resolve(strict=True)
        size = real.stat().st_size
    except (OSError, RuntimeError) as error:
        raise UnknownModelError(f"there is no file {path.name} in {folder}") from error
    if not links and not real.is_relative_to(folder.resolve()):
        raise ModelDamagedError(
            f"{path.name} is a link out of its folder", "Put the file itself into the folder."
        )
    if not real.is_file():
        raise ModelDamagedError(f"{path.name} is not a regular file")
    if size > MAX_BYTES:
        raise ModelDamagedError(f"{path.name} is larger than any model ({size} bytes)")
    return path


class _Loader(yaml.SafeLoader):
    """Plain YAML: tuples are lists, and nothing is named twice.

    The training frameworks write tuples. Aliases, which no such file needs, can grow a short
    file beyond all memory where merge keys nest (PyYAML before 6.0.4).
    """

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("it has aliases")
        return super().compose_node(parent, index)

    def sequence(self, node: yaml.SequenceNode) -> list[Any]:
        return list(self.construct_sequence(node, deep=True))


_Loader.add_constructor("tag:yaml.org,2002:python/tuple", _Loader.sequence)


def _noted(path: Path, content: dict[Any, Any], file: Path) -> Bag:
    """A file of MDX-Net's with its note."""
    note = Note.read(path.name, content)
    return Bag(note.name or file.stem, (file,), licence=note.licence, note=note)


def _trained(path: Path, content: dict[Any, Any], names: list[str]) -> Bag:
    """The checkpoint of a training framework with its description."""
    config = Config.read(path.name, content)
    files = [name for name in names if Path(name).suffix in FRAMEWORKS]
    if len(files) != 1:
        raise UnknownModelError(
            f"{path.name} lies beside {len(files) or 'no'} checkpoints",
            f"Put one there, whose name ends in {', '.join(FRAMEWORKS)}.",
        )
    file = _checked(path.parent / files[0], path.parent)
    return Bag(path.parent.resolve().name, (file,), licence=config.licence, config=config)


def _read_yaml(path: Path) -> dict[Any, Any]:
    if path.stat().st_size > MAX_BAG_BYTES:
        raise ModelDamagedError(f"{path.name} is too large for a bag", _BAG_HINT)
    return parse_yaml(path.name, path.read_bytes())


def parse_yaml(name: str, text: bytes) -> dict[Any, Any]:
    """A mapping of plain data.

    Args:
        name: of the file, for people.
        text: what it holds.

    Raises:
        ModelDamagedError: it is no such thing.
    """
    try:
        content = yaml.load(text.decode("utf-8"), _Loader)  # noqa: S506 (a safe one)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ModelDamagedError(f"{name} is not YAML", _BAG_HINT) from error
    if not isinstance(content, dict):
        raise ModelDamagedError(f"{name} is not a mapping", _BAG_HINT)
    return content


def _read_bag(path: Path, content: dict[Any, Any], folder: Path) -> Bag:
    signatures = _signatures(path.name, content.get("models"))
    files = []
    for signature in signatures:
        file = find_file(folder, signature)
        if file is None:
            raise UnknownModelError(
                f"{path.name} names the checkpoint {signature}, which is not in {folder}",
                f"Put {signature}.safetensors there.",
            )
        files.append(file)
    weights = content.get("weights")
    licence = content.get("licence", "")
    if not isinstance(licence, str) or len(licence) > MAX_TEXT or not licence.isprintable():
        raise ModelDamagedError(f"{path.name} has a licence that is no line of text", _BAG_HINT)
    return Bag(
        name=path.stem,
        files=tuple(files),
        weights=() if weights is None else _weights(path.name, weights, len(files)),
        segment=_segment(path.name, content.get("segment")),
        licence=licence,
    )


def _signatures(name: str, value: Any) -> list[str]:
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_MEMBERS:
        raise ModelDamagedError(f"{name} names no list of 1 to {MAX_MEMBERS} models", _BAG_HINT)
    # YAML reads an unquoted signature of digits alone as a number.
    signatures = [str(item) if type(item) is int else item for item in value]
    for signature in signatures:
        if not isinstance(signature, str) or not _SIGNATURE.fullmatch(signature):
            raise ModelDamagedError(f"{name} names a checkpoint that is no plain name", _BAG_HINT)
    return signatures


def _weights(name: str, value: Any, members: int) -> tuple[tuple[float, ...], ...]:
    rows = value if isinstance(value, list) else []
    if len(rows) != members or not all(isinstance(row, list) for row in rows):
        raise ModelDamagedError(f"{name} has not one list of weights for each model", _BAG_HINT)
    if not all(_is_number(weight) for row in rows for weight in row):
        raise ModelDamagedError(f"{name} has weights that are not numbers", _BAG_HINT)
    return tuple(tuple(float(weight) for weight in row) for row in rows)


def _segment(name: str, value: Any) -> float | None:
    if value is None:
        return None
    if not _is_number(value) or not 0 < value <= MAX_SECONDS:
        raise ModelDamagedError(f"{name} has a segment that is no number of seconds", _BAG_HINT)
    return float(value)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and abs(value) < 1e6
