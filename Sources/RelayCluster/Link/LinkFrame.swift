// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TransferBroker
import WSProtocol

/// One text message on a link.
enum LinkFrame: Hashable, Sendable {
    /// The caller's first.
    case hello(Hello)
    /// The answer to it.
    case welcome(Welcome)
    /// The caller's message number `seq` of the association.
    case message(seq: UInt64, NodeMessage)
    /// All of the caller's messages up to this number have come.
    case ack(UInt64)

    /// The caller, the node that is called, and the association that the call continues.
    struct Hello: Hashable, Sendable {
        /// The caller, and which start of it.
        var node: NodeID
        var incarnation: Incarnation
        /// The node that is called; the incarnation is that of the association, if it is known.
        var to: NodeID
        var toIncarnation: Incarnation?
        /// Higher than that of any association this incarnation of the caller has had before.
        var association: UInt64
    }

    /// The node that answers, and how much of the association has come.
    struct Welcome: Hashable, Sendable {
        var node: NodeID
        var incarnation: Incarnation
        /// The number of the last message that has come, 0 at first; nil when the association is over on this side.
        var received: UInt64?
    }
}

extension LinkFrame: Codable {
    init(from decoder: any Decoder) throws {
        let reader = try ObjectReader(decoder, keys: ["hello", "welcome", "seq", "body", "ack"])
        switch Set(reader.keys) {
        case ["hello"]:
            let fields = try reader.object(
                "hello", keys: ["node", "incarnation", "to", "toIncarnation", "association"])
            self = .hello(
                Hello(
                    node: try fields.get("node"), incarnation: try fields.get("incarnation"), to: try fields.get("to"),
                    toIncarnation: try fields.find("toIncarnation"), association: try fields.get("association")))
        case ["welcome"]:
            let fields = try reader.object("welcome", keys: ["node", "incarnation", "received"])
            self = .welcome(
                Welcome(
                    node: try fields.get("node"), incarnation: try fields.get("incarnation"),
                    received: try fields.find("received")))
        case ["seq", "body"]:
            self = .message(seq: try reader.get("seq"), try reader.get("body"))
        case ["ack"]:
            self = .ack(try reader.get("ack"))
        default:
            throw reader.problem("nothing that is said on a link")
        }
    }

    func encode(to encoder: any Encoder) throws {
        var outer = encoder.container(keyedBy: ObjectKey.self)
        switch self {
        case .hello(let hello):
            var fields = outer.nestedContainer(keyedBy: ObjectKey.self, forKey: ObjectKey(stringValue: "hello"))
            try fields.encode(hello.node, forKey: ObjectKey(stringValue: "node"))
            try fields.encode(hello.incarnation, forKey: ObjectKey(stringValue: "incarnation"))
            try fields.encode(hello.to, forKey: ObjectKey(stringValue: "to"))
            try fields.encode(hello.toIncarnation, forKey: ObjectKey(stringValue: "toIncarnation"))
            try fields.encode(hello.association, forKey: ObjectKey(stringValue: "association"))
        case .welcome(let welcome):
            var fields = outer.nestedContainer(keyedBy: ObjectKey.self, forKey: ObjectKey(stringValue: "welcome"))
            try fields.encode(welcome.node, forKey: ObjectKey(stringValue: "node"))
            try fields.encode(welcome.incarnation, forKey: ObjectKey(stringValue: "incarnation"))
            try fields.encode(welcome.received, forKey: ObjectKey(stringValue: "received"))
        case .message(let seq, let body):
            try outer.encode(seq, forKey: ObjectKey(stringValue: "seq"))
            try outer.encode(body, forKey: ObjectKey(stringValue: "body"))
        case .ack(let seq):
            try outer.encode(seq, forKey: ObjectKey(stringValue: "ack"))
        }
    }
}

/// Link frames to and from the JSON text of one WebSocket message.
enum LinkCodec {
    /// Why a text is not a frame.
    struct Malformed: Error, Hashable {}

    /// Encodes with sorted keys, so that equal frames have equal text.
    static func encode(_ frame: LinkFrame) throws -> ByteBuffer { try MessageCodec.encode(frame) }

    /// Decodes at most 64 KiB of UTF-8.
    static func decode(_ text: ByteBuffer) throws(Malformed) -> LinkFrame {
        guard text.readableBytes <= MessageCodec.maximumLength,
            let frame = StrictJSON.decode(LinkFrame.self, from: text.readableBytesView)
        else { throw Malformed() }
        return frame
    }
}
