"""Two streams of half the size in place of one: context and fovea (Karpathy et al. 2014, section 3.2).

Of a 178 x 178 frame the context stream sees the whole at 89 x 89, the fovea stream the centre 89 x 89 at full
resolution. Each is a tower of `karpathy` without the last pooling, so that both end 7 x 7 x 256, and both meet in
the first fully connected layer. That halves the pixels; the paper trains it two to four times as fast. `_context`
and `_fovea` are one stream alone.
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
