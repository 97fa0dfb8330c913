// SPDX-License-Identifier: Apache-2.0

import NIOCore
import RelayNode
import ServerSystem
import StreamRelay
import Testing
import WSProtocol

@testable import RelayServerProgram
@testable import TransferBroker

@Suite("The metrics page")
struct MetricsPageTests {
    private static let flow = {
        var flow = StreamFigures()
        (flow.bytesToReceivers, flow.bytesToNodes, flow.heldBack, flow.finished) = (.max, 27, 28, 29)
        flow.cuts = [FailureCode.stalled: 30]
        return flow
    }()

    private static let alone = MetricsSnapshot(
        status: ServerStatus(
            version: "1.2.3", state: .serving, pid: 7, uptime: 1, listen: ["192.0.2.1:443"], httpListen: [],
            registration: .invite, users: 5, invitations: 6, sessions: 9, transfers: 1,
            streams: StreamCounts(toReceivers: 20, toNodes: 21)
        ),
        broker: BrokerStatus(
            sessions: 2, names: 1, receiving: 3, sharing: 22, requests: 23, waiting: 10, ringing: 11, accepted: 12,
            parked: 13, streaming: 14,
            streamed: 15, unclaimedTokens: 16, delivered: 17, failed: 18, offered: 24, offeredAgain: 25,
            progressDropped: 12
        ),
        connections: 4, streams: 26, flow: flow,
        accepts: AcceptCounts(accepted: 40, failed: [.descriptors: 41, .aborted: 42], listenersLost: 43),
        handshakes: HandshakeFigures(full: 44, resumed: 45, failed: 46),
        process: ProcessFigures(
            resident: 38_000_000, openDescriptors: 30, descriptorLimit: 1024, processorTime: 12_034,
            memoryLimit: 64_000_000, clockSteps: 47, failedWrites: 48
        ),
        limits: LimitReports.Counts(progressDropped: 7), started: 1_700_000_000, certificateEnd: 1_800_000_000
    )

    private static let page = """
        # HELP relay_build_info The version of relay-server; the value is always 1.
        # TYPE relay_build_info gauge
        relay_build_info{version="1.2.3"} 1
        # HELP process_start_time_seconds When the server started, in Unix time.
        # TYPE process_start_time_seconds gauge
        process_start_time_seconds 1700000000
        # HELP relay_certificate_expiry_seconds When the first certificate that this relay shows expires, in Unix time.
        # TYPE relay_certificate_expiry_seconds gauge
        relay_certificate_expiry_seconds 1800000000
        # HELP relay_log_lines_lost_total Lines of the log that could not be written.
        # TYPE relay_log_lines_lost_total counter
        relay_log_lines_lost_total 0
        # HELP relay_reloads_total How often the configuration and its files were read again.
        # TYPE relay_reloads_total counter
        relay_reloads_total{outcome="done"} 0
        relay_reloads_total{outcome="failed"} 0
        # HELP relay_reload_failing 1 while the last reload changed nothing because something was wrong, else 0.
        # TYPE relay_reload_failing gauge
        relay_reload_failing 0
        # HELP relay_draining 1 while the server drains and takes no new transfers, else 0.
        # TYPE relay_draining gauge
        relay_draining 0
        # HELP process_resident_memory_bytes Bytes of memory the process has now.
        # TYPE process_resident_memory_bytes gauge
        process_resident_memory_bytes 38000000
        # HELP relay_memory_limit_bytes Bytes of memory near which new work is refused.
        # TYPE relay_memory_limit_bytes gauge
        relay_memory_limit_bytes 64000000
        # HELP process_open_fds File descriptors that are open now.
        # TYPE process_open_fds gauge
        process_open_fds 30
        # HELP process_max_fds File descriptors that may be open.
        # TYPE process_max_fds gauge
        process_max_fds 1024
        # HELP process_cpu_seconds_total Processor time used, in seconds.
        # TYPE process_cpu_seconds_total counter
        process_cpu_seconds_total 12.034
        # HELP relay_clock_steps_total How often the calendar clock of the machine was set by a second or more.
        # TYPE relay_clock_steps_total counter
        relay_clock_steps_total 47
        # HELP relay_registry_write_errors_total Changes of the users' registry that could not be written to the disk.
        # TYPE relay_registry_write_errors_total counter
        relay_registry_write_errors_total 48
        # HELP relay_accepts_total Connections accepted, by all listeners together.
        # TYPE relay_accepts_total counter
        relay_accepts_total 40
        # HELP relay_accepts_failed_total How often a connection could not be accepted.
        # TYPE relay_accepts_failed_total counter
        relay_accepts_failed_total{reason="descriptors"} 41
        relay_accepts_failed_total{reason="machine_descriptors"} 0
        relay_accepts_failed_total{reason="memory"} 0
        relay_accepts_failed_total{reason="aborted"} 42
        # HELP relay_listeners_lost_total Listeners that have failed for good.
        # TYPE relay_listeners_lost_total counter
        relay_listeners_lost_total 43
        # HELP relay_tls_handshakes_total TLS handshakes of clients that ended: with a new session, with one of before, \
        or not well.
        # TYPE relay_tls_handshakes_total counter
        relay_tls_handshakes_total{kind="full"} 44
        relay_tls_handshakes_total{kind="resumed"} 45
        relay_tls_handshakes_total{kind="failed"} 46
        # HELP relay_connections Open client connections of any kind.
        # TYPE relay_connections gauge
        relay_connections 4
        # HELP relay_sessions Control connections that are logged in.
        # TYPE relay_sessions gauge
        relay_sessions 2
        # HELP relay_receivers Sessions that are ready to receive.
        # TYPE relay_receivers gauge
        relay_receivers 3
        # HELP relay_sharers Sessions that are ready for requests.
        # TYPE relay_sharers gauge
        relay_sharers 22
        # HELP relay_requests Requests that may be answered: of sessions here, or heard by some.
        # TYPE relay_requests gauge
        relay_requests 23
        # HELP relay_users Registered names; the same on all nodes.
        # TYPE relay_users gauge
        relay_users 5
        # HELP relay_invitations Unused invitations; the same on all nodes.
        # TYPE relay_invitations gauge
        relay_invitations 6
        # HELP relay_transfers Transfers whose home is this node, by state.
        # TYPE relay_transfers gauge
        relay_transfers{state="waiting"} 10
        relay_transfers{state="ringing"} 11
        relay_transfers{state="accepted"} 12
        relay_transfers{state="parked"} 13
        relay_transfers{state="streaming"} 14
        relay_transfers{state="streamed"} 15
        # HELP relay_transfers_ended_total Transfers that ended; counted by their home.
        # TYPE relay_transfers_ended_total counter
        relay_transfers_ended_total{outcome="delivered"} 17
        relay_transfers_ended_total{outcome="failed"} 18
        # HELP relay_transfers_offered_total Offers that were taken; counted by their home.
        # TYPE relay_transfers_offered_total counter
        relay_transfers_offered_total 24
        # HELP relay_transfers_offered_again_total Of these, those that came within 10 minutes after a failure between \
        the same two names.
        # TYPE relay_transfers_offered_again_total counter
        relay_transfers_offered_again_total 25
        # HELP relay_progress_dropped_total Reports of progress that came too often, or too late, to be passed on.
        # TYPE relay_progress_dropped_total counter
        relay_progress_dropped_total 19
        # HELP relay_unclaimed_tokens Tokens that are not used yet.
        # TYPE relay_unclaimed_tokens gauge
        relay_unclaimed_tokens 16
        # HELP relay_streams Streams on this node, parked or flowing.
        # TYPE relay_streams gauge
        relay_streams 26
        # HELP relay_streams_total Streams that were joined here: straight into the receiver's connection, \
        or on to another node.
        # TYPE relay_streams_total counter
        relay_streams_total{to="receiver"} 20
        relay_streams_total{to="node"} 21
        # HELP relay_bytes_relayed_total Bytes of content that went through, as they go: into receivers' connections, \
        or on to other nodes.
        # TYPE relay_bytes_relayed_total counter
        relay_bytes_relayed_total{to="receiver"} 18446744073709551615
        relay_bytes_relayed_total{to="node"} 27
        # HELP relay_streams_finished_total Streams to receivers of which every byte was handed over.
        # TYPE relay_streams_finished_total counter
        relay_streams_finished_total 29
        # HELP relay_streams_held_back_total How often a sender had to wait because what follows it took no more.
        # TYPE relay_streams_held_back_total counter
        relay_streams_held_back_total 28

        """

    @Test("the page counts what was refused")
    func refusals() {
        var snapshot = Self.alone
        snapshot.limits = LimitReports.Counts(
            met: [Limit(.messages, of: .user): 7], heldBack: 1_020_000_000, errors: [.unknownPeer: 3],
            closes: [.policyViolation: 4], statuses: [.unavailable: 5]
        )
        let lines = MetricsPage.render(snapshot).split(separator: "\n")
        let expected = [
            #"relay_limits_met_total{limit="messages",of="user"} 7"#,
            #"relay_limits_met_total{limit="messages",of="address"} 0"#,
            "relay_messages_held_back_seconds_total 1.020",
            #"relay_request_errors_total{code="unknown_peer"} 3"#, #"relay_control_closes_total{code="1008"} 4"#,
            #"relay_http_refusals_total{status="503"} 5"#, #"relay_http_refusals_total{status="404"} 0"#,
        ]
        for line in expected { #expect(lines.contains(line[...]), "\(line)") }
        #expect(
            !lines.contains {
                $0.contains(#"status="200""#) || $0.contains(#"relay_request_errors_total{code="cancelled""#)
            })
    }

    @Test("the page of a single node, to the letter")
    func golden() {
        // What was refused is on the lines behind these.
        let page = MetricsPage.render(Self.alone).split(separator: "# HELP relay_limits_met_total", maxSplits: 1)
        // Histograms, and figures for each code, are long: they have tests of their own.
        let shown = page.first?.split(separator: "# HELP ", omittingEmptySubsequences: true)
            .filter { !$0.contains(" histogram\n") && !$0.contains("{code=") }.map { "# HELP " + $0 }.joined()
        #expect(shown == Self.page)
        #expect(page.first?.contains("relay_streams_cut_total{code=\"stalled\"} 30\n") == true)
        #expect(page.first?.contains("relay_streams_cut_total{code=\"cancelled\"} 0\n") == true)
    }

    @Test("a histogram counts what is below each end, and ends with all")
    func histogram() {
        var times = Histogram(.spans)
        for seconds: Int64 in [0, 1, 2, 100_000] { times.record(.seconds(seconds)) }
        times.record(.milliseconds(-5))
        #expect(
            MetricFamily("m_seconds", times, "h").text == """
                # HELP m_seconds h
                # TYPE m_seconds histogram
                m_seconds_bucket{le="0.1"} 2
                m_seconds_bucket{le="0.5"} 2
                m_seconds_bucket{le="1"} 3
                m_seconds_bucket{le="5"} 4
                m_seconds_bucket{le="15"} 4
                m_seconds_bucket{le="60"} 4
                m_seconds_bucket{le="300"} 4
                m_seconds_bucket{le="1800"} 4
                m_seconds_bucket{le="7200"} 4
                m_seconds_bucket{le="43200"} 4
                m_seconds_bucket{le="+Inf"} 5
                m_seconds_sum 100003
                m_seconds_count 5

                """)
    }

    @Test("shows that a node of a cluster drains, and the figures of Redis, links and nodes")
    func cluster() {
        var snapshot = Self.alone
        snapshot.status.state = .draining
        snapshot.status.cluster = ClusterStatus(
            node: "n1", redis: false, joined: true, hasJoined: true, nodes: 2, links: 3, lost: 4, refused: 5,
            listening: true, doorbellsLost: 6, ignored: 7, forged: 8
        )
        var redis = RedisFigures()
        (redis.refused, redis.unanswered) = (9, 10)
        (redis.connections, redis.redirections) = (11, 12)
        redis.replies.record(.microseconds(1500))
        snapshot.redis = redis
        let lines = MetricsPage.render(snapshot).split(separator: "\n")
        let expected = [
            #"relay_redis_errors_total{kind="refused"} 9"#, #"relay_redis_errors_total{kind="unanswered"} 10"#,
            #"relay_redis_reply_seconds_bucket{le="0.001"} 0"#, #"relay_redis_reply_seconds_bucket{le="0.002"} 1"#,
            "relay_redis_connections_total 11", "relay_redis_redirections_total 12",
            "relay_redis_reply_seconds_sum 0.0015", "relay_draining 1", "relay_redis_connected 0",
            "relay_cluster_joined 1", "relay_cluster_nodes 2",
            "relay_cluster_links 3", "relay_cluster_nodes_lost_total 4", "relay_cluster_certificates_refused_total 5",
            "relay_cluster_listening 1", "relay_cluster_doorbells_lost_total 6", "relay_cluster_ignored_total 7",
            "relay_cluster_records_forged_total 8",
        ]
        for line in expected { #expect(lines.contains(line[...])) }
        let names = lines.filter { $0.hasPrefix("# TYPE ") }.compactMap { $0.split(separator: " ").dropFirst(2).first }
        #expect(Set(names).count == names.count, "each metric stands there once")
    }

    @Test("escapes what labels and help may not hold as it is")
    func escapes() {
        let family = MetricFamily(.gauge, "m", by: "l", ["a\"b\\c\nd\r\ne": 1], "say \"x\\y\"\nz")
        #expect(
            family.text
                == "# HELP m say \"x\\\\y\"\\nz\n# TYPE m gauge\nm{l=\"a\\\"b\\\\c\\nd\r\\ne\"} 1\n"
        )
    }
}
