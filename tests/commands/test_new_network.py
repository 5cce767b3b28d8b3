"""A network is one file in `kinema.models` and one line in the table of families, as CONTRIBUTING says."""

from __future__ import annotations

import json

NETWORK = '''
"""A network of one convolution."""

from __future__ import annotations

from torch import Tensor, nn

from kinema.models.network import Network
from kinema.models.variant import Variant
from kinema.types import InputSpec


class OneConv(Network):
    """The mean of one convolution."""

    def __init__(self, spec: InputSpec, num_classes: int, width: int = 8) -> None:
        super().__init__(spec, width, num_classes)
        self.conv = nn.Conv3d(spec.num_channels, width, 3, padding=1)

    def features(self, clip: Tensor) -> Tensor:
        return self.conv(clip).mean(dim=(2, 3, 4))

    def stages(self) -> list[tuple[str, nn.Module]]:
        return [("conv", self.conv)]


VARIANTS = {"one_conv": Variant(OneConv, {"width": 8}, InputSpec(clip_len=4, size=(16, 16)), paper="none")}
'''

ROUND_TRIP = """
import torch
from kinema.models import build
from kinema.weights.checkpoint import ModelCard, load_checkpoint, save_checkpoint

network = build("one_conv", num_classes=2, width=4).eval()
save_checkpoint("best", network, ModelCard.of(network, ("a", "b")))
loaded, card = load_checkpoint("best")
clip = torch.randn(2, *network.spec.shape)
assert card.variant == "one_conv"
assert torch.equal(loaded(clip), network(clip))
"""


def test_a_new_network_is_one_file_and_one_line(package_copy):
    package, run = package_copy
    (package / "models/one_conv.py").write_text(NETWORK)
    registry = package / "models/registry.py"
    table = "FAMILIES: dict[str, tuple[str, ...]] = {\n"
    text = registry.read_text()
    assert text.count(table) == 1
    registry.write_text(text.replace(table, f'{table}    "one_conv": ("one_conv",),\n'))
    done, _ = run(["describe", "one_conv", "--num-classes", "2", "--json"], ROUND_TRIP)
    assert done.status == 0, done.err
    described = json.loads(done.out)
    assert described["input"] == [3, 4, 16, 16]
    assert described["params"] == (3 * 27 + 1) * 8 + 8 * 2 + 2
    assert described["layers"][0]["name"] == "conv"
