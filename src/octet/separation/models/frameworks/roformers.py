"""From a YAML file to the network of a BS-RoFormer or a Mel-Band RoFormer.

The names are those of Music-Source-Separation-Training and of lucidrains' BS-RoFormer. Which of the
two it is tell the bands: `freqs_per_bands`, or `num_bands` of the mel scale.

Importing this needs PyTorch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from octet.errors import ModelError
from octet.separation.models.frameworks.bands import Bands, mel, side_by_side
from octet.separation.models.frameworks.roformer import Roformer, Size
from octet.separation.models.spec import StftSpec

if TYPE_CHECKING:
    from torch import nn

    from octet.separation.models.frameworks.config import Config, Options
    from octet.separation.models.spec import About, ModelSpec

MEL, APART = "num_bands", "freqs_per_bands"
"""The arguments that only one of the two has."""

_MAX_BANDS = 512

# How attention is computed, how memory is saved and what is lost in training: nothing of that
# changes what is computed. `dim_freqs_in` repeats what the transform says.
_IGNORED = (
    *("attn_dropout", "ff_dropout", "flash_attn", "sage_attention", "use_torch_checkpoint"),
    *("dim_freqs_in", "match_input_audio_length", "multi_stft_resolution_loss_weight"),
    *("multi_stft_resolutions_window_sizes", "multi_stft_hop_size", "multi_stft_normalized"),
)


def build(config: Config, about: About) -> tuple[nn.Module, ModelSpec]:
    """See `octet.separation.models.frameworks.architectures.Architecture.build`."""
    options = config.options()
    options.ignore(*_IGNORED)
    # Nor does a part of some variant that this network does not have.
    options.ignore(*(name for name, value in config.model.items() if value in (None, False)))
    stft = _transform(config, options)
    on_mel = MEL in config.model
    bands = _on_mel(options, stft) if on_mel else _apart(options, stft)
    size = _size(options, on_mel=on_mel)
    silent_dc = options.flag("zero_dc", False)
    options.close()
    if size.stems != len(config.sources):
        raise ModelError(
            f"{config.file} is of {size.stems} stems, and names {len(config.sources)}",
            "Use the YAML file that was published with the checkpoint.",
        )
    return Roformer(size, bands, silent_dc=silent_dc), config.describe(about, stft)


def _transform(config: Config, options: Options) -> StftSpec:
    """The transform around the network, once that is one that Octet runs."""
    n_fft = options.whole("stft_n_fft", 64, 2**16, 2048)
    hop = options.whole("stft_hop_length", 1, n_fft // 2, 512)
    # The scale of a spectrum changes nothing: bands are divided by their norm, masks multiply.
    options.flag("stft_normalized", False)
    reason = ""
    if not options.flag("stereo", False):
        reason = "for one channel"
    elif options.whole("linear_transformer_depth", 0, 64, 0):
        reason = "with linear attention"
    elif options.whole("stft_win_length", 1, 2**16, 2048) != n_fft:
        reason = "whose windows are shorter than its frames"
    if reason:
        raise ModelError(
            f"{config.file} describes a RoFormer {reason}, which Octet does not run",
            "Use another model.",
        )
    return StftSpec(n_fft, hop, "center", n_fft // 2 + 1)


def _on_mel(options: Options, stft: StftSpec) -> Bands:
    # The scale is laid over the rate that is named beside it.
    rate = options.whole("sample_rate", 8_000, 192_000, 44_100)
    return mel(options.whole(MEL, 2, _MAX_BANDS), stft.n_fft, rate)


def _apart(options: Options, stft: StftSpec) -> Bands:
    return side_by_side(options.wholes(APART, 1, stft.bins), stft.n_fft)


def _size(options: Options, *, on_mel: bool) -> Size:
    """The size, with what the two published implementations take where a file is silent."""
    # One counts the layers of the networks for masks, the other those that are hidden.
    depth = options.whole("mask_estimator_depth", 1, 8, 1 if on_mel else 2)
    return Size(
        dim=options.whole("dim", 1, 4096),
        depth=options.whole("depth", 1, 64),
        stems=options.whole("num_stems", 1, 64, 1),
        heads=options.whole("heads", 1, 128, 8),
        head=2 * (options.whole("dim_head", 2, 512, 64) // 2),
        time_layers=options.whole("time_transformer_depth", 1, 8, 2),
        band_layers=options.whole("freq_transformer_depth", 1, 8, 2),
        mask_layers=depth if on_mel else depth - 1,
        expansion=options.whole("mlp_expansion_factor", 1, 16, 4),
        norms=on_mel,
        skips=options.flag("skip_connection", False),
    )
