# SPDX-License-Identifier: Apache-2.0
"""The numbers, for people and for programs."""

import json
import statistics
from typing import TypedDict

from .contestants import Contestant
from .machine import Description, description
from .measure import Sample, median

# What relay-server is held to, as ratios of the medians of one run.
MARKS = (("HAProxy", 1.10), ("Node.js", 0.55), ("before", 1.02))


class Row(TypedDict):
    """One relay."""

    name: str
    version: str
    library: str
    cpu_seconds_per_gb: float
    lowest: float
    highest: float
    all: list[float]
    megabytes_per_second: float
    load_tools_cpu_seconds_per_gb: float
    peak_memory_bytes: int


class Mark(TypedDict):
    """What a ratio is held to."""

    ratio: str
    at_most: float
    measured: float
    passed: bool


class Result(TypedDict):
    """Everything that was measured, as a value that becomes JSON."""

    bytes: int
    rounds: int
    protocol: str
    machine: Description
    relays: list[Row]
    ratios: dict[str, float]
    marks: list[Mark]


def build(
    contestants: list[Contestant],
    samples: dict[str, list[Sample]],
    memory: dict[str, int],
    speeds: list[float],
    count: int,
) -> Result:
    """The result."""
    rows: list[Row] = []
    for contestant in contestants:
        taken = samples[contestant.name]
        costs = [sample.cpu_per_gb for sample in taken]
        rows.append(
            {
                "name": contestant.name,
                "version": contestant.version,
                "library": contestant.library,
                "cpu_seconds_per_gb": round(statistics.median(costs), 4),
                "lowest": round(min(costs), 4),
                "highest": round(max(costs), 4),
                "all": [round(cost, 4) for cost in costs],
                "megabytes_per_second": round(median(taken, "megabytes_per_second"), 1),
                "load_tools_cpu_seconds_per_gb": round(median(taken, "ends_cpu_per_gb"), 4),
                "peak_memory_bytes": memory[contestant.name],
            }
        )
    medians = {row["name"]: row["cpu_seconds_per_gb"] for row in rows}
    ratios: dict[str, float] = {}
    marks: list[Mark] = []
    if "relay" in medians:
        ratios = {
            f"relay/{name}": round(medians["relay"] / cost, 3)
            for name, cost in medians.items()
            if name != "relay" and cost > 0
        }
        marks = [
            {
                "ratio": f"relay/{name}",
                "at_most": limit,
                "measured": ratios[f"relay/{name}"],
                "passed": ratios[f"relay/{name}"] <= limit,
            }
            for name, limit in MARKS
            if f"relay/{name}" in ratios
        ]
    return {
        "bytes": count,
        "rounds": len(next(iter(samples.values()))),
        "protocol": "TLS 1.3 in and out, TLS_AES_128_GCM_SHA256, loopback",
        "machine": description(next(iter(samples.values()))[0].library, speeds),
        "relays": rows,
        "ratios": ratios,
        "marks": marks,
    }


def markdown(result: Result) -> str:
    """The result as a page."""
    machine = result["machine"]
    lines = [
        f"One stream of {result['bytes'] / 1e9:.2f} GB, {result['rounds']} interleaved rounds, {result['protocol']}.",
        f"{machine['processor']}, {machine['cores']} cores, Linux {machine['kernel']}, {machine['library']}. "
        + conditions(machine),
        "CPU seconds (user and system, all processes of the relay) per GB of 10^9 bytes; content compared.",
        "",
        "| relay | version | TLS library | CPU s/GB, median | lowest to highest | MB/s | peak memory |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: |",
    ]
    lines.extend(
        f"| {row['name']} | {row['version']} | {row['library']} | {row['cpu_seconds_per_gb']:.3f} "
        f"| {row['lowest']:.2f} to {row['highest']:.2f} | {row['megabytes_per_second']:.0f} "
        f"| {row['peak_memory_bytes'] / 1048576:.0f} MiB |"
        for row in result["relays"]
    )
    if result["ratios"]:
        lines += ["", "| ratio | measured | mark | |", "| --- | ---: | ---: | --- |"]
        verdicts = {mark["ratio"]: mark for mark in result["marks"]}
        for ratio, value in result["ratios"].items():
            mark = verdicts.get(ratio)
            limit, verdict = (f"<= {mark['at_most']:.2f}", verdict_of(mark)) if mark else ("", "")
            lines.append(f"| {ratio} | {value:.2f} | {limit} | {verdict} |")
    return "\n".join(lines) + "\n"


def table(result: Result) -> str:
    """The result for a terminal."""
    lines = ["", f"{'relay':10}{'CPU s/GB':>10}{'lowest':>9}{'highest':>9}{'MB/s':>8}{'memory':>10}   TLS library"]
    lines.extend(
        f"{row['name']:10}{row['cpu_seconds_per_gb']:>10.3f}{row['lowest']:>9.3f}{row['highest']:>9.3f}"
        f"{row['megabytes_per_second']:>8.0f}{row['peak_memory_bytes'] / 1048576:>6.0f} MiB   {row['library']}"
        for row in result["relays"]
    )
    lines += ["", conditions(result["machine"])]
    marks = {mark["ratio"]: mark for mark in result["marks"]}
    for ratio, value in result["ratios"].items():
        mark = marks.get(ratio)
        lines.append(
            f"{ratio:16}{value:6.2f}" + (f"   mark <= {mark['at_most']:.2f}   {verdict_of(mark)}" if mark else "")
        )
    if not result["ratios"]:
        lines.append("No ratios: they need relay-server and another relay in one run.")
    return "\n".join(lines)


def conditions(machine: Description) -> str:
    """What the seconds, and a little the ratios, depend on."""
    speed = statistics.median(machine["aes_128_gcm_gb_per_second"])
    return f"AES-128-GCM at {speed:.1f} GB/s (median), congestion control {machine['congestion_control']}."


def verdict_of(mark: Mark) -> str:
    """One word for a mark."""
    return "PASS" if mark["passed"] else "MISSED"


def write(result: Result, path: str) -> None:
    """Writes the result to `path`: JSON when the name ends so, Markdown otherwise."""
    text = json.dumps(result, indent=2) + "\n" if path.endswith(".json") else markdown(result)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
