"""Engine options as keyword arguments are the fields of the dataclass."""

from __future__ import annotations

from dataclasses import fields
from typing import get_type_hints

import pytest

from kinema.engines.options import EngineOptions, EngineOverrides, LoadOverrides
from kinema.errors import UnknownName


def test_overrides_are_the_fields_with_their_types():
    hints = get_type_hints(EngineOptions)
    types = {field.name: hints[field.name] for field in fields(EngineOptions)}
    assert get_type_hints(EngineOverrides) == types
    assert get_type_hints(LoadOverrides) == {name: kind for name, kind in types.items() if name != "device"}
    assert not EngineOverrides.__required_keys__


def test_overrides_change_single_fields():
    options = EngineOptions(engine="torch", batch_size=4)
    assert EngineOptions.of(options, device="cpu") == EngineOptions(engine="torch", device="cpu", batch_size=4)
    assert EngineOptions.of() == EngineOptions()
    with pytest.raises(UnknownName, match="engine"):
        EngineOptions.of(options, engin="torch")
