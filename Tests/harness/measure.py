# SPDX-License-Identifier: Apache-2.0
"""What /proc says about a process."""

import os


def status(pid: int | str) -> dict[str, str]:
    """The lines of /proc/PID/status."""
    with open(f"/proc/{pid}/status") as file:
        return {key: value.strip() for key, _, value in (line.partition(":") for line in file)}


def is_gone(pid: int) -> bool:
    """Whether no process has that id; one that has ended and waits for its parent counts as gone."""
    try:
        return status(pid)["State"].startswith("Z")
    except (FileNotFoundError, ProcessLookupError):
        return True


def has_stopped(pid: int) -> bool:
    """Whether none of its threads does anything more until SIGCONT: one in a system call first comes to its end."""
    try:
        # `t`: a debugger holds it.
        return all(status(f"{pid}/task/{each}")["State"][0] in "TtZX" for each in os.listdir(f"/proc/{pid}/task"))
    except (FileNotFoundError, ProcessLookupError):
        return is_gone(pid)


def resident(pid: int) -> int:
    """Resident memory in bytes, from smaps_rollup: what is really mapped in, summed page by page."""
    with open(f"/proc/{pid}/smaps_rollup") as file:
        for line in file:
            if line.startswith("Rss:"):
                return int(line.split()[1]) * 1024
    raise AssertionError("no Rss line")


def peak(pid: int) -> int:
    """The highest resident memory so far, in bytes; 0 for a process that is over."""
    with open(f"/proc/{pid}/status") as file:
        return sum(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM:"))


def io(pid: int) -> dict[str, int]:
    """The counters of /proc/PID/io: rchar, wchar, read_bytes, write_bytes and so on."""
    with open(f"/proc/{pid}/io") as file:
        return {key: int(value) for key, value in (line.split(":") for line in file)}


def descriptors(pid: int) -> int:
    """How many descriptors are open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def connections(pid: int) -> list[str]:
    """What the open descriptors are: TCP connections as "local -> remote state", everything else as /proc has it."""
    sockets = {}
    with open(f"/proc/{pid}/net/tcp") as file:
        for line in file.readlines()[1:]:
            fields = line.split()
            sockets[f"socket:[{fields[9]}]"] = (
                f"{_port(fields[1])} -> {_port(fields[2])} {_STATES.get(fields[3], fields[3])}"
            )
    found = []
    for entry in os.listdir(f"/proc/{pid}/fd"):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{entry}")
        except FileNotFoundError:
            continue
        found.append(sockets.get(target, target))
    return sorted(found)


def first_receive_buffer() -> int:
    """How many bytes the receive buffer of a TCP connection has before the kernel lets it grow."""
    return _buffers("tcp_rmem")[1]


def receive_buffer() -> int:
    """To how many bytes the kernel lets a TCP connection's receive buffer grow."""
    return _buffers("tcp_rmem")[2]


def send_buffer() -> int:
    """The same of its send buffer."""
    return _buffers("tcp_wmem")[2]


def _buffers(name: str) -> list[int]:
    with open(f"/proc/sys/net/ipv4/{name}") as file:
        return [int(field) for field in file.read().split()]


def unread(pid: int, local: int, remote: int) -> int:
    """Bytes in the kernel that the process has not read from the connection between the two ports."""
    with open(f"/proc/{pid}/net/tcp") as file:
        for line in file.readlines()[1:]:
            fields = line.split()
            if _port(fields[1]) == local and _port(fields[2]) == remote:
                return int(fields[4].partition(":")[2], 16)
    return 0


_STATES = {
    "01": "established",
    "04": "FIN-WAIT-1",
    "05": "FIN-WAIT-2",
    "08": "CLOSE-WAIT",
    "09": "LAST-ACK",
    "0A": "listens",
}


def _port(address: str) -> int:
    return int(address.rpartition(":")[2], 16)
