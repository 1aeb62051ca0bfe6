"""Sounds and files of sound for the tests of this room."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np

from octet.audio.decode import decode
from octet.audio.encode import Encoder
from octet.formats import Encoding

if TYPE_CHECKING:
    from octet.audio.files import EncodedFile
    from octet.audio.song import Limits


def sound(samples: int, *, channels: int = 2, seed: int = 0, level: float = 0.2) -> np.ndarray:
    """Noise whose energy lies where music has it: float32 of shape (channels, samples)."""
    white = np.random.default_rng(seed).standard_normal((channels, samples + 30))
    window = np.hanning(33)[1:-1]
    smooth = [np.convolve(row, window / np.sqrt((window**2).sum()), "valid") for row in white]
    block = np.clip(level * np.stack(smooth), -0.99, 0.99).astype(np.float32)
    return block[:, :samples]


def on_grid(block: np.ndarray, bits: int) -> np.ndarray:
    """The same sound, rounded to what integers of so many bits can hold."""
    top = 2.0 ** (bits - 1)
    return (np.rint(block.astype(np.float64) * top) / top).astype(np.float32)


def whole(path: Path, limits: Limits | None = None) -> np.ndarray:
    """All that a file decodes to."""
    return np.concatenate(list(decode(path, limits)), axis=1)


def encoded(
    path: Path, block: np.ndarray, encoding: Encoding, rate: int = 44100, **more: Any
) -> EncodedFile:
    """Writes a file with the encoder of this room, and gives its receipt."""
    encoder = Encoder(path, encoding, rate, **more)
    try:
        encoder.write(block)
        return encoder.close()
    except BaseException:
        encoder.abort()
        raise


def song(folder: Path, encoding: Encoding, samples: int = 100_000, **more: Any) -> Path:
    """A short song in a file of some format."""
    path = Path(folder) / f"song.{encoding.name}"
    encoded(path, sound(samples), encoding, **more)
    return path


ALL_FORMATS = [
    Encoding("mp3"),
    Encoding("flac", bits=16),
    Encoding("flac", bits=24),
    Encoding("wav", bits=16),
    Encoding("wav", bits=24),
    Encoding("wav", bits=32),
    Encoding("ogg"),
    Encoding("opus"),
    Encoding("m4a"),
]


def wav_bytes(frames: np.ndarray, rate: int = 44100, *, size: int | None = None) -> bytes:
    """A plain WAV.

    Args:
        frames: of shape (samples, channels), of the type that the file shall have.
        size: what the header says of the bytes of samples; the truth if None.
    """
    channels, width = frames.shape[1], frames.dtype.itemsize
    data = frames.tobytes()
    kind = 3 if frames.dtype.kind == "f" else 1
    form = struct.pack(
        "<HHIIHH", kind, channels, rate, rate * channels * width, channels * width, 8 * width
    )
    stated = len(data) if size is None else size
    return b"".join(
        (
            b"RIFF" + struct.pack("<I", (36 + stated) & 0xFFFFFFFF) + b"WAVE",
            b"fmt " + struct.pack("<I", 16) + form,
            b"data" + struct.pack("<I", stated) + data,
        )
    )


def muxed(
    path: Path,
    muxer: str,
    codec: str,
    tracks: list[np.ndarray],
    *,
    rate: int = 44100,
    layout: str = "stereo",
    options: dict[str, str] | None = None,
    video: str | None = None,
) -> Path:
    """Writes a file with FFmpeg alone: sound of any container and codec, even with pictures.

    Args:
        tracks: blocks of samples, one a stream of sound, planar, of any type FFmpeg knows.
        video: codec of a moving picture to put before the sound.
    """
    kinds = {"int16": "s16p", "int32": "s32p", "float32": "fltp"}
    with av.open(str(path), "w", format=muxer, container_options=options or {}) as container:
        picture: Any = container.add_stream(video, rate=25, width=64, height=64) if video else None
        streams: list[Any] = [container.add_stream(codec, rate=rate) for _ in tracks]
        for stream in streams:
            stream.codec_context.layout = layout
            if codec.startswith("wma"):  # it takes no rate below
                stream.bit_rate = 128_000
            if wide := [one for one in stream.codec.audio_formats or () if one.name == "s32p"]:
                stream.codec_context.format = wide[0]
            elif codec in ("flac", "tta"):
                stream.codec_context.format = "s32"
        if picture is not None:
            picture.pix_fmt = "yuv420p"
            for _ in range(10):
                container.mux(picture.encode(av.VideoFrame(64, 64, "yuv420p")))
            container.mux(picture.encode(None))
        for stream, block in zip(streams, tracks, strict=True):
            kind = kinds[block.dtype.name]
            frame = av.AudioFrame.from_ndarray(block, format=kind, layout=layout)
            frame.rate, frame.pts = rate, 0
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return path


def lag(heard: np.ndarray, meant: np.ndarray) -> int:
    """By how many samples one sound is later than another, by their cross-correlation."""
    count = min(heard.shape[1], meant.shape[1])
    size = 1 << (2 * count).bit_length()
    spectrum = np.fft.rfft(heard[0, :count], size) * np.conj(np.fft.rfft(meant[0, :count], size))
    place = int(np.argmax(np.fft.irfft(spectrum, size)))
    return place if place < size // 2 else place - size
