"""Processes that make the data of the steps to come while one step is trained.

On a GPU the many small operations that make datasets take longer than a step of the network, and
one process cannot start both fast enough.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from queue import Empty
from typing import Any

import torch
import torch.multiprocessing as mp

__all__ = ["Ahead"]

_AHEAD = 4
_KEPT = 2 << 30  # bytes of GPU memory that a process may keep between steps
_CPU = torch.device("cpu")


def _work(make: Callable[[int], Any], steps: range, queue: Any) -> None:
    torch.set_num_threads(1)
    for step in steps:
        data = make(step)
        queue.put(None if data is None else data.to(_CPU))
        if torch.cuda.is_initialized() and torch.cuda.memory_reserved() > _KEPT:
            del data
            torch.cuda.empty_cache()
    threading.Event().wait()  # tensors in the queue end with their process


class Ahead:
    """What ``make(step)`` gives for each of ``steps``, in order, up to four ahead for a process.

    Args:
        make: a picklable function of the step, of something with ``.to(device)``, or of None.
        steps: to be made.
        count: processes, each of which makes every ``count``-th step.
    """

    def __init__(self, make: Callable[[int], Any], steps: range, count: int) -> None:
        context = mp.get_context("spawn")
        self._queues = [context.Queue(_AHEAD) for _ in range(count)]
        self._processes = [
            context.Process(target=_work, daemon=True, args=(make, steps[k::count], queue))
            for k, queue in enumerate(self._queues)
        ]
        for process in self._processes:
            process.start()
        self._turn = itertools.cycle(range(count))

    def next(self) -> Any:
        """The data of the next step, on the CPU.

        Raises:
            RuntimeError: if the process that makes it has ended.
        """
        turn = next(self._turn)
        while True:
            try:
                return self._queues[turn].get(timeout=5)
            except Empty:
                process = self._processes[turn]
                if not process.is_alive():
                    raise RuntimeError(
                        f"expected data of the next step, but the process that makes it ended "
                        f"with exit code {process.exitcode}; see its error above"
                    ) from None

    def close(self) -> None:
        """End the processes."""
        for process in self._processes:
            process.kill()
        for process, queue in zip(self._processes, self._queues):
            process.join()
            queue.close()
