// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TransferBroker
import WSProtocol

/// Reads what the node that holds the download answers to a stream (`docs/cluster-protocol.md`, section 5). Pure.
struct NodeAnswerParser: Sendable {
    /// What has been read.
    enum Answer: Hashable, Sendable {
        /// The stream is joined: go on.
        case proceed
        /// Every byte was handed to the receiver's connection.
        case complete
        /// It is over.
        case refused(FailureCode)
        /// Not an answer a node gives.
        case malformed
    }

    private var received: [UInt8] = []
    /// How many of them were looked through for the end of the head.
    private var searched = 0

    /// Takes what has arrived; nil when the answer is not complete yet.
    mutating func feed(_ bytes: ByteBuffer) -> Answer? {
        guard received.count + bytes.readableBytes <= Defaults.Stream.nodeAnswer else { return .malformed }
        received += bytes.readableBytesView
        guard let headEnd = Self.end(of: received, from: max(0, searched - 3)) else {
            searched = received.count
            return nil
        }
        let lines = String(decoding: received[..<headEnd], as: UTF8.self).split(separator: "\r\n")
        guard let statusLine = lines.first, let status = Self.status(statusLine) else { return .malformed }
        guard status >= 200 else {
            received.removeFirst(headEnd)
            searched = 0
            return status == 100 ? .proceed : .malformed
        }
        guard let length = Self.contentLength(lines.dropFirst()), length <= Defaults.Stream.nodeAnswer else {
            return .malformed
        }
        let body = received[headEnd...]
        guard body.count >= length else { return nil }
        if status == 200 { return .complete }
        let refusal = StrictJSON.decode(Refusal.self, from: body.prefix(length))
        return .refused(refusal.flatMap { FailureCode(rawValue: $0.code) } ?? .clusterUnavailable)
    }

    private struct Refusal: Decodable {
        var code: String
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
