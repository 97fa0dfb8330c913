# SPDX-License-Identifier: Apache-2.0
"""One stream through one relay, and many of them in turn."""

import json
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from typing import TypedDict

from .contestants import Contestant
from .machine import aes_gigabytes_per_second
from .processes import ContentDiffers, Failure, Process, Processes, cpu_seconds, peak_memory, process_poll

WARM_UP_BYTES = 64 * 1024 * 1024
SLOWEST_BYTES_PER_SECOND = 15_000_000  # below that something is wrong, and the stream is given up


class End(TypedDict):
    """What a load tool prints."""

    seconds: float
    cpu: float
    protocol: str
    cipher: str
    library: str


class Sample:
    """What one stream cost."""

    def __init__(self, count: int, cpu: float, ends: dict[str, End]) -> None:
        self.cpu_per_gb = cpu / (count / 1e9)
        self.seconds = ends["sink"]["seconds"]
        self.megabytes_per_second = count / 1e6 / max(self.seconds, 1e-9)
        self.ends_cpu_per_gb = (ends["source"]["cpu"] + ends["sink"]["cpu"]) / (count / 1e9)
        self.library = ends["sink"]["library"]


def stream(contestant: Contestant, load: str, count: int, processes: Processes, flip: int | None = None) -> Sample:
    """Sends `count` bytes through the relay; both ends are the same program for every relay."""
    deadline = time.monotonic() + 60 + count / SLOWEST_BYTES_PER_SECOND
    certificates = contestant.certificates
    halves = contestant.halves(count)
    before = cpu_seconds(contestant.process.pid)
    if halves.sink_listens:
        command = [load, "sink", "--listen", str(halves.sink_port), "--bytes", str(count)]
        command += ["--cert", certificates.certificate, "--key", certificates.key]
        sink = launch(processes, command, None, flip is not None)
        if sink.stdout is None or sink.stdout.readline().strip() != b"listening":
            raise Failure(f"{contestant.name}: the sink could not listen")
    else:
        command = [load, "sink", "--connect", str(halves.sink_port), "--bytes", str(count)]
        command += ["--ca", certificates.ca, "--request"]
        sink = launch(processes, command, halves.sink_head, flip is not None)
    command = [load, "source", "--connect", str(halves.source_port), "--bytes", str(count), "--ca", certificates.ca]
    if flip is not None:
        command += ["--flip", str(flip)]
    head = halves.source_head() if callable(halves.source_head) else halves.source_head
    command += ["--request"] if head is not None else []
    source = launch(processes, command, head, flip is not None)
    ends = finish(contestant, {"sink": sink, "source": source}, deadline)
    after = cpu_seconds(contestant.process.pid)
    for process in (source, sink):
        processes.stop(process)
    if contestant.process.poll() is not None:
        raise Failure(f"{contestant.name} ended during the stream with status {contestant.process.returncode}")
    if any((end["protocol"], end["cipher"]) != ("TLSv1.3", "TLS_AES_128_GCM_SHA256") for end in ends.values()):
        raise Failure(f"{contestant.name}: another protocol or cipher than asked for: {ends}")
    contestant.finish(count)
    return Sample(count, after - before, ends)


def launch(processes: Processes, command: Sequence[str], head: str | None, quiet: bool = False) -> Process:
    """Starts one end, handing it the head of its request on standard input."""
    complaints = subprocess.DEVNULL if quiet else None
    process = processes.start(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaints)
    if process.stdin is not None:
        process.stdin.write((head or "").encode("ascii"))
        process.stdin.close()
        process.stdin = None
    return process


def finish(contestant: Contestant, ends: dict[str, Process], deadline: float) -> dict[str, End]:
    """Waits for both ends and returns what they printed. When one fails, the other is not waited for."""
    waiting = dict(ends)
    while waiting:
        for role, process in list(waiting.items()):
            if process.poll() is None:
                continue
            del waiting[role]
            if role == "source" and process.returncode != 0 and "sink" in waiting:
                process_poll(ends["sink"], 5)  # what the sink says is the better explanation
                waiting.pop("sink")
                explain(contestant, "sink", ends["sink"].returncode or 0)
            explain(contestant, role, process.returncode)
        if waiting and time.monotonic() > deadline:
            raise Failure(f"{contestant.name}: the {' and the '.join(waiting)} did not finish in time")
        if waiting:
            process_poll(next(iter(waiting.values())), 0.25)
    return {role: json.loads(process.communicate()[0].splitlines()[-1]) for role, process in ends.items()}


def explain(contestant: Contestant, role: str, status: int) -> None:
    """Raises unless the status is that of an end that is content."""
    if status == 3:
        raise ContentDiffers(f"{contestant.name}: the content differs")
    if status != 0:
        raise Failure(f"{contestant.name}: the {role} failed with status {status}")


def rounds(
    contestants: list[Contestant],
    load: str,
    count: int,
    number: int,
    processes: Processes,
    tell: Callable[[str], None],
) -> tuple[dict[str, list[Sample]], dict[str, int], list[float]]:
    """Measures every contestant once a round, beginning with another one each time. One short stream each before
    that is not counted: it fills caches and lets compilers of the just-in-time kind do their work.

    Returns the samples and peak memory by name, and how fast the processor did AES before each round."""
    speeds: list[float] = []
    samples: dict[str, list[Sample]] = {contestant.name: [] for contestant in contestants}
    for contestant in contestants:
        stream(contestant, load, min(count, WARM_UP_BYTES), processes)
    for index in range(number):
        shift = index % len(contestants)
        speeds.append(aes_gigabytes_per_second())
        tell(f"round {index + 1}/{number}  the processor does AES-128-GCM at {speeds[-1]:.1f} GB/s")
        for contestant in contestants[shift:] + contestants[:shift]:
            sample = stream(contestant, load, count, processes)
            samples[contestant.name].append(sample)
            tell(
                f"round {index + 1}/{number}  {contestant.name:8}  {sample.cpu_per_gb:5.2f} CPU s/GB  "
                f"{sample.megabytes_per_second:6.0f} MB/s"
            )
    memory = {contestant.name: peak_memory(contestant.process.pid) for contestant in contestants}
    return samples, memory, speeds


def median(samples: list[Sample], field: str) -> float:
    """The median of one field of the samples."""
    return statistics.median(getattr(sample, field) for sample in samples)
