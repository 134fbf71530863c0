"""Tensors between PyTorch and the extension, by DLPack and without a copy where there need be
none."""

import torch

_out = torch._C._to_dlpack if hasattr(torch._C, "_to_dlpack") else torch.utils.dlpack.to_dlpack
into = torch._C._from_dlpack if hasattr(torch._C, "_from_dlpack") else torch.utils.dlpack.from_dlpack


def capsule(tensor, dtype):
    """A row-major tensor of this type in the processor's memory, as a capsule; None stays None."""
    if tensor is None:
        return None
    if tensor.dtype is not dtype or tensor.device.type != "cpu" or not tensor.is_contiguous():
        tensor = tensor.detach().to(device="cpu", dtype=dtype).contiguous()
    return _out(tensor.resolve_neg() if tensor.is_neg() else tensor)


def floats(tensor):
    if (
        tensor.dtype is torch.float32
        and tensor.is_contiguous()
        and tensor.device.type == "cpu"
        and not tensor.is_neg()  # negated lazily: its memory is not its numbers
    ):
        return _out(tensor)
    return capsule(tensor, torch.float32)


def bytes_of(tensor, what):
    """A mask or labels: booleans or whole numbers 0 and 1, as u8."""
    if tensor is None:
        return None
    tensor = torch.as_tensor(tensor)
    if tensor.is_floating_point():
        raise TypeError(f"{what}: expected booleans or whole numbers, got {tensor.dtype}")
    if tensor.dtype not in (torch.bool, torch.uint8):
        low, high = (tensor.min().item(), tensor.max().item()) if tensor.numel() else (0, 0)
        if low < 0 or high > 1:
            raise ValueError(f"{what}: expected 0 and 1, got {low} to {high}")
    return capsule(tensor, torch.uint8)


def whole(tensor, what):
    """Lengths or ids: whole numbers, as i32."""
    if tensor is None:
        return None
    tensor = torch.as_tensor(tensor)
    if tensor.is_floating_point() or tensor.is_complex():
        raise TypeError(f"{what}: expected whole numbers, got {tensor.dtype}")
    if tensor.dtype is torch.int64 and tensor.numel():
        low, high = (int(x) for x in torch.aminmax(tensor))
        if low < -(2**31) or high >= 2**31:
            raise ValueError(f"{what}: expected numbers of 32 bits, got {low} to {high}")
    return capsule(tensor, torch.int32)
