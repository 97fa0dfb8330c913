// SPDX-License-Identifier: Apache-2.0

package import NIOCore
import TransferBroker

/// Reads the short answers of another node: a head, and a body of the length that it says. Pure.
package struct AnswerParser: Sendable {
    /// What has been read.
    package enum Outcome: Hashable, Sendable {
        /// One that another one follows: 100 to 199. It has no body.
        case interim(status: Int)
        case answer(status: Int, body: ArraySlice<UInt8>)
        /// Not an answer a node gives, or a longer one.
        case malformed
    }

    private let limit: Int
    private var received: [UInt8] = []
    /// How many of them were looked through for the end of the head.
    private var searched = 0

    /// - Parameter limit: the most bytes of an answer, its head included.
    package init(limit: Int) { self.limit = limit }

    /// Takes what has arrived; nil when the answer is not complete yet. What stands behind a whole answer changes
    /// nothing about it, whether it comes in the same read or later.
    package mutating func feed(_ bytes: ByteBuffer) -> Outcome? {
        received += bytes.readableBytesView
        guard let headEnd = Self.end(of: received, from: max(0, searched - 3)),
            headEnd <= Defaults.Stream.nodeAnswer
        else {
            searched = received.count
            return searched > Defaults.Stream.nodeAnswer ? .malformed : nil
        }
        let lines = String(decoding: received[..<headEnd], as: UTF8.self).split(separator: "\r\n")
        guard let statusLine = lines.first, let status = Self.status(statusLine) else { return .malformed }
        guard status >= 200 else {
            received.removeFirst(headEnd)
            searched = 0
            return .interim(status: status)
        }
        guard let length = Self.contentLength(lines.dropFirst()), length <= limit - headEnd else { return .malformed }
        let body = received[headEnd...]
        return body.count >= length ? .answer(status: status, body: body.prefix(length)) : nil
    }

    /// The index behind the empty line, which does not begin in front of `start`.
    private static func end(of bytes: [UInt8], from start: Int) -> Int? {
        let pattern: [UInt8] = [13, 10, 13, 10]
        guard bytes.count >= start + pattern.count else { return nil }
        return (start...(bytes.count - pattern.count)).first { bytes[$0..<($0 + 4)].elementsEqual(pattern) }
            .map { $0 + 4 }
    }

    private static func status(_ line: Substring) -> Int? {
        let parts = line.split(separator: " ", maxSplits: 2)
        guard parts.count >= 2, parts[0] == "HTTP/1.1", parts[1].utf8.count == 3, let status = Int(parts[1]) else {
            return nil
        }
        return (100...599).contains(status) ? status : nil
    }

    private static func contentLength(_ lines: ArraySlice<Substring>) -> Int? {
        let name = "content-length:"
        let values = lines.filter { $0.lowercased().hasPrefix(name) }.map { $0.dropFirst(name.utf8.count) }
        guard values.count == 1, let value = values.first else { return nil }
        let digits = value.drop { $0 == " " }
        guard !digits.isEmpty, digits.utf8.allSatisfy({ (48...57).contains($0) }) else { return nil }
        return Int(digits)
    }
}
