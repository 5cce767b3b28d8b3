from __future__ import annotations

import pytest
import torch

from kinema.models.layers.readout import Readout, RunningReadout, check_readout

STATES = torch.tensor([[[1.0, -2.0], [3.0, 0.0], [2.0, -4.0]]])


@pytest.mark.parametrize(("readout", "last"), [("last", [2.0, -4.0]), ("mean", [2.0, -2.0]), ("max", [3.0, 0.0])])
def test_all_at_once_is_the_same_as_one_by_one(readout: Readout, last: list[float]):
    reader = RunningReadout(readout)
    at_once = reader.all(STATES)
    kept, read = reader.start(torch.zeros(1, 2)), []
    for state in STATES.unbind(1):
        found, kept = reader.step(state, kept)
        read.append(found)
    torch.testing.assert_close(torch.stack(read, 1), at_once)
    assert at_once[0, -1].tolist() == last


def test_unknown_readouts_are_refused():
    assert check_readout("mean") == "mean"
    with pytest.raises(ValueError, match="last, mean, max, got readout='median'"):
        check_readout("median")
