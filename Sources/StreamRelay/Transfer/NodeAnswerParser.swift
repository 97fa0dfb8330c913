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

    private var answers = AnswerParser(limit: Defaults.Stream.nodeAnswer)

    /// Takes what has arrived; nil when the answer is not complete yet.
    mutating func feed(_ bytes: ByteBuffer) -> Answer? {
        switch answers.feed(bytes) {
        case nil: return nil
        case .interim(let status): return status == 100 ? .proceed : .malformed
        case .answer(200, _): return .complete
        case .answer(_, let body):
            let refusal = StrictJSON.decode(Refusal.self, from: body)
            return .refused(refusal.flatMap { FailureCode(rawValue: $0.code) } ?? .clusterUnavailable)
        case .malformed: return .malformed
        }
    }

    private struct Refusal: Decodable {
        var code: String
    }
}
