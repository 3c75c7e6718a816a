"""Processes that make the data of the steps to come while one step is trained.

On a GPU the many small operations that make datasets take longer than a step of the network, and
one process cannot start both fast enough.
"""

from __future__ import annotations

import itertools
import threading
from queue import Empty
from typing import Any

import torch
import torch.multiprocessing as mp

from training.config import TrainConfig
from training.data import StepData, step_data

__all__ = ["Workers"]

_AHEAD = 3


def _work(
    config: TrainConfig, steps: range, device: torch.device, rank: int, world: int, queue: Any
) -> None:
    torch.set_num_threads(1)
    for step in steps:
        queue.put(step_data(config, step, device, rank, world).to(torch.device("cpu")))
    threading.Event().wait()  # tensors in the queue end with their process


class Workers:
    """The data of each step from ``first`` on, in order, the same as :func:`step_data` makes.

    Args:
        config: the run.
        first: the step that comes first.
        count: processes, each of which makes every ``count``-th step, up to three ahead.
        device: where they make it, and where it is delivered.
        rank, world: this process among those of ``torch.distributed``.
    """

    def __init__(
        self, config: TrainConfig, first: int, count: int, device: torch.device, rank: int,
        world: int,
    ) -> None:  # fmt: skip
        self.device = device
        context = mp.get_context("spawn")
        self._queues = [context.Queue(_AHEAD) for _ in range(count)]
        self._processes = [
            context.Process(
                target=_work, daemon=True,
                args=(config, range(first + k, config.steps, count), device, rank, world, queue),
            )
            for k, queue in enumerate(self._queues)
        ]  # fmt: skip
        for process in self._processes:
            process.start()
        self._turn = itertools.cycle(range(count))

    def next(self) -> StepData:
        """The data of the next step.

        Raises:
            RuntimeError: if the process that makes it has ended.
        """
        turn = next(self._turn)
        while True:
            try:
                data: StepData = self._queues[turn].get(timeout=5)
                return data.to(self.device)
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
