// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TransferBroker
import WSProtocol

/// What a node is told to read again. A notification is a hint: it may be lost, repeated or forged.
enum ClusterNotification: Hashable, Sendable {
    /// Sessions of a name have begun to receive.
    case receiving(PeerName)
    /// The epoch is new: everything has to be written again.
    case announce
    /// A node came, is about to leave, or has written everything in an epoch.
    case nodes
    /// A name was removed or its keys changed.
    case user(PeerName)
    /// Ticket keys were rotated.
    case tickets
}

/// A message on a node's channel.
enum DoorbellMessage: Hashable, Sendable {
    case notification(id: RequestID, from: NodeID, ClusterNotification)
    /// The notification `id` was heard by `from`.
    case answer(id: RequestID, from: NodeID)
}

extension DoorbellMessage: Codable {
    private enum Key: String, CodingKey, CaseIterable {
        case version = "v"
        case id
        case from
        case bell
        case name
        case answer
    }

    private enum Kind: String, Codable {
        case receiving, announce, nodes, user, tickets
    }

    private static let version = 1

    /// Any field there is, to find out that none is superfluous.
    private struct AnyKey: CodingKey {
        var stringValue: String
        var intValue: Int? { nil }

        init?(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    /// Reads a message; nil when it is none: any client of Redis may have published it.
    init?(_ payload: ByteBuffer) {
        guard payload.readableBytes <= Defaults.Routing.notificationLength,
            let message = StrictJSON.decode(Self.self, from: payload.readableBytesView)
        else { return nil }
        self = message
    }

    /// The JSON text. Nil never happens: all fields are short texts.
    var text: String? { try? StrictJSON.encode(self) }

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Key.self)
        let found = Set(try decoder.container(keyedBy: AnyKey.self).allKeys.map(\.stringValue))
        let mistake = DecodingError.dataCorrupted(
            .init(codingPath: decoder.codingPath, debugDescription: "not a notification")
        )
        guard try container.decode(Int.self, forKey: .version) == Self.version else { throw mistake }
        let from = try container.decode(NodeID.self, forKey: .from)
        var wanted: Set<Key> = [.version, .from]
        if container.contains(.answer) {
            wanted.insert(.answer)
            self = .answer(id: try container.decode(RequestID.self, forKey: .answer), from: from)
        } else {
            wanted.formUnion([.id, .bell])
            let id = try container.decode(RequestID.self, forKey: .id)
            let kind = try container.decode(Kind.self, forKey: .bell)
            let notification: ClusterNotification
            switch kind {
            case .receiving, .user:
                wanted.insert(.name)
                let name = try container.decode(PeerName.self, forKey: .name)
                notification = kind == .user ? .user(name) : .receiving(name)
            case .announce: notification = .announce
            case .nodes: notification = .nodes
            case .tickets: notification = .tickets
            }
            self = .notification(id: id, from: from, notification)
        }
        guard found == Set(wanted.map(\.rawValue)) else { throw mistake }
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(Self.version, forKey: .version)
        switch self {
        case .answer(let id, let from):
            try container.encode(id, forKey: .answer)
            try container.encode(from, forKey: .from)
        case .notification(let id, let from, let notification):
            try container.encode(id, forKey: .id)
            try container.encode(from, forKey: .from)
            let (kind, name) = Self.parts(notification)
            try container.encode(kind, forKey: .bell)
            try container.encodeIfPresent(name, forKey: .name)
        }
    }

    private static func parts(_ notification: ClusterNotification) -> (Kind, PeerName?) {
        switch notification {
        case .receiving(let name): (.receiving, name)
        case .announce: (.announce, nil)
        case .nodes: (.nodes, nil)
        case .user(let name): (.user, name)
        case .tickets: (.tickets, nil)
        }
    }
}
