"""Winograd's convolutions: the numbers of torch's own, and a C file that is compiled once."""

from __future__ import annotations

import copy
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kinema.engines.winograd import conv as winograd_conv
from kinema.engines.winograd import native
from kinema.engines.winograd import threads as workers
from kinema.engines.winograd.packed_conv import HAS_ONEDNN
from kinema.engines.winograd.products import BatchedProducts, GroupedProducts
from kinema.engines.winograd.replace import WinogradConv, WinogradTimeConv

pytestmark = pytest.mark.usefixtures("compiled")
SIZES = ((1, 1), (2, 3), (4, 4), (5, 9), (7, 7), (12, 6))
OVER_TIME = (3, 1, 1)
KERNELS = ((1, 3, 3), (3, 3, 3), (5, 3, 3), OVER_TIME)


@pytest.fixture
def always(monkeypatch) -> None:
    """Clips of any size are enough."""
    for kind in (WinogradConv, WinogradTimeConv):
        monkeypatch.setattr(kind, "_is_enough", lambda conv, x: True)


@pytest.fixture(autouse=True, params=[BatchedProducts, GroupedProducts])
def products(request, monkeypatch) -> type:
    """Each implementation of the products, whichever is faster here."""
    if request.param is GroupedProducts and not HAS_ONEDNN:
        pytest.skip("torch has no oneDNN here")
    monkeypatch.setattr(winograd_conv, "kind_of_products", lambda: request.param)
    return request.param


@pytest.fixture
def calls(monkeypatch) -> list[int]:
    """The first tiles of blocks that were computed."""
    done: list[int] = []
    compute = WinogradConv._compute

    def counted(conv: WinogradConv, clips: Tensor, filters: Tensor, out: Tensor, block) -> None:
        done.append(block.first)
        compute(conv, clips, filters, out, block)

    monkeypatch.setattr(WinogradConv, "_compute", counted)
    return done


@pytest.fixture(params=[1, 2, 3])
def threads(request) -> Iterator[int]:
    usual = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(usual)


def make(inputs: int = 32, outputs: int = 40, kernel=(3, 3, 3), *, bias: bool = True, seed: int = 0) -> nn.Conv3d:
    torch.manual_seed(seed)
    padding = tuple(length // 2 for length in kernel)
    return nn.Conv3d(inputs, outputs, kernel, padding=padding, bias=bias).requires_grad_(False)


def quick(conv: nn.Conv2d | nn.Conv3d, relu: bool = False) -> WinogradConv:
    return (WinogradTimeConv if conv.kernel_size == OVER_TIME else WinogradConv)(conv, relu)


def exactly(conv: nn.Conv2d | nn.Conv3d, x: Tensor) -> Tensor:
    """In float64."""
    return copy.deepcopy(conv).double()(x.double())


def assert_near(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=2e-5 * max(1, float(expected.abs().max())))


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kernel", KERNELS)
def test_clips_of_any_size_give_the_numbers_of_the_convolution(size: tuple[int, int], kernel: tuple[int, ...]):
    conv = make(kernel=kernel)
    for frames in (1, 2, 3, 4, 5, 8):
        x = torch.randn(2, 32, frames, *size)
        assert_near(quick(conv)(x), exactly(conv, x))


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize(("inputs", "outputs"), [(32, 33), (37, 47), (46, 32), (57, 94)])
@pytest.mark.parametrize("kernel", [(3, 3, 3), OVER_TIME])
def test_numbers_of_channels_need_not_fit_the_processor(inputs: int, outputs: int, kernel: tuple[int, ...]):
    conv = make(inputs, outputs, kernel)
    x = torch.randn(1, inputs, 3, 7, 9)
    assert_near(quick(conv)(x), exactly(conv, x))


@pytest.mark.parametrize("size", [(56, 56), (27, 30)])
def test_a_layer_of_many_blocks_is_computed_as_one(size: tuple[int, int], threads: int, calls: list[int]):
    for conv in (make(48, 33), make(33, 48, (1, 3, 3)), make(112, 128, OVER_TIME)):
        calls.clear()
        x = torch.randn(2, conv.in_channels, 4, *size)
        assert_near(quick(conv)(x), exactly(conv, x))
        assert len(set(calls)) >= max(2, threads)


def test_a_few_rows_are_shared_out_by_channels(threads: int, calls: list[int]):
    conv = make(64, 150)
    x = torch.randn(1, 64, 4, 13, 14)
    assert_near(quick(conv)(x), exactly(conv, x))
    assert calls == [0] * threads


def test_frames_are_convolved_in_two_dimensions():
    torch.manual_seed(0)
    conv = nn.Conv2d(32, 64, 3, padding=1).requires_grad_(False)
    x = torch.randn(3, 32, 22, 30)
    out = quick(conv)(x)
    assert out.is_contiguous(memory_format=torch.channels_last)
    assert_near(out, exactly(conv, x))


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("kernel", [(3, 3, 3), OVER_TIME])
def test_inputs_may_lie_in_memory_in_any_way(kernel: tuple[int, ...]):
    conv = make(kernel=kernel)
    x = torch.randn(2, 5, 32, 9, 8)
    ways = [x.transpose(1, 2), x.transpose(1, 2)[..., 1:], x.transpose(1, 2).flip(3)[:, :, ::2]]
    ways += [way.contiguous() for way in ways] + [way.contiguous(memory_format=torch.channels_last_3d) for way in ways]
    for way in ways:
        out = quick(conv)(way)
        assert out.is_contiguous(memory_format=torch.channels_last_3d)
        assert_near(out, exactly(conv, way))


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("kernel", [(3, 3, 3), OVER_TIME])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("relu", [True, False])
def test_bias_and_relu_are_part_of_it(bias: bool, relu: bool, kernel: tuple[int, ...]):
    conv = make(kernel=kernel, bias=bias)
    x = torch.randn(1, 32, 2, 6, 5)
    expected = exactly(conv, x)
    assert_near(quick(conv, relu)(x), expected.relu() if relu else expected)


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("relu", [True, False])
def test_what_is_no_number_stays_none_and_stays_near(relu: bool):
    conv = make()
    x = torch.randn(1, 32, 5, 24, 24)
    x[0, 3, 2, 9, 9] = torch.nan
    plain, found = conv(x).isnan(), quick(conv, relu)(x).isnan()
    assert plain.any()
    assert (found | ~plain).all()
    assert not found[:, :, [0, 4]].any(), "filters see three frames"
    assert not found[..., 16:].any(), "and tiles their own pixels and those around"


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("relu", [True, False])
def test_what_is_no_number_over_time_stays_in_its_pixel(relu: bool):
    conv = make(kernel=OVER_TIME)
    x = torch.randn(1, 32, 14, 5, 6)
    x[0, 3, 6, 2, 3] = torch.nan
    plain, found = conv(x).isnan(), quick(conv, relu)(x).isnan()
    assert plain.any()
    assert (found | ~plain).all()
    assert found.any(dim=1).any(dim=2).sum() <= 8, "two tiles of four frames see it, in one pixel"
    assert not found[:, :, [0, 1, 2, 3, 12, 13]].any()


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("size", [*SIZES, (56, 56)])
@pytest.mark.parametrize("kernel", [(3, 3, 3), OVER_TIME])
def test_nothing_is_read_or_written_outside_of_the_frames(size: tuple[int, int], kernel: tuple[int, ...]):
    conv = make(35, 46, kernel)
    layer = quick(conv)
    fence = 64

    def fenced(*shape: int) -> tuple[Tensor, Tensor]:
        memory = torch.full((2 * fence + torch.Size(shape).numel(),), torch.nan)
        return memory, memory[fence:-fence].view(shape)

    read, clips = fenced(2, 3, *size, 35)
    written, out = fenced(2, 3, *size, 46)
    layer.zeros = fenced(46)[1].zero_()
    x = torch.randn(2, 35, 3, *size)
    clips.copy_(x.movedim(1, -1))
    before = read.clone()
    workers.share_out(lambda block: layer._compute(clips, layer._transformed(), out, block), layer._blocks(clips))
    assert_near(out.movedim(-1, 1), exactly(conv, x))
    assert torch.equal(before.view(torch.int32), read.view(torch.int32))
    assert written[:fence].isnan().all()
    assert written[-fence:].isnan().all()


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad, torch.enable_grad])
@pytest.mark.parametrize("kernel", [(3, 3, 3), OVER_TIME])
def test_tensors_of_every_mode_go_in_and_come_out(mode: Callable, threads: int, kernel: tuple[int, ...]):
    conv = make(kernel=kernel)
    layer = quick(conv)
    with torch.inference_mode():
        inside = torch.randn(1, 32, 4, 20, 20)
        first = layer(inside)
    with mode():
        for x in (inside, torch.randn(1, 32, 4, 20, 20)):
            assert_near(layer(x), exactly(conv, x))
    with torch.no_grad():
        assert_near(copy.deepcopy(layer)(inside.clone()) + 0, exactly(conv, inside))
    assert first.is_inference()


def test_filters_are_transformed_once_and_not_saved(products: type, monkeypatch):
    made: list[torch.Size] = []
    transform = winograd_conv.transformed
    monkeypatch.setattr(
        winograd_conv, "transformed", lambda *given: made.append(transform(*given).shape) or transform(*given)
    )
    conv = make()
    layer = quick(conv)
    assert layer.filters is None
    x = torch.randn(1, 32, 8, 16, 16)
    layer(x)
    filters, times = layer.filters, len(made)
    layer(x)
    assert layer.filters is filters
    assert isinstance(filters, products)
    assert set(made) == {(3, 36, 32, 40)}
    assert len(made) == times
    assert list(layer.state_dict()) == ["weight", "bias"]
    assert layer.weight is conv.weight


@pytest.mark.parametrize("relu", [True, False])
def test_small_calls_are_those_of_the_convolution(relu: bool, calls: list[int]):
    conv, layer = make(), quick(make(), relu)
    for shape in ((1, 1, 4, 4), (1, 2, 7, 7), (400, 1, 5, 1), (0, 4, 32, 32)):
        x = torch.randn(shape[0], 32, *shape[1:])
        assert torch.equal(layer(x), F.relu(conv(x)) if relu else conv(x)), shape
    assert not calls
    assert layer.filters is None


@pytest.mark.parametrize("frames", [4, 5, 6, 7, 8, 9, 10, 11, 12])
def test_clips_that_would_not_fill_their_tiles_over_time_are_left_to_the_convolution(frames: int, calls: list[int]):
    conv = make(64, 128, OVER_TIME)
    x = torch.randn(1, 64, frames, 60, 60)
    assert_near(quick(conv)(x), exactly(conv, x))
    assert bool(calls) == (frames not in (5, 6, 9))


def test_other_formats_and_gradients_are_those_of_the_convolution(calls: list[int]):
    conv, layer = make(), quick(make())
    x = torch.randn(1, 32, 8, 16, 16)
    with torch.autocast("cpu", torch.bfloat16):
        out = layer(x)
        assert out.dtype == torch.bfloat16
        assert torch.equal(out, conv(x))
    assert torch.equal(copy.deepcopy(layer).double()(x.double()), conv.double()(x.double()))
    assert copy.deepcopy(layer).to("meta")(x.to("meta")).is_meta
    conv, layer = make().requires_grad_(), quick(make().requires_grad_())
    layer(x).sum().backward()
    conv(x).sum().backward()
    assert torch.equal(layer.weight.grad, conv.weight.grad)
    quick(make())(x.requires_grad_()).sum().backward()
    assert x.grad is not None
    assert not calls
    with torch.no_grad():
        layer(x)
    assert calls


def test_it_is_exported_as_the_convolution(calls: list[int]):
    layer, x = quick(make()).eval(), torch.randn(1, 32, 8, 16, 16)
    with torch.no_grad():
        program = torch.export.export(layer, (x,))
    assert any("conv3d" in str(node.target) for node in program.graph.nodes)
    assert not calls


def test_wrong_inputs_get_the_words_of_torch():
    layer = quick(make())
    with pytest.raises(RuntimeError, match="expected input"):
        layer(torch.randn(1, 33, 8, 16, 16))
    assert layer(torch.randn(32, 8, 16, 16)).shape == (40, 8, 16, 16)


def test_threads_do_not_disturb_each_other():
    convs = [make(32, 64, seed=seed) for seed in range(3)]
    layers = [quick(conv) for conv in convs]
    clips = [torch.randn(1, 32, 4, 24, 24 + 4 * number) for number in range(3)]
    wrong: list[int] = []

    def work(number: int) -> None:
        with torch.inference_mode():
            expected = exactly(convs[number], clips[number])
            for _ in range(10):
                if (layers[number](clips[number]) - expected).abs().max() > 1e-4:
                    wrong.append(number)

    running = [threading.Thread(target=work, args=(number,)) for number in (0, 1, 2)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    assert not wrong


@pytest.fixture
def compiler(tmp_path, monkeypatch) -> Callable[..., Path]:
    """Gives a compiler that notes what it is called with, after some commands of its own; and an empty cache."""
    if os.name == "nt":
        pytest.skip("a script of the shell stands in for the compiler")
    true = native._compiler()[0]
    monkeypatch.setenv("KINEMA_HOME", str(tmp_path / "home"))

    def make_compiler(commands: str = "") -> Path:
        path, notes = tmp_path / "compiler", tmp_path / "notes"
        path.write_text(f'#!/bin/sh\necho "$@" >> "{notes}"\n{commands}\nexec "{true}" "$@"\n')
        path.chmod(0o755)
        monkeypatch.setenv("CC", str(path))
        return notes

    return make_compiler


def compilations(notes: Path) -> list[str]:
    return [line for line in notes.read_text().splitlines() if " -o " in line]


@pytest.mark.usefixtures("always")
def test_a_compiler_that_does_not_know_the_processor_makes_slower_code(compiler: Callable[..., Path], monkeypatch):
    notes = compiler('case "$*" in *-march=native*) echo "bad value native" >&2; exit 1;; esac')
    library = native.load_native("winograd.c")
    assert "native" not in " ".join(line.split("-o")[0] for line in compilations(notes)).replace("native/", "")
    monkeypatch.setattr(winograd_conv, "load_native", lambda name: library)
    monkeypatch.setattr(winograd_conv, "transforms", winograd_conv.transforms.__wrapped__)
    for kernel in KERNELS:
        conv, x = make(33, 37, kernel), torch.randn(1, 33, 3, 7, 9)
        assert_near(quick(conv)(x), exactly(conv, x))
