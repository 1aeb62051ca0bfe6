"""Models: from a name, a folder or a file to networks that can run, and where they lie."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from octet.errors import ModelDamagedError, ModelUnavailableError, SettingError
from octet.separation.models import registry
from octet.separation.models.cache import Cache, alive, sha256_of, silent
from octet.separation.models.demucs import convert
from octet.separation.models.demucs.checkpoint import load_network
from octet.separation.models.demucs.downloads import Downloads
from octet.separation.models.folder import Bag, open_bag
from octet.separation.models.frameworks import convert as frameworks
from octet.separation.models.frameworks import downloads as checkpoints
from octet.separation.models.frameworks.downloads import config_of
from octet.separation.models.mdxnet import graft
from octet.separation.models.onnx import describe_onnx, read_spec, write_spec
from octet.separation.models.registry import REGISTRY, Entry
from octet.separation.models.spec import About, ModelSpec
from octet.separation.models.spleeter import convert as spleeter

if TYPE_CHECKING:
    from octet.separation.model import ModelChoice
    from octet.separation.models.cache import Progress

Runtime = Literal["openvino", "torch"]

BUNDLED = Path(__file__).parent / "weights"


@dataclass(frozen=True)
class Member:
    """One network of a model.

    Attributes:
        spec: what it takes and gives.
        weights: of its estimate of each source, beside the other members'.
        sha256: of its file of weights (the checkpoint, or the ONNX file).
        path: the ONNX file, which says the same of itself; None for a PyTorch network.
        network: the PyTorch network (`torch.nn.Module`, on the CPU, float32); None for ONNX.
        loaded_from: for people.
    """

    spec: ModelSpec
    weights: tuple[float, ...]
    sha256: str
    path: Path | None
    network: Any = field(repr=False)
    loaded_from: str


@dataclass(frozen=True)
class ResolvedModel:
    """A model that is ready to be run: a bag of one or more networks.

    The estimate of a source is the mean of the members', by their weights.

    Attributes:
        name: short name.
        members: at least one; all have the same sources and rate.
        licence: SPDX identifier or a sentence; empty when nobody stated it.
        origin: where the weights come from.
    """

    name: str
    members: tuple[Member, ...]
    licence: str
    origin: str

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the stems, in the order of the outputs."""
        return self.members[0].spec.sources

    @property
    def samplerate(self) -> int:
        """In Hz."""
        return self.members[0].spec.samplerate

    @property
    def sha256(self) -> str:
        """The file's SHA-256; for several, that of their hashes and weights, one a line."""
        if len(self.members) == 1:
            return self.members[0].sha256
        lines = [f"{member.sha256} {member.weights}\n" for member in self.members]
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    @property
    def loaded_from(self) -> str:
        """Where the networks came from, for people."""
        return ", ".join(dict.fromkeys(member.loaded_from for member in self.members))


@dataclass(frozen=True)
class Presence:
    """What of a known model is on this machine.

    Attributes:
        entry: the model.
        where: the folder or file with its weights; None when they are not here.
        converted: whether it runs here without PyTorch.
    """

    entry: Entry
    where: Path | None
    converted: bool


def resolve(
    choice: ModelChoice,
    runtime: Runtime = "openvino",
    *,
    download: bool = True,
    on_progress: Progress | None = None,
) -> ResolvedModel:
    """Finds a model, and downloads and converts it where that has not been done before.

    Args:
        choice: which; its device and precision do not matter here.
        runtime: `openvino` gives ONNX files; `torch` gives PyTorch networks, where there is
            a checkpoint (a model that exists as ONNX alone stays ONNX).
        download: whether a known model that is not on this machine is fetched.
        on_progress: called during downloads and conversions, at least every few seconds, and
            perhaps in another thread.

    Raises:
        UnknownModelError: no such name, folder or file.
        ModelUnavailableError: known, but not here and not to be had; or a package is missing.
        ModelDamagedError: a file is not what its hash or its format promises.
        UntrustedModelError: a file could run code.
        ModelPolicyError: the licence.
        ModelError: a variant of Demucs that cannot be converted.
    """
    entry = REGISTRY.get(str(choice.name))
    path = Path(choice.name).expanduser()
    if entry is not None:
        registry.check_policy(choice.policy, entry.name, entry.licence, entry.commercial)
    elif not str(choice.name) or not path.exists():
        registry.find(str(choice.name))  # raises, naming those that there are
    with alive(on_progress, f"loading {path.name}") as report:
        resolver = _Resolver(choice, Cache(choice.cache), runtime, report)
        return resolver.known(entry, download) if entry else resolver.folder(open_bag(path), path)


def pull(
    name: str, cache: Cache, on_progress: Progress | None = None, *, given: Path | None = None
) -> Path:
    """Fetches the files of a known model into the cache, unless they are on this machine.

    Args:
        name: of the model.
        cache: where they are kept.
        on_progress: called with what is done.
        given: the file that a model of Spleeter's or a training framework's comes in, where it is
            at hand.

    Returns:
        The folder that holds them (for the bundled model: its file).

    Raises:
        UnknownModelError: no such name.
        ModelUnavailableError: the hub cannot be reached; the hint says what to do offline.
        ModelDamagedError: a file has another hash than it must have.
        SettingError: a file was given for a model that comes otherwise.
    """
    entry = registry.find(name)
    if given is not None and entry.archive is None:
        raise SettingError(
            f"{name} does not come in one file", "Leave --from out, or name a folder as the model."
        )
    if entry.bundled:
        return _bundled(entry)
    if entry.network is not None:
        with alive(on_progress, f"fetching {name}") as report:
            return checkpoints.obtain(entry, cache, given=given, report=report).parent
    if entry.archive is not None:
        with alive(on_progress, f"fetching {name}") as report:
            return spleeter.obtain(entry, cache, given=given, report=report)[0].parent
    downloads = Downloads(entry, cache)
    with alive(on_progress, f"fetching {name}") as report:
        files = [downloads.checked(item, report=report)[0] for item in entry.checkpoints]
    return files[0].parent


def list_models(cache: Cache) -> list[Presence]:
    """Every known model, with what of it is on this machine. Loads nothing."""
    return [_presence(entry, cache) for entry in REGISTRY.values()]


def _presence(entry: Entry, cache: Cache) -> Presence:
    if entry.bundled:
        path = BUNDLED / f"{entry.name}.onnx"
        return Presence(entry, path if path.exists() else None, path.exists())
    if entry.network is not None and entry.archive is not None:
        file, known = checkpoints.find(entry, cache), (entry.archive.sha256, config_of(entry))
        converted = frameworks.cached(cache, *known, _about(entry)) is not None
        return Presence(entry, file.parent if file else None, converted)
    if entry.archive is not None:
        made = spleeter.cached(entry, cache)
        return Presence(entry, made[0].parent if made else None, made is not None)
    downloads = Downloads(entry, cache)
    found = [downloads.find(item) for item in entry.checkpoints]
    hashes = [downloads.expected(item) for item in entry.checkpoints]
    converted = all(convert.cached(cache, sha256, _about(entry)) for sha256 in hashes)
    return Presence(entry, found[0].parent if found[0] and all(found) else None, converted)


def _about(entry: Entry) -> About:
    return About(entry.name, entry.licence, entry.source, entry.segment)


def _bundled(entry: Entry) -> Path:
    path = BUNDLED / f"{entry.name}.onnx"
    if not path.is_file():
        raise ModelUnavailableError(
            f"this installation lacks the bundled model {entry.name}", "Install Octet again."
        )
    return path


@dataclass(frozen=True)
class _Resolver:
    """One search for a model, with what its steps share."""

    choice: ModelChoice
    cache: Cache
    runtime: Runtime
    report: Progress = silent

    def known(self, entry: Entry, download: bool) -> ResolvedModel:
        """A model of the registry."""
        if entry.bundled:
            members = [self._onnx(_bundled(entry), None, "bundled with Octet")]
            return _model(entry.name, members, entry.licence, entry.source)
        if entry.network is not None:
            return self._published(entry, download)
        if entry.archive is not None:
            path, spec = spleeter.obtain(entry, self.cache, download=download, report=self.report)
            whole = _member(spec, entry.archive.sha256, path, None, str(path))
            return _model(entry.name, [whole], entry.licence, entry.source)
        downloads, about = Downloads(entry, self.cache), _about(entry)
        rows = entry.weights or tuple((1.0,) * len(entry.sources) for _ in entry.checkpoints)
        members = []
        for checkpoint, row in zip(entry.checkpoints, rows, strict=True):
            member = self._converted(downloads.expected(checkpoint), about)
            if member is None:
                found = downloads.checked(checkpoint, download=download, report=self.report)
                member = self._checkpoint(*found, about)
            members.append(replace(member, weights=row))
        return _model(entry.name, members, entry.licence, entry.source)

    def _published(self, entry: Entry, download: bool) -> ResolvedModel:
        """A training framework's model of the registry."""
        assert entry.archive is not None  # noqa: S101  # such entries have one
        config, sha256, about = config_of(entry), entry.archive.sha256, _about(entry)
        ready = self.runtime == "openvino" and frameworks.cached(self.cache, sha256, config, about)
        if ready:
            member = _member(ready[1], sha256, ready[0], None, f"converted, {ready[0]}")
        else:
            file = checkpoints.obtain(entry, self.cache, download=download, report=self.report)
            # A hash that is known stands for trust: the pickle is the one that was published.
            checkpoint = frameworks.Checkpoint(file, sha256, config, about, trusted=True)
            member = self._trained(checkpoint)
        return _model(entry.name, [member], entry.licence, entry.source)

    def folder(self, bag: Bag, path: Path) -> ResolvedModel:
        """A model of somebody's own, from the folder or file `path`."""
        members = [self._member(bag, file) for file in bag.files]
        rows = bag.weights_for(len(members[0].spec.sources))
        members = [replace(member, weights=row) for member, row in zip(members, rows, strict=True)]
        spec = members[0].spec
        return _model(bag.name, members, bag.licence or spec.licence, spec.origin or str(path))

    def _member(self, bag: Bag, file: Path) -> Member:
        onnx = file.suffix == ".onnx"
        spec = read_spec(file) if onnx else None
        licence = bag.licence or (spec.licence if spec else "")
        # Before a conversion that takes a minute.
        allowed = licence in registry.COMMERCIAL_LICENCES
        registry.check_policy(self.choice.policy, bag.name, licence, allowed)
        if bag.note is not None and spec is None:
            sha256 = sha256_of(file)
            path, spec = graft.obtain(file, bag.note, self.cache, sha256, self.report)
            return _member(spec, sha256, path, None, str(file))
        if onnx:
            return self._onnx(file, bag.segment, str(file))
        sha256 = sha256_of(file)
        about = About(bag.name, licence, str(file), bag.segment)
        if bag.config is not None:
            trust = self.choice.trust_checkpoint
            return self._trained(frameworks.Checkpoint(file, sha256, bag.config, about, trust))
        return self._converted(sha256, about) or self._checkpoint(file, sha256, about)

    def _onnx(self, path: Path, seconds: float | None, loaded_from: str) -> Member:
        """A member from an ONNX file; from a copy, if its description is to be another."""
        stated, sha256 = read_spec(path), sha256_of(path)
        spec = stated or describe_onnx(path)
        if seconds is not None and not spec.fixed:
            spec = replace(spec, segment=int(spec.samplerate * seconds))
        if spec != stated:
            path = self._described_copy(path, spec, sha256)
        return _member(spec, sha256, path, None, loaded_from)

    def _described_copy(self, path: Path, spec: ModelSpec, sha256: str) -> Path:
        """A copy in the cache that says of itself what `spec` says."""
        target = self.cache.converted(f"{sha256}-{spec.segment}-described")
        with self.cache.writing(target, self.report) as temporary:
            if temporary is not None:
                shutil.copyfile(path, temporary)
                write_spec(temporary, spec)
        return target

    def _converted(self, sha256: str, about: About) -> Member | None:
        """A member whose conversion is in the cache: neither checkpoint nor PyTorch are needed."""
        found = self.runtime == "openvino" and convert.cached(self.cache, sha256, about)
        if not found:
            return None
        path, spec = found
        return _member(spec, sha256, path, None, f"converted, {path}")

    def _trained(self, checkpoint: frameworks.Checkpoint) -> Member:
        """A member from a checkpoint of a training framework."""
        if self.runtime == "torch":
            network, spec = frameworks.load_whole(checkpoint)
            return _member(spec, checkpoint.sha256, None, network, f"{checkpoint.path} (PyTorch)")
        path, spec = frameworks.convert(checkpoint, self.cache, self.report)
        return _member(spec, checkpoint.sha256, path, None, f"converted, {path}")

    def _checkpoint(self, file: Path, sha256: str, about: About) -> Member:
        trust = self.choice.trust_checkpoint
        if self.runtime == "torch":
            network = load_network(file, trust_checkpoint=trust)
            spec = convert.exporter().describe(network, about)
            return _member(spec, sha256, None, network, f"{file} (PyTorch)")
        path, spec = convert.convert(
            file, self.cache, sha256, about, trust_checkpoint=trust, report=self.report
        )
        return _member(spec, sha256, path, None, f"converted, {path}")


def _member(
    spec: ModelSpec, sha256: str, path: Path | None, network: Any, loaded_from: str
) -> Member:
    """A member that counts as much as every other one."""
    return Member(spec, (1.0,) * len(spec.sources), sha256, path, network, loaded_from)


def _model(name: str, members: list[Member], licence: str, origin: str) -> ResolvedModel:
    first = members[0].spec
    if "vocals" not in first.sources:
        raise ModelDamagedError(
            f"{name} gives {', '.join(first.sources)}, and no vocals",
            "Octet needs an estimate of the vocals.",
        )
    for member in members[1:]:
        if (member.spec.sources, member.spec.samplerate) != (first.sources, first.samplerate):
            raise ModelDamagedError(
                f"the networks of {name} differ in their sources or rate",
                "They cannot make one model.",
            )
    return ResolvedModel(name, tuple(members), licence, origin)
