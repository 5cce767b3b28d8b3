"""Find keyframes that are none: containers without an index, and damaged ones, mark frames that refer to others.

FFmpeg's decoders of MPEG-4, WMV, FLV and their like decode such a frame from whatever is in their memory, without an error.
Those of H.264 and HEVC give no frame then, and a stream of theirs may refresh its frames without a keyframe.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import av
import numpy as np
from av.video.frame import PictureType
from numpy.typing import NDArray

from kinema.video.packets import EARLIER_KEYS, PacketIndex

_REFRESHING = frozenset({"h264", "hevc"})


def decodes_alone(frame: av.VideoFrame) -> bool:
    """Whether a decoded frame refers to no other."""
    return frame.key_frame or frame.pict_type == PictureType.I


class KeyframeCheck:
    """Checks keyframes near damaged frames, each once.

    Args:
        codec: of the video.
        decode: decodes a packet by itself; gives the frames that the decoder outputs.
    """

    def __init__(self, codec: av.VideoCodecContext, decode: Callable[[int], list[av.VideoFrame]]) -> None:
        self.is_needed = codec.name not in _REFRESHING and not codec.codec.intra_only
        self._decode, self._checked = decode, {0}

    def without_false_keys(self, index: PacketIndex, frames: NDArray[np.int64]) -> PacketIndex:
        """The index in which the keyframes from which `frames` are decoded, and some earlier ones, decode by themselves."""
        while self.is_needed:
            places = np.searchsorted(index.keys, np.unique(index.starts[frames]))
            near = {int(key) for place in places for key in index.keys[max(place - EARLIER_KEYS, 0) : place + 1]}
            new = sorted(near - self._checked)
            if not new:
                break
            self._checked.update(new)
            false = [key for key in new if any(map(self._is_false, self._decode(key)))]
            if false:
                marks = index.key.copy()
                marks[false] = False
                index = replace(index, key=marks)
        return index

    @staticmethod
    def _is_false(frame: av.VideoFrame) -> bool:
        return not decodes_alone(frame)
