"""The faster implementation of the matrix products is measured and taken."""

from __future__ import annotations

import pytest

from kinema.engines.winograd import products as winograd_products
from kinema.engines.winograd.packed_conv import HAS_ONEDNN
from kinema.engines.winograd.products import BatchedProducts, GroupedProducts, kind_of_products

pytestmark = pytest.mark.usefixtures("compiled")


@pytest.mark.skipif(not HAS_ONEDNN, reason="torch has no oneDNN here")
@pytest.mark.parametrize(
    ("batched_s", "quicker"), [(2.0, GroupedProducts), (1.1, BatchedProducts), (0.5, BatchedProducts)]
)
def test_the_faster_products_are_taken(batched_s: float, quicker: type, monkeypatch):
    times = {BatchedProducts: batched_s, GroupedProducts: 1.0}
    monkeypatch.setattr(winograd_products, "_seconds", lambda products, block: times[type(products)])
    assert kind_of_products.__wrapped__() is quicker
    monkeypatch.undo()
    assert kind_of_products.__wrapped__() in times
