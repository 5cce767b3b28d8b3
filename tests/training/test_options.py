"""Settings of the training loop."""

from __future__ import annotations

import pytest

from kinema.errors import ConfigError
from kinema.training.options import FitOptions


@pytest.mark.parametrize("spelling", ["last:x", "heads", "last"])
def test_a_misspelt_transfer_is_an_error_at_once(spelling):
    with pytest.raises(ConfigError, match="all, head or last:N"):
        FitOptions(transfer=spelling)
