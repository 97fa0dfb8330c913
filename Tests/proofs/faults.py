# SPDX-License-Identifier: Apache-2.0
"""Every row of the fault table, by the tests that show it: one command, and one line of a table for each row."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator

from . import running

TESTS = pathlib.Path(__file__).resolve().parents[1]
SKIPS = TESTS / "skips.txt"
#: For one of the two runs of pytest: those that may run side by side, and those that run alone.
SECONDS = 3600


@dataclasses.dataclass(frozen=True)
class Row:
    """One fault: its number in the table, what happens, and which tests break it so."""

    number: int
    fault: str
    #: FILE::FUNCTION, below Tests; all variants of the function belong to the row.
    tests: tuple[str, ...]


def _row(number: int, fault: str, *tests: str) -> Row:
    return Row(number, fault, tests)


_CUTS, _TIMERS, _DEAD = "Loopback/test_cuts.py", "Loopback/test_timers.py", "Cluster/test_dead_nodes.py"
_NETWORKS, _AWAY, _TLS = "Cluster/test_networks.py", "Cluster/test_redis_away.py", "Conformance/test_tls.py"
_FULL, _VECTORS, _SOCKET = (
    "Loopback/test_fullness.py",
    "Conformance/test_http_vectors.py",
    "Conformance/test_websocket.py",
)

ROWS = (
    _row(
        1,
        "a receiver stops reading",
        f"{_CUTS}::test_a_stopped_receiver_pauses_the_sender_and_costs_no_memory",
        f"{_CUTS}::test_a_stopped_transfer_does_not_slow_another",
        f"{_TIMERS}::test_a_stalled_receiver_is_aborted_at_60_s_and_both_sides_told",
        "Loopback/test_resources.py::test_receivers_that_never_read_cost_little",
    ),
    _row(
        2,
        "a sender drips, or says nothing",
        f"{_TIMERS}::test_a_dripping_sender_is_aborted",
        f"{_TIMERS}::test_a_silent_sender_is_aborted_and_both_sides_told",
    ),
    _row(3, "slow heads of requests", f"{_TIMERS}::test_an_incomplete_head_is_closed_within_10_s"),
    _row(
        4,
        "a slow reader of a download",
        f"{_TIMERS}::test_a_stalled_receiver_is_aborted_at_60_s_and_both_sides_told",
        f"{_TIMERS}::test_streams_that_stood_still_are_counted",
    ),
    _row(
        5,
        "silence after connecting, half a handshake",
        f"{_TIMERS}::test_an_incomplete_handshake_is_closed_within_10_s",
        f"{_TIMERS}::test_no_login_in_10_s_closes_with_4401",
    ),
    _row(
        6,
        "the sender is killed midway",
        f"{_CUTS}::test_a_receiver_fails_within_a_second_when_its_sender_ends_midway",
        f"{_CUTS}::test_a_cut_sender_never_ends_the_body_cleanly",
    ),
    _row(
        7,
        "the receiver is killed midway",
        f"{_CUTS}::test_a_sender_fails_within_a_second_when_its_receiver_ends_midway",
        f"{_CUTS}::test_the_uploads_answer_is_readable_when_the_receiver_is_cut",
        f"{_CUTS}::test_a_killed_receiver_is_waited_for_and_served_when_it_is_back",
    ),
    _row(
        8,
        "the sender's network vanishes",
        "Loopback/test_vanished.py::test_the_other_side_is_told_when_a_clients_network_vanishes",
    ),
    _row(
        9,
        "the receiver's network vanishes",
        "Loopback/test_vanished.py::test_the_other_side_is_told_when_a_clients_network_vanishes",
    ),
    _row(10, "both vanish", "Loopback/test_vanished.py::test_nothing_is_kept_for_long_of_two_clients_who_both_vanish"),
    _row(
        11,
        "the node with the sender is killed",
        f"{_DEAD}::test_the_receiver_is_told_when_the_senders_node_is_killed",
        f"{_DEAD}::test_clients_go_on_when_their_node_is_killed",
    ),
    _row(
        12,
        "the node with the receiver is killed",
        f"{_DEAD}::test_the_sender_is_told_when_the_receivers_node_is_killed",
        f"{_DEAD}::test_clients_go_on_when_their_node_is_killed",
        f"{_DEAD}::test_clients_go_on_when_a_node_that_only_carried_bytes_is_killed",
    ),
    _row(
        13,
        "a node is frozen, then goes on",
        f"{_DEAD}::test_the_sender_is_told_when_the_receivers_node_is_frozen",
        f"{_DEAD}::test_clients_go_on_while_their_node_is_frozen",
        f"{_DEAD}::test_a_node_that_was_frozen_does_not_act_on_old_state",
    ),
    _row(
        14,
        "the link between two nodes is cut",
        f"{_NETWORKS}::test_both_sides_are_told_when_the_link_between_their_nodes_is_cut",
        f"{_NETWORKS}::test_clients_wait_until_the_link_is_back",
    ),
    _row(
        15,
        "loss in one direction between nodes",
        f"{_NETWORKS}::test_both_sides_are_told_when_the_link_between_their_nodes_is_cut",
    ),
    _row(
        16,
        "Redis is killed",
        f"{_AWAY}::test_running_transfers_go_on_and_new_ones_wait_for_redis",
        f"{_AWAY}::test_a_fault_of_redis_is_not_reported_as_a_clients",
    ),
    _row(
        17,
        "Redis is frozen",
        f"{_AWAY}::test_running_transfers_go_on_and_new_ones_wait_for_redis",
        f"{_AWAY}::test_an_accept_waits_for_a_frozen_redis_once",
    ),
    _row(
        18,
        "one node does not reach Redis",
        f"{_NETWORKS}::test_a_node_without_redis_serves_its_own_clients_and_recovers",
    ),
    _row(
        19,
        "storms of resets by Redis",
        f"{_NETWORKS}::test_a_node_whose_redis_connections_are_reset_recovers",
        f"{_AWAY}::test_transfers_survive_redis_connections_that_are_closed_again_and_again",
        f"{_AWAY}::test_a_reset_storm_does_not_keep_a_node_busy",
    ),
    _row(20, "a subscription is silently dead", f"{_NETWORKS}::test_a_subscription_that_is_silently_dead_is_noticed"),
    _row(21, "notifications are lost", f"{_AWAY}::test_lost_notifications_only_delay_transfers"),
    _row(
        22,
        "notifications come twice, out of order",
        f"{_AWAY}::test_repeated_and_reordered_notifications_change_nothing",
    ),
    _row(23, "Redis loses all keys", f"{_AWAY}::test_transfers_survive_an_emptied_redis"),
    _row(
        24,
        "old routes come back",
        "Cluster/test_forgeries.py::test_old_routes_restored_from_a_dump_are_not_acted_on",
        "Cluster/test_more_than_one_redis.py::test_a_failover_by_sentinels",
    ),
    _row(
        25,
        "one name on two nodes",
        f"{_DEAD}::test_a_name_on_two_nodes_is_rung_on_both_and_the_first_to_accept_wins",
    ),
    _row(
        26,
        "Redis says nonsense",
        "Cluster/test_what_redis_says.py::test_replies_that_are_none_end_no_node_and_no_transfer",
        "Cluster/test_check.py::test_what_is_no_redis_is_said",
        "Cluster/test_forgeries.py::test_a_forged_route_leads_nowhere",
    ),
    _row(
        27,
        "a forged route, a forged user",
        "Cluster/test_forgeries.py::test_a_forged_route_leads_nowhere",
        "Cluster/test_forgeries.py::test_a_peer_without_a_certificate_of_the_cluster_is_refused",
        "Cluster/test_forgeries.py::test_a_forged_user_is_believed_by_no_node",
    ),
    _row(
        28,
        "a thousand requests with one token",
        "Cluster/test_races.py::test_an_upload_token_is_good_once",
        "Cluster/test_races.py::test_a_download_token_is_good_once",
        "Conformance/test_tokens.py::test_of_a_thousand_racers_for_one_token_exactly_one_wins",
    ),
    _row(
        29,
        "a token on the other side's path",
        "Conformance/test_tokens.py::test_the_other_sides_path_does_not_use_a_token_up",
    ),
    _row(
        30,
        "a clock is wrong, or is set",
        "Cluster/test_clocks.py::test_a_token_is_good_on_a_node_with_a_wrong_clock",
        "Cluster/test_clocks.py::test_a_node_whose_clock_is_set_stays_what_it_was",
        "Cluster/test_clocks.py::test_tokens_and_routes_live_as_long_on_a_node_with_a_wrong_clock",
        "Loopback/test_clock_jumps.py::test_a_transfer_goes_on_while_a_clients_clock_is_set",
        f"{_TIMERS}::test_an_expired_token_is_refused_like_an_unknown_one",
    ),
    _row(
        31,
        "tokens are guessed",
        "Conformance/test_tokens.py::test_unknown_used_and_wrong_side_tokens_look_the_same",
        "Conformance/test_tokens.py::test_tokens_have_nothing_to_do_with_the_transfers_id",
        # How many may guess at a time.
        "Loopback/test_proxy_protocol.py::test_each_client_behind_the_balancer_has_a_limit_of_its_own",
        "Loopback/test_metrics.py::test_each_refusal_and_each_limit_moves_its_counter",
    ),
    _row(32, "a balancer repeats a request", "Cluster/test_recipes.py::test_no_request_is_sent_twice"),
    _row(
        33,
        "a refusal in the middle of an upload",
        "Conformance/test_curl.py::test_an_early_403_arrives_while_a_gigabyte_is_uploaded",
        "Cluster/test_recipes.py::test_an_early_refusal_can_be_read_in_the_middle_of_an_upload",
    ),
    _row(
        34,
        "a body of another length than was said",
        f"{_VECTORS}::test_a_content_length_larger_than_what_is_sent_is_a_cut",
        f"{_VECTORS}::test_bytes_behind_the_content_length_are_not_passed_on",
    ),
    _row(
        35,
        "no descriptors",
        f"{_FULL}::test_above_80_percent_of_the_descriptors_new_work_is_refused_and_running_work_goes_on",
        f"{_FULL}::test_out_of_descriptors_connections_are_closed_at_once_and_the_listener_does_not_spin",
    ),
    _row(
        36,
        "no memory by the limit",
        f"{_FULL}::test_without_memory_connections_are_refused_in_words",
        f"{_FULL}::test_when_memory_runs_out_offers_are_refused_first_then_connections_and_running_ones_go_on",
    ),
    _row(
        37,
        "allocations fail",
        "Loopback/test_allocation.py::test_a_new_connection_without_memory_is_closed_and_a_running_stream_goes_on",
        "Loopback/test_allocation.py::test_a_connection_that_has_no_memory_to_read_ends_and_is_no_whole",
        "Loopback/test_allocation.py::test_where_swift_has_no_memory_the_process_ends_and_its_next_start_goes_on",
    ),
    _row(
        38,
        "SIGTERM during 100 transfers",
        "Loopback/test_stopping.py::test_a_hundred_transfers_finish_inside_the_window",
        "Loopback/test_stopping.py::test_what_of_a_hundred_transfers_does_not_finish_is_cut_at_the_deadline",
        "Cluster/test_stopping_nodes.py::test_what_a_drain_cuts_at_its_deadline_goes_on_by_the_other_node",
    ),
    _row(
        39,
        "three nodes are restarted under load",
        "Cluster/test_rolling_restart.py::test_three_nodes_are_restarted_under_load_and_no_transfer_fails",
        "Cluster/test_moves.py::test_every_client_is_there_while_every_node_is_restarted",
    ),
    _row(
        40,
        "a new process takes over",
        "Loopback/test_restart.py::test_no_client_is_refused_and_no_transfer_is_cut",
        "Loopback/test_restart.py::test_a_balancer_never_sees_the_relay_down",
    ),
    _row(
        41,
        "certificates are replaced, by good and bad",
        "Loopback/test_reload.py::test_new_connections_get_the_new_certificate_and_old_ones_go_on",
        "Loopback/test_reload.py::test_a_bad_file_changes_nothing_and_is_said_in_answer_log_and_metric",
        "Cluster/test_reloaded_nodes.py::test_an_authority_takes_the_place_of_another_without_a_moment_apart",
        "Loopback/test_start.py::test_a_relay_starts_with_a_certificate_out_of_its_time_and_says_so",
    ),
    # 10,000 of them at once: scripts/prove overload.
    _row(
        42,
        "very many clients come at once",
        "Loopback/test_resources.py::test_memory_comes_back_after_waves_of_handshakes_and_sessions",
        "Loopback/test_resources.py::test_a_silent_connection_costs_little",
    ),
    _row(
        43,
        "WebSocket: broken rules, floods",
        f"{_SOCKET}::test_a_broken_rule_closes_with_its_code",
        f"{_SOCKET}::test_frames_in_single_bytes_are_understood",
        f"{_SOCKET}::test_too_many_control_frames_close",
        "Loopback/test_abuse.py::test_a_flood_of_control_frames_ends_itself_alone",
        "Conformance/test_autobahn.py::test_autobahn_finds_the_expected_in_the_server",
        "Conformance/test_autobahn.py::test_autobahn_finds_the_expected_in_the_client",
    ),
    _row(
        44,
        "TLS: renegotiation, key updates, old versions",
        f"{_TLS}::test_renegotiation_is_refused",
        f"{_TLS}::test_a_flood_of_what_tls_says_by_itself_ends_the_connection",
        f"{_TLS}::test_an_old_version_is_refused",
        f"{_TLS}::test_compression_and_early_data_are_off",
        f"{_TLS}::test_what_is_no_tls_is_closed_at_once",
        "Conformance/test_tls_negatives.py::test_a_wrong_handshake_ends_with_its_alert",
        "Conformance/test_tls_negatives.py::test_a_wrong_record_ends_with_its_alert",
        "Conformance/test_tls_negatives.py::test_the_same_client_is_served_where_nothing_is_wrong",
        "Conformance/test_tls_negatives.py::test_all_others_are_served_after_it",
    ),
    _row(
        45,
        "requests that two parsers read differently",
        f"{_VECTORS}::test_a_hostile_head_is_refused_and_the_connection_closed",
        f"{_VECTORS}::test_a_hostile_chunked_body_is_refused_and_never_looks_whole",
        f"{_VECTORS}::test_a_second_request_on_one_connection_is_not_answered",
        "Conformance/test_vectors_through.py::test_what_a_balancer_lets_through_is_read_in_one_way",
        "Conformance/test_vectors_through.py::test_a_good_request_passes_and_is_read_the_same",
        "Conformance/test_vectors_through.py::test_h11_and_the_relay_would_be_told_apart",
    ),
    _row(
        46,
        "names that forge lines, or leave the folder",
        "Loopback/test_names.py::test_an_offered_name_is_made_safe_or_declined",
        "Loopback/test_names.py::test_a_name_that_only_the_manifest_has_is_refused",
        "Loopback/test_secrets.py::test_nothing_of_a_client_forges_a_line_of_the_log",
    ),
    _row(
        47,
        "the receiver's disk is full",
        "Loopback/test_file_systems.py::test_a_disk_that_fills_up_midway_is_told_to_both_and_goes_on_when_there_is_room",
    ),
    _row(
        48,
        "the relay's process ends by a fault",
        "Loopback/test_allocation.py::test_where_swift_has_no_memory_the_process_ends_and_its_next_start_goes_on",
        "Loopback/test_reconnecting.py::test_a_transfer_whose_relay_is_killed_midway_begins_again",
        "Loopback/test_systemd.py::test_the_units_are_ones_that_systemd_takes",
    ),
    _row(
        49,
        "a line of 10 megabits",
        "Loopback/test_lines.py::test_a_narrow_line_is_used_and_who_waits_is_still_heard",
    ),
    _row(
        50,
        "a fifth of the packets is lost",
        "Loopback/test_lines.py::test_a_file_arrives_whole_over_a_line_that_loses_a_fifth",
    ),
)


def chosen(numbers: list[int]) -> tuple[Row, ...]:
    """The rows of these numbers, or all."""
    return tuple(row for row in ROWS if not numbers or row.number in numbers)


def missing(row: Row) -> list[str]:
    """Those of its tests that there are not."""
    return running.missing(row.tests)


@dataclasses.dataclass
class Result:
    """What came of the variants of one test."""

    passed: int = 0
    failed: list[str] = dataclasses.field(default_factory=list)
    excused: int = 0
    seconds: float = 0.0


def results(reports: list[pathlib.Path], skips: set[str]) -> dict[str, Result]:
    """FILE::FUNCTION to its result, from the JUnit files of pytest. A skip that has no excuse is a failure."""
    found: dict[str, Result] = {}
    for report in reports:
        for case in ElementTree.parse(report).iter("testcase"):
            place, name = (case.get("classname") or "").replace(".", "/"), case.get("name") or ""
            # pytest-xdist adds a group.
            name = re.sub(r"@[^]]*$", "", name)
            result = found.setdefault(f"{place.removeprefix('Tests/')}.py::{name.partition('[')[0]}", Result())
            result.seconds += float(case.get("time") or 0)
            kinds = {child.tag for child in case}
            full = f"{(case.get('classname') or '').removeprefix('Tests.')}.{name}"
            if kinds & {"failure", "error"}:
                result.failed.append(name)
            elif "skipped" not in kinds:
                result.passed += 1
            elif full in skips:
                result.excused += 1
            else:
                result.failed.append(f"{name} (skipped)")
    return found


def excuses() -> set[str]:
    """The tests that may be skipped."""
    lines = SKIPS.read_text(encoding="utf-8").splitlines()
    return {line.partition(": ")[0] for line in lines if line and not line.startswith("#")}


def absent(row: Row, found: dict[str, Result]) -> list[str]:
    """Its tests that were skipped whole, for a reason that Tests/skips.txt has."""
    own = {test: found.get(test, Result()) for test in row.tests}
    return [test for test, each in own.items() if each.excused and not each.passed and not each.failed]


def problems(row: Row, found: dict[str, Result]) -> Iterator[str]:
    """Why a row does not hold: a test has failed, or did not run. One that may be skipped is absent, and no problem,
    where others of the row have passed."""
    skipped = absent(row, found)
    for test in row.tests:
        result = found.get(test, Result())
        yield from (f"{test}: {name}" for name in result.failed)
        if test in skipped and not any(found.get(each, Result()).passed for each in row.tests):
            yield f"{test}: did not run, for a reason that Tests/skips.txt has"
        elif not result.passed and not result.failed and test not in skipped:
            yield f"{test}: did not run"


def line(row: Row, found: dict[str, Result]) -> str:
    """A row of the table."""
    own = [found.get(test, Result()) for test in row.tests]
    word = "holds" if not list(problems(row, found)) else "FAILS"
    passed, failed = sum(each.passed for each in own), sum(len(each.failed) for each in own)
    return (
        f"{row.number:3}  {row.fault:46}  {passed:4} passed  {failed:2} failed"
        f"  {sum(each.seconds for each in own):6.0f} s  {word}"
    )


def unfinished(name: str, status: int | None, found: dict[str, Result]) -> Iterator[str]:
    """Why one of the runs of pytest has shown less than it was to show: it did not end, or ended with what no test of
    its report explains."""
    if status is None:
        yield f"what runs {name} was not over after {SECONDS // 60} minutes"
    elif status not in (0, 1, 5) or (status == 1 and not any(each.failed for each in found.values())):
        yield f"what runs {name} ended with {status}"


def proved(numbers: list[int], folder: pathlib.Path, tell: Callable[[str], None]) -> bool:
    """Runs the tests of the rows, and tells the table."""
    rows = chosen(numbers)
    assert rows, f"there is no row {', '.join(map(str, numbers))}"
    tests = sorted({test for row in rows for test in row.tests})
    reports, wrong = list[pathlib.Path](), list[str]()
    for name, marks, more in (
        ("together", "not alone", ["--numprocesses", str(2 * (os.cpu_count() or 1)), "--dist", "loadgroup"]),
        ("alone", "alone", []),
    ):
        report, log = folder / f"{name}.xml", folder / f"{name}.log"
        command = [sys.executable, "-m", "pytest", "-q", "-m", marks, *more, "--junitxml", str(report)]
        status = running.ended([*command, *(TESTS / test for test in tests)], log, SECONDS)
        own = [report] if report.exists() else []
        wrong += unfinished(name, status, results(own, excuses()))
        # 5: there is none of this kind.
        if status not in (0, 5):
            text = log.read_text(encoding="utf-8", errors="replace")
            tell("\n".join(text.splitlines()[-60:]))
        reports += own
    found = results(reports, excuses())
    wrong += [problem for row in rows for problem in problems(row, found)]
    for row in rows:
        tell(line(row, found))
    for problem in dict.fromkeys(wrong):
        tell(f"PROBLEM  {problem}")
    skipped = [f"row {row.number}: {test}, as Tests/skips.txt says" for row in rows for test in absent(row, found)]
    if numbers and skipped and not wrong:
        raise running.Absent("; ".join(skipped))
    for each in skipped:
        tell(f"ABSENT   {each}")
    bad = sum(bool(list(problems(row, found))) for row in rows)
    tell(
        f"{len(rows)} rows: {len(rows) - bad} hold, {bad} fail; {sum(each.passed for each in found.values())} tests, "
        f"{len(set(wrong))} problems"
    )
    return not wrong
