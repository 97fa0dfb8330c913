# SPDX-License-Identifier: Apache-2.0
"""Content has arrived whole, then the system refuses a step of storing it: what remains, and which file is named."""

import shutil

import pytest

from harness import content, file_systems

NAMES = ("renameat2", "linkat", "renameat")


@pytest.fixture
def people(relay, tmp_path):
    """A sender, a receiver, and a file. The two know each other: what is refused is not asked of their profiles."""
    alice, bob, file = relay.person("alice", tmp_path), relay.person("bob", tmp_path), tmp_path / "report.pdf"
    file.write_bytes(b"first contact")
    receiving = bob.receive(sender=alice.name)
    alice.send(bob, file).expect(0, 20)
    receiving.expect(0, 20)
    (bob.inbox / "report.pdf").unlink()
    file.write_bytes(content.data("storing", 100_000))
    return alice, bob, file


def refusing(folder, **errors):
    """A command line's start with which each of these calls fails so."""
    calls = [part for call, error in errors.items() for part in ("-e", f"inject={call}:error={error}")]
    return ("strace", "-f", "-o", folder / "trace", "-e", "trace=" + ",".join(errors), *calls)


@pytest.mark.parametrize(
    ("errors", "warning"),
    [
        ({"fchmod": "EPERM"}, "permissions"),
        ({"utimensat": "EPERM"}, "the times of modification"),
        ({"fsync": "EINVAL"}, "does not say when files are on the disk"),
        ({"fsync": "EIO:when=2"}, "is stored, but the disk did not confirm its name"),
        ({"renameat2": "ENOSYS"}, None),
        ({"renameat2": "EINVAL", "linkat": "EPERM"}, None),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else "",
)
def test_what_may_fail_without_harm_is_a_warning_and_the_file_is_delivered(people, tmp_path, errors, warning):
    # Otherwise nothing gets other permissions than the system gives it.
    metadata = ["--preserve"] if "fchmod" in errors else []
    delivered(people, warning, *metadata, prefix=refusing(tmp_path, **errors))
    assert " (INJECTED)" in (tmp_path / "trace").read_text()


def test_a_first_name_that_stays_is_a_warning_and_the_file_is_delivered(people, tmp_path):
    delivered(
        people,
        "left over",
        prefix=refusing(tmp_path, renameat2="EINVAL"),
        env=file_systems.without_removal(tmp_path, "report.pdf"),
    )


def delivered(people, warning, *metadata, **options):
    """Sends the file, which arrives with this warning."""
    alice, bob, file = people
    receiving = bob.receive("--json", *metadata, sender=alice.name, **options)
    alice.send(bob, *metadata, file).expect(0, 20)
    receiving.expect(0, 20)
    [received] = receiving.events("received")
    assert received["path"] == str(bob.inbox / "report.pdf")
    assert (bob.inbox / "report.pdf").read_bytes() == file.read_bytes()
    warnings = [event["message"] for event in receiving.events("warning")]
    assert len(warnings) == (warning is not None) and all(warning in each for each in warnings), warnings


@pytest.mark.parametrize(
    ("errors", "status"),
    [(dict.fromkeys(NAMES, "EPERM"), 73), (dict.fromkeys(NAMES, "EIO"), 73), ({"fsync": "EIO"}, 74)],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else "",
)
def test_what_may_not_fail_keeps_the_content_and_says_where(people, tmp_path, errors, status):
    alice, bob, file = people
    receiving = bob.receive(prefix=refusing(tmp_path, **errors), sender=alice.name)
    sending = alice.send(bob, file).expect(73, 20)
    assert f"{bob.name} cannot store it" in sending.err()
    receiving.expect(status, 20)
    [part] = bob.parts()
    assert bob.stored() == []
    [kept] = [path for path in part.rglob("*") if path.is_file() and path.read_bytes() == file.read_bytes()]
    place = f'as "{kept}"' if "fsync" not in errors else f'in "{kept.parent}"'
    assert f"it is kept {place}" in receiving.err(), receiving.tail()


def test_the_file_that_is_named_is_the_one_that_was_received(people, tmp_path):
    alice, bob, file = people
    told = tmp_path / "told"
    receiving = bob.receive(
        "--exec-shell", f'printf %s "$RELAY_FILE" >{told}; cmp "$RELAY_FILE" {file}', sender=alice.name
    )
    bob.inbox.rename(tmp_path / "old")
    bob.inbox.mkdir()
    (bob.inbox / "report.pdf").write_text("OTHER")
    alice.send(bob, file).expect(0, 20)
    receiving.expect(0, 20)
    assert told.read_text() == str(bob.inbox / "report (1).pdf")
    assert f'as "{bob.inbox / "report (1).pdf"}"' in receiving.err()
    assert "--exec" not in receiving.err(), "the command found another content"
    assert list((tmp_path / "old").iterdir()) == []


def test_a_folder_that_is_removed_is_said_and_heals(people):
    alice, bob, file = people
    receiving = bob.receive(once=False, sender=alice.name)
    shutil.rmtree(bob.inbox)
    sending = alice.send(bob, file).expect(73, 20)
    assert f"{bob.name} cannot store it" in sending.err() and "sending" not in sending.err()
    receiving.wait_for(f'the folder "{bob.inbox}" does not exist: make it first', 20)
    bob.inbox.mkdir()
    alice.send(bob, file).expect(0, 20)
    assert (bob.inbox / "report.pdf").read_bytes() == file.read_bytes()
