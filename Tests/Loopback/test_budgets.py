# SPDX-License-Identifier: Apache-2.0
"""What relay-server spends is within Tests/budgets.toml; and a relay that spends more is found out."""

import pytest

from harness import counted
from harness.executables import REPOSITORY
from proofs import budgets

#: What callgrind has written: a call to another object, with what that cost, and lines of two kinds.
PROFILE = """\
events: Ir
ob=(1) /bin/relay-server
fl=(1) file
fn=(1) one
16 100
cob=(2) /lib/libcrypto.so.3
cfn=(2) two
calls=3 0
16 5000
+2 10
* 1
fn=(3) three
-2 7
ob=(2)
fn=(2)
0 5000
ob=(1)
fn=(1)
5 2
"""


def test_what_a_function_has_called_is_not_its_own():
    assert counted.costs(PROFILE) == {"/bin/relay-server": 120, "/lib/libcrypto.so.3": 5000}
    assert [name for name in counted.costs(PROFILE) if counted.OURS.search(name)] == ["/bin/relay-server"]


def test_what_is_over_its_budget_is_told():
    most = {"message": {"instructions": 100.0, "held": 10.0}}
    good = budgets.Cost("message", {"instructions": 100, "held": 10})
    assert list(budgets.problems([good], most)) == []
    bad = budgets.Cost("message", {"instructions": 101, "held": 11})
    assert len(list(budgets.problems([bad], most))) == 2
    assert list(budgets.problems([], most)) and list(budgets.problems([good, budgets.Cost("x", {})], most))


def test_the_planted_line_is_the_byte_paths():
    path, before, _ = budgets.PLANT
    assert (REPOSITORY / path).read_text().count(before) == 1


# What a relay does while nothing happens is measured for some seconds, and taken off what it did later: both have to
# have the processors to themselves.
@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_everything_is_within_its_budget(binaries, tmp_path):
    said: list[str] = []
    is_good = budgets.proved(binaries, tmp_path, said.append)
    print("\n".join(said))
    assert is_good, [line for line in said if line.startswith("PROBLEM")]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_relay_that_does_more_for_each_message_is_over_its_budget(binaries, certs, tmp_path):
    # It writes down what it does.
    relay = counted.CountedRelay(binaries, certs, tmp_path / "relay", level="trace").start()
    costs = list(budgets.measured(relay, ("messages",)))
    found = list(budgets.problems(costs, budgets.budgets(), whole=False))
    print(budgets.table(costs, budgets.budgets()))
    assert any(line.startswith("note, passed on") for line in found), found
