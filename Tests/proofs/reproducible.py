# SPDX-License-Identifier: Apache-2.0
"""The two programs, built twice: in two folders, from the same files, they have to be the same bytes."""

from __future__ import annotations

import dataclasses
import hashlib
import pathlib
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator

from harness.executables import REPOSITORY

PROGRAMS = ("relay-server", "relay-client")
#: Names of different lengths: what has a path in it is not only other bytes, but also other places.
FOLDERS = ("one", "another-of-a-longer-name")
#: As scripts/package has it; and without the digest that the linker makes of everything, of what is stripped as well.
STRIPPED = (
    "--strip-unneeded",
    *(f"--remove-section={section}" for section in (".comment", ".note", ".note.gnu.build-id")),
)
SECONDS = 3600


@dataclasses.dataclass
class Difference:
    """A section that is not the same in both."""

    section: str
    sizes: tuple[int, int]
    #: Texts that are in one of the two alone; the first few.
    texts: list[str]

    def row(self) -> str:
        """A line for a terminal."""
        shown = "; ".join(self.texts[:3]) or "no text in it differs"
        return f"  {self.section:24}{self.sizes[0]:>12,}{self.sizes[1]:>12,}  {shown}"


def copied(folder: pathlib.Path) -> None:
    """The files of the repository, and the versions of what it depends on."""
    listed = subprocess.run(
        ["git", "-C", REPOSITORY, "ls-files", "-z"], check=True, capture_output=True, text=True, timeout=60
    ).stdout
    for name in (*listed.rstrip("\0").split("\0"), "Package.resolved"):
        if (REPOSITORY / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, folder / name)


def built(folder: pathlib.Path, tell: Callable[[str], None]) -> dict[str, bytes]:
    """The stripped programs, from that folder."""
    scratch = folder / ".build"
    # The paths in the programs are those of files of C, in what BoringSSL says of errors; and the compiler leaves a
    # digest of each module in them, with its paths, to know at the next build whether it has changed.
    maps = [
        *("-Xswiftc", "-Xfrontend", "-Xswiftc", "-disable-incremental-llvm-codegen"),
        *("-Xswiftc", "-file-prefix-map", "-Xswiftc", f"{folder}=/relay"),
        *("-Xcc", f"-ffile-prefix-map={folder}=/relay", "-Xcxx", f"-ffile-prefix-map={folder}=/relay"),
    ]
    programs = {}
    for program in PROGRAMS:
        tell(f"building {program} in {folder}")
        done = subprocess.run(
            [
                *("swift", "build", "-c", "release", "--package-path", folder, "--scratch-path", scratch),
                *("--static-swift-stdlib", "--disable-automatic-resolution", *maps, "--product", program),
            ],
            check=False,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
        assert done.returncode == 0, f"swift build: {(done.stdout + done.stderr)[-1000:]}"
        small = folder / f"{program}.stripped"
        subprocess.run(["strip", *STRIPPED, "-o", small, scratch / "release" / program], check=True, timeout=60)
        programs[program] = small.read_bytes()
    return programs


def sections(path: pathlib.Path, folder: pathlib.Path) -> dict[str, bytes]:
    """What is in a program, by section."""
    listed = subprocess.run(["readelf", "-SW", path], check=True, capture_output=True, text=True, timeout=60).stdout
    found = {}
    folder.mkdir(exist_ok=True)
    for name, kind in re.findall(r"^\s*\[\s*\d+\]\s+(\S+)\s+(\S+)", listed, re.MULTILINE):
        if kind in ("NULL", "NOBITS"):
            continue
        part = folder / "section"
        part.unlink(missing_ok=True)
        # objcopy writes what it is given, and nothing where the section is empty.
        subprocess.run(
            ["objcopy", "-O", "binary", f"--only-section={name}", "--set-section-flags", f"{name}=alloc", path, part],
            check=False,
            capture_output=True,
            timeout=60,
        )
        found[name] = part.read_bytes() if part.exists() else b""
    return found


def differences(first: pathlib.Path, second: pathlib.Path, folder: pathlib.Path) -> Iterator[Difference]:
    """The sections that are not the same."""
    left, right = sections(first, folder), sections(second, folder)
    for name in sorted(left.keys() | right.keys()):
        one, other = left.get(name, b""), right.get(name, b"")
        if one != other:
            texts = [set(re.findall(rb"[\x20-\x7e]{12,}", each)) for each in (one, other)]
            only = sorted((texts[0] ^ texts[1]), key=lambda text: (b"/" not in text, text))
            yield Difference(name, (len(one), len(other)), [text.decode()[:100] for text in only])


def proved(folder: pathlib.Path, tell: Callable[[str], None]) -> bool:
    """Builds twice, and compares."""
    # Without it each build would be of other versions, or of none.
    assert (REPOSITORY / "Package.resolved").is_file(), "there is no Package.resolved: run swift package resolve"
    folders = [folder / name / "relay" for name in FOLDERS]
    made = []
    for each in folders:
        each.mkdir(parents=True)
        copied(each)
        made.append(built(each, tell))
    good = True
    for program in PROGRAMS:
        first, second = (each[program] for each in made)
        if first == second:
            tell(f"{program}: the same {len(first):,} bytes, SHA-256 {hashlib.sha256(first).hexdigest()}")
            continue
        good = False
        tell(f"PROBLEM  {program}: {len(first):,} and {len(second):,} bytes, which differ in")
        stripped = [each / f"{program}.stripped" for each in folders]
        for difference in differences(stripped[0], stripped[1], folder / "sections"):
            tell(difference.row())
    return good
