// SPDX-License-Identifier: Apache-2.0

import RelayNode
import ServerSystem
import StreamRelay
import TransferBroker
import WSProtocol

/// The page behind `/metrics`: figures alone, never a name, a token or an address of a person.
enum MetricsPage {
    /// The media type of the Prometheus text format.
    static let type = "text/plain; version=0.0.4; charset=utf-8"

    /// The whole page.
    static func render(_ snapshot: MetricsSnapshot) -> String {
        let families =
            process(snapshot) + system(snapshot) + listeners(snapshot) + people(snapshot) + transfers(snapshot)
            + streams(snapshot) + limits(snapshot.limits) + cluster(snapshot.status.cluster, snapshot.redis)
        return families.map(\.text).joined()
    }

    private static func process(_ snapshot: MetricsSnapshot) -> [MetricFamily] {
        let isServing = snapshot.status.state == .serving
        return [
            MetricFamily(
                .gauge, "relay_build_info", by: "version", [snapshot.status.version: 1],
                "The version of relay-server; the value is always 1."
            ),
            MetricFamily(
                .gauge, "process_start_time_seconds", snapshot.started, "When the server started, in Unix time."
            ),
            MetricFamily(
                .gauge, "relay_certificate_expiry_seconds", snapshot.certificateEnd,
                "When the first certificate that this relay shows expires, in Unix time."
            ),
            MetricFamily(
                .counter, "relay_log_lines_lost_total", snapshot.lostLogLines,
                "Lines of the log that could not be written."
            ),
            MetricFamily(
                .counter, "relay_reloads_total", by: "outcome",
                ["done": snapshot.reloads.done, "failed": snapshot.reloads.failed],
                "How often the configuration and its files were read again."
            ),
            MetricFamily(
                .gauge, "relay_reload_failing", snapshot.reloads.isFailing ? 1 : 0,
                "1 while the last reload changed nothing because something was wrong, else 0."
            ),
            MetricFamily(
                .gauge, "relay_draining", isServing ? 0 : 1,
                "1 while the server drains and takes no new transfers, else 0."),
        ]
    }

    private static func people(_ snapshot: MetricsSnapshot) -> [MetricFamily] {
        [
            MetricFamily(.gauge, "relay_connections", snapshot.connections, "Open client connections of any kind."),
            MetricFamily(
                .gauge, "relay_sessions", snapshot.broker.sessions, "Control connections that are logged in."),
            MetricFamily(.gauge, "relay_receivers", snapshot.broker.receiving, "Sessions that are ready to receive."),
            MetricFamily(.gauge, "relay_sharers", snapshot.broker.sharing, "Sessions that are ready for requests."),
            MetricFamily(
                .gauge, "relay_requests", snapshot.broker.requests,
                "Requests that may be answered: of sessions here, or heard by some."
            ),
            MetricFamily(.gauge, "relay_users", snapshot.status.users, "Registered names; the same on all nodes."),
            MetricFamily(
                .gauge, "relay_invitations", snapshot.status.invitations, "Unused invitations; the same on all nodes."
            ),
        ]
    }

    private static func transfers(_ snapshot: MetricsSnapshot) -> [MetricFamily] {
        let broker = snapshot.broker
        return [
            MetricFamily(
                .gauge, "relay_transfers", by: "state",
                [
                    "waiting": broker.waiting, "ringing": broker.ringing, "accepted": broker.accepted,
                    "parked": broker.parked, "streaming": broker.streaming, "streamed": broker.streamed,
                ],
                "Transfers whose home is this node, by state."
            ),
            MetricFamily(
                .counter, "relay_transfers_ended_total", by: "outcome",
                ["delivered": broker.delivered, "failed": broker.failed],
                "Transfers that ended; counted by their home."
            ),
            MetricFamily(
                .counter, "relay_transfers_failed_total", by: "code", broker.failures.of(FailureCode.allCases),
                "Transfers that failed, by the code that both sides were told; counted by their home."
            ),
            MetricFamily(
                .counter, "relay_transfers_offered_total", broker.offered,
                "Offers that were taken; counted by their home."
            ),
            MetricFamily(
                .counter, "relay_transfers_offered_again_total", broker.offeredAgain,
                "Of these, those that came within 10 minutes after a failure between the same two names."
            ),
            MetricFamily(
                "relay_transfer_answer_seconds", broker.answerTimes,
                "From an offer to the receiver's accept, people's thinking included."
            ),
            MetricFamily(
                "relay_transfer_pair_seconds", broker.pairTimes,
                "From the receiver's accept to the moment at which both halves of the stream are there."
            ),
            MetricFamily(
                "relay_transfer_delivery_seconds", broker.deliveryTimes,
                "From the receiver's accept to its word that everything is stored."
            ),
            MetricFamily(
                .counter, "relay_progress_dropped_total",
                broker.progressDropped &+ snapshot.limits.progressDropped,
                "Reports of progress that came too often, or too late, to be passed on."
            ),
            MetricFamily(.gauge, "relay_unclaimed_tokens", broker.unclaimedTokens, "Tokens that are not used yet."),
        ]
    }

    /// Each figure is there from the start, so that a rate of the first hour is right too.
    private static func limits(_ counts: LimitReports.Counts) -> [MetricFamily] {
        func counter(_ name: String, _ help: String, _ samples: [MetricFamily.Sample]) -> MetricFamily {
            MetricFamily(name: name, help: help, kind: .counter, samples: samples)
        }
        func sample(_ labels: KeyValuePairs<String, String>, _ value: UInt64?) -> MetricFamily.Sample {
            .init(labels: labels.map { .init(name: $0.key, value: $0.value) }, value: String(value ?? 0))
        }
        let met = Limit.allCases.map {
            sample(["limit": $0.subject.rawValue, "of": $0.scope.rawValue], counts.met[$0])
        }
        let codes = FailureCode.allCases.filter(\.isRelays)
        let errors = codes.map { sample(["code": $0.rawValue], counts.errors[$0]) }
        let closes = WebSocketCloseCode.allCases.map { sample(["code": String($0.rawValue)], counts.closes[$0]) }
        let statuses = HTTPStatus.allCases.filter { $0.rawValue >= 400 }.map {
            sample(["status": String($0.rawValue)], counts.statuses[$0])
        }
        return [
            counter(
                "relay_limits_met_total", "How often a limit was met, by what there was too much of and whose it was.",
                met
            ),
            MetricFamily(
                .counter, "relay_messages_held_back_seconds_total", milliseconds: counts.heldBack / 1_000_000,
                "How long messages waited for their user's or address's budget."
            ),
            counter("relay_request_errors_total", "Errors that answered messages of clients.", errors),
            counter("relay_control_closes_total", "Control connections that this node closed.", closes),
            counter("relay_http_refusals_total", "HTTP requests that were refused.", statuses),
        ]
    }

    private static func cluster(_ status: ClusterStatus?, _ redis: RedisFigures?) -> [MetricFamily] {
        guard let status, let redis else { return [] }
        return [
            MetricFamily(.gauge, "relay_redis_connected", status.redis ? 1 : 0, "1 while Redis is connected."),
            MetricFamily(
                "relay_redis_reply_seconds", redis.replies, "How long the replies of Redis took, errors among them."
            ),
            MetricFamily(
                .counter, "relay_redis_errors_total", by: "kind",
                ["refused": redis.refused, "unanswered": redis.unanswered],
                "Commands that Redis has refused, and those without a reply."
            ),
            MetricFamily(
                .counter, "relay_redis_connections_total", redis.connections,
                "Connections to Redis for commands that were made."
            ),
            MetricFamily(
                .counter, "relay_redis_redirections_total", redis.redirections,
                "Commands that were sent again because a Redis Cluster was moving their slot."
            ),
            MetricFamily(
                .gauge, "relay_cluster_joined", status.joined ? 1 : 0, "1 while this node's place in Redis stands."
            ),
            MetricFamily(.gauge, "relay_cluster_nodes", status.nodes, "Other nodes that are alive."),
            MetricFamily(.gauge, "relay_cluster_links", status.links, "Other nodes this one has a link with."),
            MetricFamily(
                .counter, "relay_cluster_nodes_lost_total", status.lost, "How often another node was found to be lost."
            ),
            MetricFamily(
                .counter, "relay_cluster_certificates_refused_total", status.refused,
                "Connections between nodes that ended because of a certificate."
            ),
            MetricFamily(
                .gauge, "relay_cluster_listening", status.listening ? 1 : 0, "1 while doorbells are heard."
            ),
            MetricFamily(
                .counter, "relay_cluster_doorbells_lost_total", status.doorbellsLost,
                "Notifications to other nodes that were not answered."
            ),
            MetricFamily(
                .counter, "relay_cluster_ignored_total", status.ignored,
                "What stood in Redis, or was rung, and meant nothing."
            ),
            MetricFamily(
                .counter, "relay_cluster_records_forged_total", status.forged,
                "Records of users in Redis that were read, and that no node of this cluster has written."
            ),
        ]
    }
}
