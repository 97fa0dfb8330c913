# SPDX-License-Identifier: Apache-2.0
"""What a killed receiver has left is changed before it goes on: what arrives is what was sent, files of other profiles
are not touched, and what was kept is only believed as far as it can be checked."""

import random
import shutil

import pytest

from harness import content
from harness.waiting import until

SIZE = 40_000_000
COUNT = 5


@pytest.fixture
def tree(tmp_path):
    """A folder with some files."""
    top = tmp_path / "top"
    top.mkdir()
    for number in range(COUNT):
        content.file(top / f"{number}.bin", f"damaged {number}", SIZE)
    return top


@pytest.fixture
def killed(people, tree):
    """(alice, her sending, bob, the folder of his parts) after bob was killed in the third file."""
    alice, bob = people("alice", "bob")
    receiving = bob.receive(sender=alice.name)
    sending = alice.send(bob, tree)
    until(lambda: list(bob.inbox.glob(".relay-*.part/content/top/2.bin")), 30, "the third file")
    receiving.kill()
    (part,) = bob.parts()
    return alice, sending, bob, part


def arrives(alice, sending, bob, tree):
    """The receiver is started again, and gets all of it."""
    receiving = bob.receive(sender=alice.name, ready=False)
    sending.expect(0, 60)
    receiving.expect(0, 20)
    same(tree, bob.inbox / "top")
    assert bob.received() == [b"top"], bob.received()


def same(one, other):
    """Two folders hold the same files."""
    assert content.listing(one) == content.listing(other)
    for path in one.iterdir():
        assert content.sha256(path) == content.sha256(other / path.name), path.name


def removed(part):
    (part / "content/top/0.bin").unlink()


def cut(part):
    with open(part / "content/top/1.bin", "r+b") as file:
        file.truncate(SIZE // 2)


def longer(part):
    with open(part / "content/top/1.bin", "ab") as file:
        file.write(b"more")


def without_content(part):
    shutil.rmtree(part / "content")


def without_manifest(part):
    (part / "manifest").unlink()


def another_manifest(part):
    manifest = bytearray((part / "manifest").read_bytes())
    manifest[len(manifest) // 2] ^= 1
    (part / "manifest").write_bytes(manifest)


def without_journal(part):
    (part / "journal").unlink()


def journal_of_zeros(part):
    (part / "journal").write_bytes(bytes(4_096))


def half_a_journal(part):
    journal = (part / "journal").read_bytes()
    (part / "journal").write_bytes(journal[: len(journal) // 2])


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        removed,
        cut,
        longer,
        without_content,
        without_manifest,
        another_manifest,
        without_journal,
        journal_of_zeros,
        half_a_journal,
    ],
)
def test_what_was_damaged_is_sent_again(killed, tree, change):
    alice, sending, bob, part = killed
    change(part)
    arrives(alice, sending, bob, tree)


def test_a_journal_and_a_manifest_with_random_damage_are_never_believed(killed, tree):
    seed = random.SystemRandom().getrandbits(32)
    print(f"seed {seed}")
    alice, sending, bob, part = killed
    chosen = random.Random(seed)
    for name in ("journal", "manifest"):
        damaged = bytearray((part / name).read_bytes())
        for _ in range(chosen.randint(1, 20)):
            damaged[chosen.randrange(len(damaged))] ^= chosen.randint(1, 255)
        (part / name).write_bytes(damaged[: chosen.randint(len(damaged) // 2, len(damaged))])
    arrives(alice, sending, bob, tree)


def test_a_part_that_was_edited_is_not_taken_for_what_was_sent(killed, tree):
    """The sender compares what the receiver has with its files, and says so to both."""
    alice, sending, bob, part = killed
    for name in ("0.bin", "1.bin"):
        content.file(part / "content/top" / name, "something else", SIZE)
    receiving = bob.receive(sender=alice.name, ready=False)
    assert sending.wait(60) is not None
    receiving.kill()
    if not (bob.inbox / "top").exists():
        receiving = bob.receive(sender=alice.name)
        alice.send(bob, tree).expect(0, 60)
        receiving.expect(0, 20)
    same(tree, bob.inbox / "top")


@pytest.mark.slow
def test_parts_of_another_profile_are_left_alone(relay, people, killed, tree):
    """Carol receives into the same folder, from the same sender, what bob has begun to receive."""
    alice, sending, bob, part = killed
    carol = people("carol")
    before = content.listing(part)
    receiving = carol.receive(output=bob.inbox, sender=alice.name)
    alice.send(carol, tree).expect(0, 60)
    receiving.expect(0, 20)
    same(tree, bob.inbox / "top")
    assert content.listing(part) == before
    # Her list does not show what is his, and she cannot give it up.
    assert "no transfer is unfinished" in carol.run("transfers", "list").expect(0, 10).err()
    receiving = bob.receive(sender=alice.name, ready=False)
    sending.expect(0, 60)
    receiving.expect(0, 20)
    same(tree, bob.inbox / "top (1)")
    assert bob.received() == [b"top", b"top (1)"]
