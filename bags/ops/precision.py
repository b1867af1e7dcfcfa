"""Which precision is fast on this machine."""

from __future__ import annotations

import os

import torch

# oneDNN's names of instruction sets without bfloat16 products; ONEDNN_MAX_CPU_ISA may restrict oneDNN to one of them.
WITHOUT_BFLOAT16 = ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI")


def has_fast_bfloat16(device: torch.device | str) -> bool:
    """Whether ``device`` has instructions for products of bfloat16 numbers.

    On x86 processors without AVX512-BF16 or AMX, oneDNN's convolutions take 8 to 9 times as long in bfloat16 as in
    float32 (measured on AMD EPYC, AVX2). Other processors were not measured and count as slow. The decision follows the
    machine's feature flags, not a measurement, so that runs are repeatable.
    """
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    held_back = os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper() in WITHOUT_BFLOAT16
    return not held_back and bool({"avx512bf16", "amx-bf16"} & processor_features())


def processor_features() -> set[str]:
    """Instruction sets of this processor, by LLVM's names for them."""
    from llvmlite import binding

    return {name for name, there in binding.get_host_cpu_features().items() if there}


def instruction_sets() -> dict[str, str]:
    """Readable summary of the instruction sets that each library uses, and of what ``bfloat16=auto`` chooses."""
    from llvmlite import binding

    wide = ("avx2", "avx512f", "avx512bf16", "amx-bf16")
    return {
        "processor": " ".join(name for name in wide if name in processor_features()) or "none of AVX2 and beyond",
        "torch": torch.backends.cpu.get_cpu_capability(),
        "oneDNN": os.environ.get("ONEDNN_MAX_CPU_ISA", "all of the processor"),
        "Numba": os.environ.get("NUMBA_CPU_NAME", binding.get_host_cpu_name()),
        "bfloat16": "fast" if has_fast_bfloat16("cpu") else "slow, not used",
    }
