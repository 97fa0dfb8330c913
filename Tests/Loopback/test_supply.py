# SPDX-License-Identifier: Apache-2.0
"""The bill of materials names what the programs were linked with, and a program with anything else gets none."""

import json
import pathlib
import shutil
import subprocess
import sys

import pytest

from harness.executables import REPOSITORY

PROGRAMS = ["relay-server", "relay-client"]
REGISTER = json.loads((REPOSITORY / "packaging/components.json").read_text())


def sbom(program, folder, *arguments, env=None):
    """Runs scripts/sbom."""
    return subprocess.run(
        [sys.executable, REPOSITORY / "scripts/sbom", "--bin", folder, *arguments, program],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env=env,
    )


@pytest.mark.slow
@pytest.mark.parametrize("program", PROGRAMS)
def test_the_bill_names_what_is_linked(binaries, program):
    done = sbom(program, binaries)
    assert done.returncode == 0, done.stderr
    bill = json.loads(done.stdout)
    assert bill["bomFormat"] == "CycloneDX" and bill["metadata"]["component"]["name"] == program
    listed = {each["name"]: each for each in bill["components"]}
    assert {name for name, each in REGISTER["packages"].items() if program in each["programs"]} <= set(listed)
    for name, each in listed.items():
        assert each["licenses"][0]["expression"], name
        assert each.get("version"), f"{name} has no version"
    assert {"libssl3", "libssl3t64"} & set(listed) and "libc6" in listed
    assert any("hiredis" in name for name in listed) == (program == "relay-server")
    assert [each["bom-ref"] for each in bill["components"]] == bill["dependencies"][0]["dependsOn"]
    again = sbom(program, binaries)
    assert again.stdout == done.stdout


#: A module of each package that is in relay-server.
MODULES = {
    "swift-argument-parser": "ArgumentParser",
    "swift-atomics": "Atomics",
    "swift-collections": "DequeModule",
    "swift-configuration": "Configuration",
    "swift-crypto": "Crypto",
    "swift-log": "Logging",
    "swift-nio": "NIOCore",
    "swift-service-lifecycle": "UnixSignals",
    "swift-system": "SystemPackage",
}


@pytest.fixture
def checkouts(binaries):
    """The sources of the packages that were built: beside the programs, or of another build of this tree."""
    places = [*binaries.parents, REPOSITORY / ".build", *sorted(REPOSITORY.glob(".build-package/*"))]
    found = next((each / "checkouts" for each in places if (each / "checkouts").is_dir()), None)
    return found or pytest.skip("the sources of the packages are not there: nothing was built here")


def copied(binaries, folder, checkouts=None):
    """A folder with a copy of a program, and with what the linker would have been given for it."""
    shutil.copy(binaries / "relay-server", folder)
    given = folder / "relay-server.product/Objects.LinkFileList"
    given.parent.mkdir()
    given.write_text("".join(f"/x/{each}.build/{each}.swift.o\n" for each in (*MODULES.values(), "RelayNode")))
    if checkouts:
        (folder / "checkouts").symlink_to(checkouts)
    return given


@pytest.mark.parametrize(
    ("object_file", "said"),
    [
        ("/x/NIOSSL.build/NIOSSLHandler.swift.o", "swift-nio-ssl is in it"),
        ("/x/HTTPTypes.build/HTTPField.swift.o", "swift-http-types is in it"),
        ("/x/Planted.build/Planted.swift.o", "the module Planted is of no package"),
    ],
    ids=["tls", "types", "module"],
)
def test_what_is_linked_besides_is_refused(binaries, checkouts, tmp_path, object_file, said):
    given = copied(binaries, tmp_path, checkouts)
    assert sbom("relay-server", tmp_path, "--check").stdout.endswith("as the linker was given\n")
    as_it_was = given.read_text()
    given.write_text(as_it_was + object_file + "\n")
    done = sbom("relay-server", tmp_path)
    assert done.returncode == 1 and said in done.stderr and done.stdout == "", done
    given.write_text(as_it_was.replace("Crypto", "Logging"))
    done = sbom("relay-server", tmp_path)
    assert done.returncode == 1 and "swift-crypto is not in it" in done.stderr, done


def test_without_the_packages_sources_that_is_said(binaries, tmp_path):
    copied(binaries, tmp_path)
    done = sbom("relay-server", tmp_path)
    assert done.returncode == 1 and "no folder above it has the `checkouts`" in done.stderr, done
    assert "Traceback" not in done.stderr


def tools(folder):
    """A PATH with what scripts/sbom runs, and dpkg-query on a system that has libc for other processors, too."""
    made = folder / "tools"
    made.mkdir()
    for each in ("readelf", "ldd", "bash", "sh", "cat"):
        (made / each).symlink_to(shutil.which(each))
    (made / "dpkg-query").write_text(
        "#!/bin/sh\ncase $* in *' -S '*) echo 'libc6-i386: /usr/lib32/libc.so.6' ;; esac\n"
        f'exec {shutil.which("dpkg-query")} "$@"\n'
    )
    (made / "dpkg-query").chmod(0o755)
    return {"PATH": str(made)}


def test_without_swift_and_with_another_libc_the_bill_names_what_is_used(binaries, tmp_path):
    shutil.copy(binaries / "relay-client", tmp_path)
    done = sbom("relay-client", tmp_path, env=tools(tmp_path))
    assert done.returncode == 0, done.stderr
    listed = {each["name"]: each for each in json.loads(done.stdout)["components"]}
    named = REPOSITORY / ".swift-version"
    assert listed["swift"]["version"] == (named.read_text().strip() if named.exists() else "unknown")
    assert listed["libc6"]["version"] and "glibc" not in listed and "libc6-i386" not in listed, listed


def test_another_library_of_the_system_is_refused(tmp_path):
    # Any program that needs another one.
    shutil.copy(pathlib.Path(shutil.which("curl") or "curl").resolve(), tmp_path / "relay-server")
    done = sbom("relay-server", tmp_path)
    assert done.returncode == 1 and "needs libcurl" in done.stderr, done


def test_without_the_linkers_list_that_is_said(binaries, tmp_path):
    shutil.copy(binaries / "relay-server", tmp_path)
    done = sbom("relay-server", tmp_path, "--check")
    assert done.returncode == 0 and "no list of the linker" in done.stdout, done
