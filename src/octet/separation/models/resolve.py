"""Models: from a name, a folder or a file to networks that can run, and where they lie."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from octet.errors import ModelDamagedError, ModelUnavailableError
from octet.separation.models import registry
from octet.separation.models.cache import Cache, sha256_of
from octet.separation.models.demucs import convert
from octet.separation.models.demucs.checkpoint import load_network
from octet.separation.models.demucs.downloads import Downloads
from octet.separation.models.folder import Bag, open_bag
from octet.separation.models.onnx import describe_onnx
from octet.separation.models.registry import REGISTRY, Entry
from octet.separation.models.spec import ModelSpec, read_spec, write_spec

if TYPE_CHECKING:
    from collections.abc import Callable

    from octet.separation.model import Policy

    Progress = Callable[[str, int, int], None]
    """Called with what is done, how much of it, and of how much (0 while unknown)."""

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
class Listing:
    """A line of the list of models.

    Attributes:
        entry: the model.
        where: the folder or file with its weights; None when it is not on this machine.
        converted: whether it runs here without PyTorch.
    """

    entry: Entry
    where: Path | None
    converted: bool


def resolve(
    name: str | Path,
    *,
    policy: Policy = "any",
    trust_checkpoint: bool = False,
    cache: Cache | None = None,
    runtime: Runtime = "openvino",
    download: bool = True,
    on_progress: Progress | None = None,
) -> ResolvedModel:
    """Finds a model, and downloads and converts it where that has not been done before.

    Args:
        name: a name of the registry, a model folder, or a file of weights.
        policy: `commercial` refuses models whose licence forbids commercial use, or does
            not say.
        trust_checkpoint: whether `.th` files may be loaded.
        cache: where downloads and conversions are kept; the user's cache unless given.
        runtime: `openvino` gives ONNX files; `torch` gives PyTorch networks, where there is
            a checkpoint (a model that exists as ONNX alone stays ONNX).
        download: whether a known model that is not on this machine is fetched.
        on_progress: called during downloads and conversions.

    Raises:
        UnknownModelError: no such name, folder or file.
        ModelUnavailableError: known, but not here and not to be had; or a package is missing.
        ModelDamagedError: a file is not what its hash or its format promises.
        UntrustedModelError: a file could run code.
        ModelPolicyError: the licence.
        ModelError: a variant of Demucs that cannot be converted.
    """
    work = _Work(cache or Cache(), trust_checkpoint, runtime, on_progress)
    if str(name) in REGISTRY:
        entry = REGISTRY[str(name)]
        registry.check_policy(policy, entry.name, entry.licence, entry.commercial)
        return _resolve_entry(entry, work, download=download)
    path = Path(name).expanduser()
    if not str(name) or not path.exists():
        registry.find(str(name))  # raises, naming those that there are
    return _resolve_path(path, policy, work)


def pull(
    name: str,
    *,
    cache: Cache | None = None,
    on_progress: Progress | None = None,
) -> Path:
    """Fetches the files of a known model into the cache, unless they are there.

    Returns:
        The folder (for the bundled model: its file).

    Raises:
        UnknownModelError: no such name.
        ModelUnavailableError: the hub cannot be reached; the hint says what to do offline.
        ModelDamagedError: a file has another hash than it must have.
    """
    entry = registry.find(name)
    if entry.bundled:
        return _bundled(entry)
    downloads = Downloads(entry, cache or Cache())
    for checkpoint in entry.checkpoints:
        downloads.checked(checkpoint, on_progress=on_progress)
    return downloads.folder


def list_models(cache: Cache | None = None) -> list[Listing]:
    """Every known model, with what of it is on this machine. Loads nothing."""
    cache = cache or Cache()
    return [_listing(entry, cache) for entry in REGISTRY.values()]


@dataclass(frozen=True)
class _About:
    """What is known of a member beside its file, as `convert.convert` takes it."""

    name: str
    segment: float | None
    licence: str
    origin: str


@dataclass(frozen=True)
class _Work:
    """What the steps of resolving share."""

    cache: Cache
    trust_checkpoint: bool
    runtime: Runtime
    on_progress: Progress | None


def _listing(entry: Entry, cache: Cache) -> Listing:
    if entry.bundled:
        path = BUNDLED / f"{entry.name}.onnx"
        return Listing(entry, path if path.exists() else None, path.exists())
    downloads = Downloads(entry, cache)
    here = all(downloads.find(item) for item in entry.checkpoints)
    hashes = [downloads.expected(item) for item in entry.checkpoints]
    converted = all(sha and convert.cached(cache, sha, entry.segment) for sha in hashes)
    return Listing(entry, downloads.folder if here else None, converted)


def _bundled(entry: Entry) -> Path:
    path = BUNDLED / f"{entry.name}.onnx"
    if not path.is_file():
        raise ModelUnavailableError(
            f"this installation lacks the bundled model {entry.name}", "Install Octet again."
        )
    return path


def _resolve_entry(entry: Entry, work: _Work, *, download: bool) -> ResolvedModel:
    if entry.bundled:
        bundled = _onnx_member(_bundled(entry), None, work, "bundled with Octet")
        return _model(entry.name, [bundled], entry.licence, entry.source)
    downloads = Downloads(entry, work.cache)
    about = _About(entry.name, entry.segment, entry.licence, entry.source)
    rows = entry.weights or tuple((1.0,) * len(entry.sources) for _ in entry.checkpoints)
    members = []
    for checkpoint, row in zip(entry.checkpoints, rows, strict=True):
        member = _converted_member(downloads.expected(checkpoint), work, about)
        if not member:
            found = downloads.checked(checkpoint, download=download, on_progress=work.on_progress)
            member = _checkpoint_member(*found, work, about)
        members.append(replace(member, weights=row))
    return _model(entry.name, members, entry.licence, entry.source)


def _resolve_path(path: Path, policy: Policy, work: _Work) -> ResolvedModel:
    bag = open_bag(path)
    members = [_folder_member(bag, file, policy, work) for file in bag.files]
    rows = bag.weights_for(len(members[0].spec.sources))
    members = [replace(member, weights=row) for member, row in zip(members, rows, strict=True)]
    licence = bag.licence or members[0].spec.licence
    return _model(bag.name, members, licence, members[0].spec.origin or str(path))


def _folder_member(bag: Bag, file: Path, policy: Policy, work: _Work) -> Member:
    onnx = file.suffix == ".onnx"
    licence = bag.licence or (_onnx_spec(file)[0].licence if onnx else "")
    # Before a conversion that takes a minute.
    registry.check_policy(policy, bag.name, licence, licence in registry.COMMERCIAL_LICENCES)
    if onnx:
        return _onnx_member(file, bag.segment, work, str(file))
    sha256 = sha256_of(file)
    about = _About(bag.name, bag.segment, licence, str(file))
    return _converted_member(sha256, work, about) or _checkpoint_member(file, sha256, work, about)


def _onnx_spec(path: Path) -> tuple[ModelSpec, bool]:
    """What an ONNX file takes and gives, and whether it says so itself."""
    try:
        return read_spec(path), True
    except ModelDamagedError as error:
        if "does not say what it is" not in error.message:
            raise
        return describe_onnx(path), False


def _onnx_member(path: Path, seconds: float | None, work: _Work, loaded_from: str) -> Member:
    """A member from an ONNX file; from a copy, if its description is to be another."""
    (spec, stated), sha256 = _onnx_spec(path), sha256_of(path)
    if seconds is not None and not spec.fixed:
        wanted = replace(spec, segment=int(spec.samplerate * seconds))
        spec, stated = wanted, stated and wanted == spec
    if not stated:
        path = _described_copy(path, spec, sha256, work.cache)
    return Member(spec, _equal(spec), sha256, path, None, loaded_from)


def _described_copy(path: Path, spec: ModelSpec, sha256: str, cache: Cache) -> Path:
    """A copy in the cache that says of itself what `spec` says."""
    target = cache.converted(f"{sha256}-{spec.segment}-described")
    with cache.writing(target) as temporary:
        if temporary is not None:
            shutil.copyfile(path, temporary)
            write_spec(temporary, spec)
    return target


def _converted_member(sha256: str, work: _Work, about: _About) -> Member | None:
    """A member whose conversion is in the cache: neither checkpoint nor PyTorch are needed."""
    if work.runtime != "openvino" or not sha256:
        return None
    found = convert.cached(work.cache, sha256, about.segment)
    return _described_member(*found, sha256, about) if found else None


def _checkpoint_member(file: Path, sha256: str, work: _Work, about: _About) -> Member:
    if work.runtime == "torch":
        network = load_network(file, trust_checkpoint=work.trust_checkpoint)
        spec = convert.describe(network, **asdict(about))
        return Member(spec, _equal(spec), sha256, None, network, f"{file} (PyTorch)")
    found = convert.convert(
        file,
        work.cache,
        sha256,
        **asdict(about),
        trust_checkpoint=work.trust_checkpoint,
        on_progress=work.on_progress,
    )
    return _described_member(*found, sha256, about)


def _described_member(path: Path, spec: ModelSpec, sha256: str, about: _About) -> Member:
    # The same weights may be known by another name than when they were converted.
    spec = replace(spec, name=about.name, licence=about.licence, origin=about.origin)
    return Member(spec, _equal(spec), sha256, path, None, f"converted, {path}")


def _equal(spec: ModelSpec) -> tuple[float, ...]:
    return (1.0,) * len(spec.sources)


def _model(name: str, members: list[Member], licence: str, origin: str) -> ResolvedModel:
    first = members[0].spec
    for member in members[1:]:
        if (member.spec.sources, member.spec.samplerate) != (first.sources, first.samplerate):
            raise ModelDamagedError(
                f"the networks of {name} differ in their sources or rate",
                "They cannot make one model.",
            )
    return ResolvedModel(name, tuple(members), licence, origin)
