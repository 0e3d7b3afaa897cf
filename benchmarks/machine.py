"""What a number was measured on; it means nothing without it."""

import os
import platform
from pathlib import Path


def describe_machine() -> str:
    """One line: processor, cores, Python, system."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        processor = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        processor = platform.processor() or platform.machine()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    interpreter = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{processor}, {cores} cores, {interpreter}, {platform.system()}"
