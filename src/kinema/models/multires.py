"""Multiresolution networks: two streams of half the size, context and fovea (Karpathy et al. 2014, section 3.2).

From a 178 x 178 frame the context stream gets the whole at 89 x 89, the fovea stream the central 89 x 89 at full
resolution. Each is a tower of `karpathy` without the last pooling, so that both end in 7 x 7 x 256; the first fully
connected layer joins them. That halves the pixels; in the paper training is two to four times as fast. `_context` and
`_fovea` have one stream only.
"""

from __future__ import annotations

from kinema.models.karpathy import variants
from kinema.models.variant import Variant

_SIZE = (178, 178)

VARIANTS: dict[str, Variant] = {
    **variants("_multires", ("context", "fovea"), _SIZE),
    **variants("_context", ("context",), _SIZE),
    **variants("_fovea", ("fovea",), _SIZE),
}
