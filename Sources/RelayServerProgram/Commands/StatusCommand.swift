// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import RelayNode
import StreamRelay
import TransferBroker
import WSProtocol

/// `relay-server status`
struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Show the state of the running server.",
        discussion: """
            Examples:
              relay-server status
              relay-server status --json | jq -r '.listen[0]'
            """
    )

    @Flag(help: "Print one JSON object instead of text.")
    var json = false

    @OptionGroup var state: StateOptions

    func run() async throws {
        let reply = try await state.client().ask(.status)
        guard case .status(let status) = reply else { throw AdminClient.unexpected }
        try Answer.write(json ? try StrictJSON.encode(status) : Self.lines(status))
    }

    private static func lines(_ status: ServerStatus) -> String {
        let lines = [
            "relay-server \(status.version), process \(status.pid), \(status.state.rawValue), up for \(status.uptime) s",
            "https         \(status.listen.joined(separator: " "))",
            "http          \(status.httpListen.isEmpty ? "off" : status.httpListen.joined(separator: " "))",
            "metrics       \(status.metricsListen ?? "off")",
            "registration  \(status.registration.rawValue)",
            "users         \(status.users) (\(status.invitations) invited)",
            "sessions      \(status.sessions)",
            "transfers     \(status.transfers)",
            "limits        \(limits(status))",
            "streams       \(status.streams.toReceivers) to receivers, \(status.streams.toNodes) to other nodes",
        ]
        return (lines + figures(status.figures) + cluster(status)).joined(separator: "\n")
    }

    private static func limits(_ status: ServerStatus) -> String {
        let ofUser = status.limits.all.map { limit in
            "\(limit.name.rawValue)=\(LimitText.text(limit.name, limit.value))"
        }
        let ofAddress =
            status.addressLimit.map {
                "an address has \($0) times that, and \(AddressLimit.speaking(of: $0)) times the messages"
            } ?? "none of addresses"
        return ofUser.joined(separator: " ") + "; " + ofAddress
    }

    private static func figures(_ figures: StatusFigures) -> [String] {
        [
            "ready         \(figures.receiving) for files, \(figures.sharing) for requests",
            "offers        \(figures.ringing) ring, \(figures.waiting) wait",
            "ended         \(figures.delivered) delivered, \(figures.failed) failed",
            "bytes         \(TopTable.size(figures.bytesToReceivers)) to receivers, "
                + "\(TopTable.size(figures.bytesToNodes)) to other nodes",
            "connections   \(figures.connections)",
            "memory        \(figures.memory.map(TopTable.size) ?? "unknown")"
                + "\(figures.memoryLimit.map { " of " + TopTable.size($0) } ?? ", no limit")",
            "descriptors   \(figures.descriptors.map { String($0) } ?? "unknown")"
                + "\(figures.descriptorLimit.map { " of \($0)" } ?? "")",
            "certificate   ends \(LogTime(seconds: Int(figures.certificateEnd), milliseconds: 0))",
        ]
    }

    private static func cluster(_ status: ServerStatus) -> [String] {
        guard let cluster = status.cluster else { return [] }
        let redis = cluster.redis ? (cluster.joined ? "joined" : "connected, not joined") : "away"
        return [
            "node          \(cluster.node), \(cluster.nodes) others, \(cluster.links) linked",
            "redis         \(redis)",
            "doorbells     \(cluster.listening ? "heard" : "not heard"), \(cluster.doorbellsLost) unanswered, "
                + "\(cluster.ignored) entries ignored",
            "records       \(cluster.forged) of users forged or damaged",
        ]
    }
}
