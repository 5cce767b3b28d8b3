"""Check whether the packets of a video tell the number and order of its frames, or whether it has to be decoded for that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kinema.video.h264 import SliceReader
from kinema.video.reference_frames import is_reference

if TYPE_CHECKING:
    import av

_MPEG_CODECS = frozenset({"mpeg4", "mpeg2video", "mpeg1video"})  # only B-pictures change the order of their frames
_HEAD_BYTES = 4096  # of an MPEG packet: the picture's header is among them
_PROBED_SLICES = 300  # packets in which B-slices are looked for if the header states no other order
_VP8_VISIBLE, _VP8_INTER = 16, 1  # bits of a packet's first byte (RFC 6386, 9.1)


class NumberingCheck:
    """Looks for signs in the packets of a video, in the order of decoding.

    - The codec displays frames in another order than it decodes them, but timestamps never fall: a demuxer made them up.
    - An H.264 packet holds one field of a frame.

    Args:
        codec: of the video.

    Attributes:
        is_vp8: whether packets may hold frames that are never displayed; such a packet may have any timestamp.
        has_fields: whether a packet is a field.
    """

    def __init__(self, codec: av.VideoCodecContext) -> None:
        self.is_vp8, self.has_fields = codec.name == "vp8", False
        self._is_mpeg, self._codec = codec.name in _MPEG_CODECS, codec.name
        self._slices = SliceReader(codec.extradata or b"") if codec.name == "h264" else None
        self._may_reorder = codec.has_b_frames
        # Headers of H.264 often allow another order where there is none, so that only B-slices show one.
        self._reorders = codec.has_b_frames and not self._is_mpeg and self._slices is None
        self._falls, self._last_pts = False, -(1 << 63)
        self._num_packets, self._is_settled = 0, False

    def add(self, packet: av.Packet, pts: int) -> bool:
        """Look at a packet that no edit hides; `pts` is its timestamp without jumps.

        Returns:
            Whether its frame is displayed. VP8 also has frames that others only refer to.
        """
        if self._is_settled:
            return True
        self._num_packets += 1
        self._falls |= pts < self._last_pts
        self._last_pts = pts
        if self._slices is not None:
            if self._slices.may_have_fields and not self.has_fields:
                self.has_fields = self._slices.is_single_field(bytes(packet))
            is_probed = self._may_reorder or self._num_packets <= _PROBED_SLICES
            if is_probed and not self._falls and not self._reorders:
                self._reorders = self._slices.has_b_slice(bytes(packet))
        elif self._is_mpeg and self._may_reorder and not self._falls and not self._reorders:
            self._reorders = is_reference(bytes(memoryview(packet)[:_HEAD_BYTES]), self._codec) is False
        may_have_fields = self._slices is not None and self._slices.may_have_fields and not self.has_fields
        self._is_settled = self._falls and not self.is_vp8 and not may_have_fields
        # Of frames that refer to no other, none is invisible: a damaged one may say so.
        return not self.is_vp8 or not packet.size or memoryview(packet)[0] & (_VP8_VISIBLE | _VP8_INTER) != _VP8_INTER

    def is_key(self, packet: av.Packet) -> bool:
        """Whether decoding can start at a packet; a damaged packet of VP8 may say that it cannot."""
        is_inter = self.is_vp8 and packet.size and memoryview(packet)[0] & _VP8_INTER
        return packet.is_keyframe and not is_inter

    @property
    def needs_decoding(self) -> bool:
        """Whether the decoder has to tell which packets are frames, and in what order."""
        return self.has_fields or (self._reorders and not self._falls and self._num_packets > 1)
