"""Songs' files into blocks of samples, and blocks into files.

A block is float32 of shape (2, n), full scale ±1.
"""

from octet.audio.decode import decode, probe
from octet.audio.encode import EncodedFile, Encoder
from octet.audio.formats import FORMATS, Encoding, Format
from octet.audio.recording import Recording
from octet.audio.resample import Resampler, resampled_length
from octet.audio.song import Cover, Limits, SongInfo

__all__ = [
    "FORMATS",
    "Cover",
    "EncodedFile",
    "Encoder",
    "Encoding",
    "Format",
    "Limits",
    "Recording",
    "Resampler",
    "SongInfo",
    "decode",
    "probe",
    "resampled_length",
]
