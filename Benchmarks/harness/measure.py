# SPDX-License-Identifier: Apache-2.0
"""One stream through one relay, and many of them in turn."""

import json
import statistics
import subprocess
import time

from .processes import ContentDiffers, Failure, cpu_seconds, peak_memory

WARM_UP_BYTES = 64 * 1024 * 1024
SLOWEST_BYTES_PER_SECOND = 15_000_000  # below that something is wrong, and the stream is given up


class Sample:
    """What one stream cost."""

    def __init__(self, count, cpu, ends):
        self.cpu_per_gb = cpu / (count / 1e9)
        self.seconds = ends["sink"]["seconds"]
        self.megabytes_per_second = count / 1e6 / max(self.seconds, 1e-9)
        self.ends_cpu_per_gb = (ends["source"]["cpu"] + ends["sink"]["cpu"]) / (count / 1e9)
        self.library = ends["sink"]["library"]


def stream(contestant, load, count, processes, flip=None):
    """Sends `count` bytes through the relay; both ends are the same program for every relay."""
    deadline = time.monotonic() + 60 + count / SLOWEST_BYTES_PER_SECOND
    certificates = contestant.certificates
    halves = contestant.halves(count)
    before = cpu_seconds(contestant.process.pid)
    if halves.sink_listens:
        command = (load, "sink", "--listen", str(halves.sink_port), "--bytes", str(count),
                   "--cert", certificates.certificate, "--key", certificates.key)
        sink = launch(processes, command, None)
        if sink.stdout.readline().strip() != "listening":
            raise Failure(f"{contestant.name}: the sink could not listen")
    else:
        command = (load, "sink", "--connect", str(halves.sink_port), "--bytes", str(count),
                   "--ca", certificates.ca, "--request")
        sink = launch(processes, command, halves.sink_head)
    command = [load, "source", "--connect", str(halves.source_port), "--bytes", str(count), "--ca", certificates.ca]
    if flip is not None:
        command += ["--flip", str(flip)]
    head = halves.source_head() if callable(halves.source_head) else halves.source_head
    source = launch(processes, command + (["--request"] if head is not None else []), head)
    ends = {}
    for role, process in (("sink", sink), ("source", source)):
        ends[role] = finish(contestant, role, process, deadline)
    after = cpu_seconds(contestant.process.pid)
    for process in (source, sink):
        processes.stop(process)
    if contestant.process.poll() is not None:
        raise Failure(f"{contestant.name} ended during the stream with status {contestant.process.returncode}")
    if any((end["protocol"], end["cipher"]) != ("TLSv1.3", "TLS_AES_128_GCM_SHA256") for end in ends.values()):
        raise Failure(f"{contestant.name}: another protocol or cipher than asked for: {ends}")
    contestant.finish(count)
    return Sample(count, after - before, ends)


def launch(processes, command, head):
    """Starts one end, handing it the head of its request on standard input."""
    process = processes.start(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    if head is not None:
        process.stdin.write(head)
    process.stdin.close()
    process.stdin = None
    return process


def finish(contestant, role, process, deadline):
    """Waits for one end and returns what it printed."""
    try:
        text, _ = process.communicate(timeout=max(1, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise Failure(f"{contestant.name}: the {role} did not finish in time") from None
    if process.returncode == 3:
        raise ContentDiffers(f"{contestant.name}: the content differs")
    if process.returncode != 0:
        raise Failure(f"{contestant.name}: the {role} failed with status {process.returncode}")
    return json.loads(text.splitlines()[-1])


def rounds(contestants, load, count, number, processes, tell):
    """Measures every contestant once a round, beginning with another one each time. One short stream each before
    that is not counted: it fills caches and lets compilers of the just-in-time kind do their work."""
    samples = {contestant.name: [] for contestant in contestants}
    for contestant in contestants:
        stream(contestant, load, min(count, WARM_UP_BYTES), processes)
    for index in range(number):
        shift = index % len(contestants)
        for contestant in contestants[shift:] + contestants[:shift]:
            sample = stream(contestant, load, count, processes)
            samples[contestant.name].append(sample)
            tell(f"round {index + 1}/{number}  {contestant.name:8}  {sample.cpu_per_gb:5.2f} CPU s/GB  "
                 f"{sample.megabytes_per_second:6.0f} MB/s")
    memory = {contestant.name: peak_memory(contestant.process.pid) for contestant in contestants}
    return samples, memory


def median(samples, field):
    """The median of one field of the samples."""
    return statistics.median(getattr(sample, field) for sample in samples)
