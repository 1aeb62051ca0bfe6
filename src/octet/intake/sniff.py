"""What a file seems to be, by its first bytes. Nothing is decoded here: the worker looks closer.

The signs are those of the containers that octet.audio opens (see its container.py).
"""

from __future__ import annotations

from octet.errors import NotAudioError
from octet.formats import unread_kind

HEAD = 64 * 1024
"""Bytes that are enough to tell."""

_FORMS = {
    b"WAVE": "audio/wav",
    b"AIFF": "audio/aiff",
    b"AIFC": "audio/aiff",
    b"AVI ": "video/x-msvideo",
}
_SIGNS = (
    (b"ID3", "audio/mpeg"),
    (b"APETAGEX", "audio/mpeg"),
    (b"fLaC", "audio/flac"),
    (b"OggS", "audio/ogg"),
    (b"\x1a\x45\xdf\xa3", "audio/webm"),
    (b"wvpk", "audio/x-wavpack"),
    (b"MAC ", "audio/x-ape"),
    (b"TTA1", "audio/x-tta"),
    (b"TTA2", "audio/x-tta"),
    (b".snd", "audio/basic"),
    (b"caff", "audio/x-caf"),
    (b"FLV\x01", "video/x-flv"),
    (b"riff\x2e\x91\xcf\x11", "audio/x-w64"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "audio/x-ms-wma"),
    (b"\x0b\x77", "audio/ac3"),
    (b"\x7f\xfe\x80\x01", "audio/vnd.dts"),
    (b"\xfe\x7f\x01\x80", "audio/vnd.dts"),
    (b"\x1f\xff\xe8\x00", "audio/vnd.dts"),
    (b"\xff\x1f\x00\xe8", "audio/vnd.dts"),
    (b"\x00\x00\x01\xba", "video/mpeg"),
)
_MLP = (b"\xf8\x72\x6f\xba", b"\xf8\x72\x6f\xbb")  # TrueHD and MLP, after four bytes
_GSM_FRAME = 33
_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot")
_PACKET = 188  # bytes of an MPEG transport stream's packet

# Kilobits a second, ISO/IEC 11172-3 table 2.4.2.3 and ISO/IEC 13818-3 table 2.4.2.3, by
# whether it is MPEG 1, and by layer.
_RATES = {
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_HERTZ = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}


def sniff(head: bytes, *, whole: bool) -> str:
    """The media type of a song.

    Args:
        head: its first bytes, `HEAD` of them if there are so many.
        whole: whether that is all of it.

    Raises:
        NotAudioError: it is empty, or none of the containers that are accepted.
    """
    if not head:
        raise NotAudioError("the song is empty", "Send the bytes of the file")
    kind = _by_sign(head) or _by_frames(head, whole)
    if kind is None:
        unread = unread_kind(head)
        raise NotAudioError(
            f"this is {unread}, which is not read here" if unread else "this is not audio",
            "Send an MP3, WAV, FLAC, Ogg, Opus, M4A, AIFF, WebM or MP4 file",
        )
    return kind


def _by_sign(head: bytes) -> str | None:
    for sign, kind in _SIGNS:
        if head.startswith(sign):
            return kind
    if head[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64", b"FORM"):
        return _FORMS.get(head[8:12])
    if head[4:8] in _BOXES:
        return "audio/mp4"
    if head[4:8] in _MLP:
        return "audio/vnd.dolby.mlp"
    if len(head) > 4 * _GSM_FRAME and {byte >> 4 for byte in head[::_GSM_FRAME]} == {0xD}:
        return "audio/gsm"
    if len(head) > 2 * _PACKET and {head[0], head[_PACKET], head[2 * _PACKET]} == {0x47}:
        return "video/mp2t"
    return None


def _by_frames(head: bytes, whole: bool) -> str | None:
    """MPEG audio has no sign of its own but its frames: two in a row are taken for one."""
    place = head.find(b"\xff")
    while 0 <= place < len(head) - 4:
        for length, kind in (
            (mpeg_frame(head, place), "audio/mpeg"),
            (_adts(head, place), "audio/aac"),
        ):
            follows = place + length
            if length and (
                (whole and follows == len(head))
                or (head[follows : follows + 1] == b"\xff" and head[follows + 1] & 0xE0 == 0xE0)
            ):
                return kind
        place = head.find(b"\xff", place + 1)
    return None


def mpeg_frame(data: bytes, place: int) -> int:
    """Bytes of the MPEG audio frame whose header lies here; 0 if none does."""
    second, third = data[place + 1], data[place + 2]
    version, layer = second >> 3 & 3, 4 - (second >> 1 & 3)
    if second & 0xE0 != 0xE0 or version == 1 or layer == 4:
        return 0
    rate, hertz, padding = third >> 4, third >> 2 & 3, third >> 1 & 1
    if rate in (0, 15) or hertz == 3:
        return 0
    bits = 1000 * _RATES[version == 3, layer][rate - 1]
    frequency = _HERTZ[version][hertz]
    if layer == 1:
        return (12 * bits // frequency + padding) * 4
    samples = 72 if layer == 3 and version != 3 else 144
    return samples * bits // frequency + padding


def _adts(data: bytes, place: int) -> int:
    """Bytes of the ADTS frame (AAC) whose header lies here; 0 if none does."""
    if data[place + 1] & 0xF6 != 0xF0 or len(data) < place + 7 or data[place + 2] >> 2 & 15 > 12:
        return 0
    length = (data[place + 3] & 3) << 11 | data[place + 4] << 3 | data[place + 5] >> 5
    return length if length > 7 else 0
