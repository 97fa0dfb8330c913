// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// Control messages to and from the JSON text of one WebSocket message.
package enum MessageCodec {
    /// The largest message in bytes, either way. It covers the largest payload after base64url with room to spare.
    package static let maximumLength = 64 * 1024

    /// Why a text is not a message.
    package struct Malformed: Error, Hashable, Sendable {
        package var code: FailureCode
        /// The request the reply should name; ``RequestID/unknown`` when the text has none that can be read.
        package var id: RequestID

        package init(code: FailureCode, id: RequestID) {
            self.code = code
            self.id = id
        }
    }

    /// Encodes `message`; keys are sorted, so that equal messages have equal text.
    package static func encode(_ message: some Encodable) throws -> ByteBuffer {
        ByteBuffer(bytes: try StrictJSON.data(of: message))
    }

    /// Decodes what a client said.
    package static func decodeClientMessage(_ text: ByteBuffer) -> Result<ClientMessage, Malformed> {
        decode(ClientMessage.self, kind: ClientMessage.Kind.self, text)
    }

    /// Decodes what a relay said.
    package static func decodeServerMessage(_ text: ByteBuffer) -> Result<ServerMessage, Malformed> {
        decode(ServerMessage.self, kind: ServerMessage.Kind.self, text)
    }

    private static func decode<Message: Decodable, Kind: RawRepresentable>(
        _: Message.Type, kind _: Kind.Type, _ text: ByteBuffer
    ) -> Result<Message, Malformed> where Kind.RawValue == String {
        let nothing = Malformed(code: .badMessage, id: .unknown)
        guard text.readableBytes <= maximumLength, let json = try? StrictJSON(text.readableBytesView) else {
            return .failure(nothing)
        }
        if let message = json.decode(Message.self) { return .success(message) }
        // Only a refused message pays for the second look that finds out what to answer.
        guard let envelope = json.decode(Envelope.self) else { return .failure(nothing) }
        let isKnown = envelope.type.flatMap(Kind.init(rawValue:)) != nil || envelope.type == nil
        return .failure(Malformed(code: isKnown ? .badMessage : .unknownType, id: envelope.id ?? .unknown))
    }

    /// The two fields that any JSON object may be asked for, each on its own.
    private struct Envelope: Decodable {
        var type: String?
        var id: RequestID?

        init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: TypeKey.self)
            type = try? container.decode(String.self, forKey: .type)
            id = try? container.decode(RequestID.self, forKey: .id)
        }
    }
}

/// The keys that say which message an object is and which request it belongs to.
enum TypeKey: String, CodingKey {
    case type, id
}
