"""Effects on blocks of audio: float32 of shape (channels, samples) in, the same shape out."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import av
import numpy as np
import numpy.typing as npt
import scipy.fft
import scipy.signal
import soxr

from training.audiofile import single
from training.settings import RATE

if TYPE_CHECKING:
    from training.audiofile import Audio


def decibels(level: float) -> float:
    """The factor that stands for a level in dB."""
    return float(10.0 ** (level / 20.0))


def loudness(audio: Audio) -> float:
    """The level of what sounds: root mean square of the louder half of 50 ms blocks."""
    block = RATE // 20
    count = max(audio.shape[-1] // block, 1)
    energy = (audio[..., : count * block] ** 2).mean(axis=0)
    blocks = energy[: len(energy) // count * count].reshape(count, -1).mean(axis=1)
    return float(np.sqrt(np.sort(blocks)[count // 2 :].mean()))


def change_speed(audio: Audio, factor: float) -> Audio:
    """Plays faster or slower, pitch and all; factor 2 is twice as fast, an octave higher."""
    return single(soxr.resample(audio.T, RATE * factor, RATE, quality="LQ").T)


def equalise(audio: Audio, rng: np.random.Generator, deviation_db: float) -> Audio:
    """A random smooth filter: levels drawn at octave points, straight lines between them."""
    count = audio.shape[1]
    size = scipy.fft.next_fast_len(count, real=True)
    octaves = np.log2(np.maximum(np.fft.rfftfreq(size, 1 / RATE), 20.0) / 20.0)
    points = np.arange(0.0, 11.0, 1.25)
    curve = np.interp(octaves, points, rng.normal(0, deviation_db, len(points)))
    gains = (10 ** (curve / 20)).astype(np.float32)
    return single(scipy.fft.irfft(scipy.fft.rfft(audio, size) * gains, size)[:, :count])


def low_pass(audio: Audio, cutoff: float, order: int = 2) -> Audio:
    """A Butterworth low-pass filter."""
    sections = scipy.signal.butter(order, min(cutoff, RATE * 0.49), fs=RATE, output="sos")
    return single(scipy.signal.sosfilt(sections, audio))


def high_pass(audio: Audio, cutoff: float, order: int = 2) -> Audio:
    """A Butterworth high-pass filter."""
    sections = scipy.signal.butter(order, cutoff, "highpass", fs=RATE, output="sos")
    return single(scipy.signal.sosfilt(sections, audio))


def band_pass(audio: Audio, low: float, high: float, order: int = 1) -> Audio:
    """A Butterworth band-pass filter."""
    sections = scipy.signal.butter(
        order, (low, min(high, RATE * 0.49)), "bandpass", fs=RATE, output="sos"
    )
    return single(scipy.signal.sosfilt(sections, audio))


def resonant(cutoff: float, resonance: float) -> npt.NDArray[np.float64]:
    """A low-pass filter with a peak at its cutoff, one second-order section.

    Args:
        cutoff: in Hz.
        resonance: Q; 0.71 has no peak, 6 whistles (Bristow-Johnson, "Cookbook formulae for
            audio equalizer biquad filter coefficients").
    """
    angle = 2 * np.pi * float(np.clip(cutoff, 40.0, RATE * 0.4)) / RATE
    alpha, cosine = np.sin(angle) / (2 * resonance), np.cos(angle)
    ahead = np.array([(1 - cosine) / 2, 1 - cosine, (1 - cosine) / 2])
    back = np.array([1 + alpha, -2 * cosine, 1 - alpha])
    section: npt.NDArray[np.float64] = np.concatenate([ahead, back])[None] / back[0]
    return section


def swept(audio: Audio, cutoff: npt.NDArray[np.float64], resonance: float) -> Audio:
    """A resonant low-pass filter whose cutoff moves: fixed filters, faded one into the next.

    Args:
        audio: float32 of shape (..., samples).
        cutoff: in Hz at every sample.
        resonance: Q, as in `resonant`.
    """
    octaves = np.log2(np.clip(cutoff, 40.0, RATE * 0.4))
    low, high = float(octaves.min()), float(octaves.max())
    points = np.linspace(low, high, 1 + int(np.ceil((high - low) / 0.8)))
    out = np.zeros(audio.shape, np.float32)
    for point in points:
        width = (high - low) / max(len(points) - 1, 1) or 1.0
        weight = np.maximum(1 - np.abs(octaves - point) / width, 0).astype(np.float32)
        out += single(scipy.signal.sosfilt(resonant(2**point, resonance), audio)) * weight
    return out


def reverberate(audio: Audio, rng: np.random.Generator, seconds: float, wet: float) -> Audio:
    """A room: noise that decays by 60 dB in `seconds`, each channel its own, added at `wet`."""
    count = int(seconds * RATE)
    decay = np.exp(-6.9 * np.arange(count) / count)
    tail = single(rng.standard_normal((audio.shape[0], count)) * decay)
    tail = low_pass(single(tail), rng.uniform(2500, 9000), 1)
    tail[:, : int(rng.uniform(0.003, 0.03) * RATE)] = 0
    tail /= np.sqrt((tail**2).sum(axis=1, keepdims=True))
    room = scipy.signal.fftconvolve(audio, tail, axes=1)[:, : audio.shape[1]]
    return single(audio + wet * room)


def compress(audio: Audio, threshold: float, ratio: float) -> Audio:
    """A compressor without look-ahead: level over blocks of 3 ms, released over 0.1 s."""
    block = 128
    count = -(-audio.shape[1] // block)
    padded = np.pad(np.abs(audio).max(axis=0), (0, count * block - audio.shape[1]))
    level = padded.reshape(count, block).max(axis=1)
    release = float(np.exp(-block / (0.1 * RATE)))
    held = np.empty_like(level)
    last = 0.0
    for i, value in enumerate(level.tolist()):
        last = max(value, last * release)
        held[i] = last
    gain = np.minimum(1.0, (np.maximum(held, 1e-9) / threshold) ** (1 / ratio - 1))
    smooth = np.interp(np.arange(audio.shape[1]) / block, np.arange(count) + 0.5, gain)
    return single(audio * smooth)


def soft_clip(audio: Audio, drive: float) -> Audio:
    """A saturating stage: tanh, with unit gain for small signals."""
    return single(np.tanh(audio * drive) / drive)


def through_codec(audio: Audio, kind: str, bitrate: int) -> Audio:
    """Encodes and decodes again, lossily.

    Args:
        audio: float32 of shape (2, samples).
        kind: `mp3` or `aac`.
        bitrate: bits a second.

    Returns:
        What comes back, on the same time grid.
    """
    # The last is the encoder's delay, where the file does not say it.
    container, codec, delay = {"mp3": ("mp3", "libmp3lame", 0), "aac": ("adts", "aac", 1024)}[kind]
    memory = io.BytesIO()
    with av.open(memory, "w", format=container) as out:
        stream = out.add_stream(codec, rate=RATE, layout="stereo")
        assert isinstance(stream, av.AudioStream)  # noqa: S101 (the codecs are audio codecs)
        stream.bit_rate = bitrate
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(audio), "fltp", "stereo")
        frame.sample_rate = RATE
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    memory.seek(0)
    with av.open(memory, "r") as back:
        blocks = [frame.to_ndarray() for frame in back.decode(audio=0)]
    decoded = np.concatenate(blocks, axis=1)[:, delay : delay + audio.shape[1]]
    short = audio.shape[1] - decoded.shape[1]
    return single(np.pad(decoded, ((0, 0), (0, short))))
