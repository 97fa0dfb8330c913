// SPDX-License-Identifier: Apache-2.0

import Foundation
import NIOCore
import WSProtocol

@testable import RelayNode
@testable import RelayServerProgram
@testable import ServerSystem

/// JSON: its grammar, control messages, and what administrators ask.
enum MessageDecoders {
    static let json = FuzzedDecoder(
        "json", longest: 4_000, sources: ["WSProtocol/Messages/StrictJSON.swift"]
    ) { input in
        guard let json = try? StrictJSON(input) else { return }
        let read = try? JSONSerialization.jsonObject(with: Data(input), options: .fragmentsAllowed)
        guard let read else { throw Broken(description: "another reader does not take it") }
        let again = try JSONSerialization.data(withJSONObject: read, options: .fragmentsAllowed)
        try hold((try? StrictJSON(again)) != nil, "it is not taken when another writer has written it")
        _ = json.decode([String: Int].self)
        guard let words = StrictJSON.decode([String: String].self, from: input) else { return }
        let written = try StrictJSON.encode(words)
        try hold(StrictJSON.decode([String: String].self, from: written.utf8) == words, "\(words) change")
        let indented = StrictJSON.decode([String: String].self, from: try StrictJSON.data(of: words, isIndented: true))
        try hold(indented == words, "\(words) change when they are written on several lines")
    }

    static let control = FuzzedDecoder(
        "control", longest: 8_000,
        sources: [
            "WSProtocol/Messages/ClientMessage.swift", "WSProtocol/Messages/ServerMessage.swift",
            "WSProtocol/Messages/MessageCodec.swift", "WSProtocol/Messages/StrictJSON.swift",
            "WSProtocol/Fields/FixedBytes.swift", "WSProtocol/Fields/TextFields.swift",
            "WSProtocol/Fields/Base64URL.swift", "WSProtocol/Fields/Ed25519Rules.swift",
        ]
    ) { input in
        let text = ByteBuffer(bytes: input)
        switch MessageCodec.decodeClientMessage(text) {
        case .success(let message):
            try stays(message, MessageCodec.decodeClientMessage)
            try hold(MessageCopies.copy(message) == message, "\(message) is another one when it is made")
            _ = (message.kind, Set([message.transfer]), message.lookedUpName, message.leadsToContent)
            let refusal = ServerMessage.refusal(message.id, .badMessage)
            let isOfIt = if case .error(let error) = refusal { error.id == message.id } else { false }
            try hold(isOfIt, "a refusal of another message: \(refusal)")
            _ = ("\(message)", Token.random(), RequestID.sequence(.relay, UInt64(input.count)))
        case .failure(let refusal): try hold(!refusal.id.rawValue.isEmpty, "a refusal of nothing")
        }
        if case .success(let message) = MessageCodec.decodeServerMessage(text) {
            try stays(message, MessageCodec.decodeServerMessage)
            try hold(MessageCopies.copy(message) == message, "\(message) is another one when it is made")
            _ = (message.transfer, "\(message)")
        }
    }

    /// What is written of a message is that message, and is written so again.
    private static func stays<Message: Encodable & Equatable>(
        _ message: Message, _ decode: (ByteBuffer) -> Result<Message, MessageCodec.Malformed>
    ) throws {
        let text = try MessageCodec.encode(message)
        try hold(decode(text) == .success(message), "\(message) is another one when it is read again")
        try hold(try MessageCodec.encode(message) == text, "\(message) is written in two ways")
    }

    static let administration = FuzzedDecoder(
        "administration", longest: 4_000,
        sources: [
            "RelayServerProgram/Admin/LineAssembler.swift", "RelayServerProgram/Admin/AdminRequest.swift",
            "RelayServerProgram/Handover/HandoverMessage.swift",
        ]
    ) { input in
        let read = try Pieces.same(input, "a line") { pieces in
            var assembler = LineAssembler(limit: 3_000)
            var result = LineAssembler.Result.needMore
            for piece in pieces where result == .needMore { result = assembler.feed(piece) }
            return result
        }
        guard case .line(let line)? = read else { return }
        try reads(AdminRequest.self, line)
        try reads(AdminReply.self, line)
        try reads(HandoverMessage.self, line)
        if let message = AdminLine.decode(HandoverMessage.self, line) { try passes(message) }
    }

    /// Two processes of one relay.
    private static func passes(_ message: HandoverMessage) throws {
        var sockets: [CInt] = [-1, -1]
        guard socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0, &sockets) == 0 else { return }
        let near = ProcessChannel(socket: sockets[0])
        do {
            let far = ProcessChannel(socket: sockets[1])
            try near.tell(message)
            let heard = far.hear(within: .seconds(1))
            try hold(heard == message, "\(message) is \(String(describing: heard)) to the other process")
        }
        try hold((try? near.tell(message)) == nil, "a message to a process that is gone")
    }

    private static func reads<Value: Codable & Equatable>(_: Value.Type, _ line: ByteBuffer) throws {
        guard let value = AdminLine.decode(Value.self, line) else { return }
        var again = try AdminLine.encode(value)
        again.moveWriterIndex(to: again.writerIndex - 1)
        try hold(AdminLine.decode(Value.self, again) == value, "\(value) is another one when it is read again")
    }
}
