"""A model made ready to run: found, put on a device, and described for the manifest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from octet.results import manifest
from octet.results.cascades import JOINT, known, parts
from octet.separation.cascade import Cascade
from octet.separation.engine import Engine
from octet.separation.engine import Member as EngineMember
from octet.separation.model import ONCE
from octet.separation.models import registry
from octet.separation.models.cache import alive
from octet.separation.models.folder import open_bag
from octet.separation.models.resolve import resolve
from octet.separation.runtimes.choice import choose

if TYPE_CHECKING:
    from collections.abc import Generator

    import numpy as np

    from octet.separation.model import ModelChoice, Passes, Song
    from octet.separation.models.cache import Progress
    from octet.separation.models.resolve import Member, ResolvedModel
    from octet.separation.runtimes.choice import Choice
    from octet.separation.runtimes.network import Network, RuntimeName


class LoadedModel:
    """A model on a device.

    Attributes:
        sources: names of the stems, in the order of the blocks.
        samplerate: in Hz, of the songs that it takes.
        identity: what the manifest says of it.
        runtime: name, device and precision of what computes, for the manifest.
        choice: why that and not another.
        loaded_from: where the networks came from, for people.
    """

    def __init__(self, resolved: ResolvedModel, choice: Choice, threads: int = 0) -> None:
        networks = [_network(member, choice, threads) for member in resolved.members]
        pairs = zip(networks, resolved.members, strict=True)
        self._engine = Engine([EngineMember(network, one.weights) for network, one in pairs])
        self.sources = self._engine.sources
        self.samplerate = self._engine.samplerate
        self.choice = choice
        self.loaded_from = resolved.loaded_from
        self.identity = manifest.Model(
            name=resolved.name,
            sha256=resolved.sha256,
            licence=resolved.licence,
            commercial=_commercial(resolved),
        )

    @property
    def runtime(self) -> dict[str, str]:
        """Name, device and precision of what computes; `fp32_segments` of the last song, if any."""
        choice, again = self.choice, self._engine.fp32_segments
        names = {"name": choice.runtime, "device": choice.place, "precision": choice.precision}
        return names | ({"fp32_segments": str(again)} if again else {})

    @property
    def description(self) -> str:
        """Model, runtime and origin in one line, for people."""
        return (
            f"{self.identity.name} ({self.loaded_from}), {self.choice.runtime} on "
            f"{self.choice.place} in {self.choice.precision}: {self.choice.reason}"
        )

    def stems(self, song: Song, passes: Passes = ONCE) -> Generator[np.ndarray, None, None]:
        """Separates a song at the model's rate: see `octet.separation.model.Model.stems`."""
        return self._engine.stems(song, passes)


def load(wanted: ModelChoice, on_progress: Progress | None = None) -> LoadedModel | Cascade:
    """Finds a model, or the two of a cascade, converts it where needed, and puts it on a device.

    Args:
        wanted: which model, and where it is to run.
        on_progress: called during downloads and conversions, at least every few seconds until
            the model is loaded, and perhaps in another thread.

    Raises:
        ModelError: no such model, not here, damaged, or not allowed.
        DeviceError: the device or precision is not to be had.
        SettingError: two models are named that make no cascade.
    """
    names = parts_of(wanted.name)
    _check_names(names, wanted.policy)
    loaded = [_load(replace(wanted, name=name), on_progress) for name in names]
    return loaded[0] if len(loaded) == 1 else Cascade(*loaded)


def parts_of(name: str | Path) -> tuple[str, ...]:
    """The models that a name joins: one, or two of a cascade.

    A path that is there is one, plus signs in it included, alone and in a cascade.

    Raises:
        UnknownModelError: there are more, or a part is empty.
    """
    text = str(name)
    if _is_there(text):
        return (text,)
    signs = [at for at, sign in enumerate(text) if sign == JOINT]
    pairs = [(text[:at], text[at + 1 :]) for at in signs]
    here = [pair for pair in pairs if all(_is_there(p) or p in registry.REGISTRY for p in pair)]
    return here[0] if here else parts(text)


def _is_there(name: str) -> bool:
    return bool(name) and Path(name).expanduser().exists()


def _check_names(names: tuple[str, ...], policy: str) -> None:
    """Refuses a cascade before a part of it is fetched or loaded."""
    if len(names) == 1:
        return
    for name in names:
        entry = registry.REGISTRY.get(name)
        if entry is not None:
            registry.check_policy(policy, entry.name, entry.licence, entry.commercial)
        elif not Path(name).expanduser().exists():
            registry.find(name)  # raises, naming those that there are
    if registry.REGISTRY.keys() >= {*names}:
        known(registry.REGISTRY, JOINT.join(names))  # raises if they make no cascade


def _load(wanted: ModelChoice, on_progress: Progress | None) -> LoadedModel:
    choice = choose(
        wanted.device,
        wanted.precision,
        available=runtimes_of(wanted.name),
        required=wanted.required,
    )
    with alive(on_progress, f"loading {Path(wanted.name).name}") as report:
        resolved = resolve(wanted, choice.runtime, on_progress=report)
        return LoadedModel(resolved, choice, wanted.threads)


def runtimes_of(name: str | Path) -> tuple[RuntimeName, ...]:
    """The runtimes that can run a model: what is ONNX already does not run on PyTorch."""
    entry = registry.REGISTRY.get(str(name))
    if entry is not None:
        ready = entry.bundled or (entry.archive and entry.network is None)
        return ("openvino",) if ready else ("openvino", "torch")
    path = Path(name).expanduser()
    if path.exists() and all(file.suffix == ".onnx" for file in open_bag(path).files):
        return ("openvino",)
    return ("openvino", "torch")


def _network(member: Member, choice: Choice, threads: int) -> Network:
    if member.path is not None:
        from octet.separation.runtimes.openvino import OpenVinoNetwork

        return OpenVinoNetwork(member.path, member.spec, choice.precision, threads=threads)
    from octet.separation.runtimes.torch import TorchNetwork

    return TorchNetwork(
        member.network,
        member.spec,
        choice.device,
        choice.precision,
        index=choice.index,
        threads=threads,
        loaded_from=member.loaded_from,
    )


def _commercial(resolved: ResolvedModel) -> bool:
    entry = registry.REGISTRY.get(resolved.name)
    if entry is not None and entry.licence == resolved.licence:
        return entry.commercial
    return resolved.licence in registry.COMMERCIAL_LICENCES
