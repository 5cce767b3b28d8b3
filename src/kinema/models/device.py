"""Device and precision of a network."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack, nullcontext

import torch
from torch import nn

from kinema.errors import UsageError
from kinema.models.layers.cpu_workarounds import MendedConvolutions

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def resolve_device(name: str = "auto") -> torch.device:
    """The device of that name; "auto" is the GPU if there is one.

    Raises:
        UsageError: no such device on this machine.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except Exception as error:
        raise UsageError("no such device on this machine", name, "give auto, cpu, cuda or cuda:N") from error
    return device


def fast_at_bf16(device: torch.device) -> bool:
    """Whether bfloat16 matrices multiply faster than float32: AMX or AVX-512 BF16 on a CPU, Ampere or newer on a GPU."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and (torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())


def resolve_precision(name: str, device: torch.device) -> str:
    """f32, bf16 or fp16; "auto" is bf16 if the hardware is fast at it, else f32.

    Raises:
        UsageError: no such precision, or int8, which needs an exported file.
    """
    if name == "auto":
        return "bf16" if fast_at_bf16(device) else "f32"
    if name == "int8":
        do = "make a file with `kinema export MODEL --format openvino --precision int8 --calibrate DATA` and run that"
        raise UsageError("int8 needs clips to calibrate its ranges", "--precision int8", do)
    if name not in ("f32", *DTYPES):
        raise UsageError("no such precision", name, "give auto, f32, bf16 or fp16")
    return name


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Run networks in `precision` inside the block; weights are not changed."""
    if precision == "f32":
        return nullcontext()
    block = ExitStack()
    block.enter_context(torch.autocast(device.type, DTYPES[precision]))
    if device.type == "cpu" and torch.is_grad_enabled():
        block.enter_context(MendedConvolutions())
    return block


def channels_last(network: nn.Module) -> None:
    """Store convolution weights channels-last, in place; the outputs of convolutions then have this layout too."""
    for parameter in network.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
        elif parameter.ndim == 5:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last_3d)
