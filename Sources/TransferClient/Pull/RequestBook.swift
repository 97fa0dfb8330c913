// SPDX-License-Identifier: Apache-2.0

package import Sealing
package import WSProtocol

/// What was asked of one who shares: which requests are being answered, and which have been seen, so that the relay
/// cannot have one answered twice. Pure.
package struct RequestBook: Sendable {
    /// What to do about a request.
    package enum Verdict: Hashable, Sendable {
        case answer
        /// It has been seen before.
        case ignore
        case refuse(FailureCode)
    }

    /// Who asked, of those that are being answered.
    private var open: [PullRequest: SigningKey] = [:]
    /// Up to when each may come once more, in milliseconds since 1970.
    private var seen: [PullRequest: UInt64] = [:]
    /// When those are forgotten next that cannot come once more.
    private var forgetting: UInt64 = 0

    package init() {}

    /// How many are remembered.
    var remembered: Int { seen.count }

    /// Those that are being answered.
    package var answering: some Collection<PullRequest> { open.keys }

    /// Whether one more of `requester` may be answered, which is to be known before it is opened.
    package func hasRoom(for requester: SigningKey) -> Bool {
        open.count < TransferDefaults.mostAnswers
            && open.values.count { $0 == requester } < TransferDefaults.mostAnswersToOne
    }

    /// A request was opened. From the verdict `answer` on it is being answered.
    ///
    /// - Parameter now: in milliseconds since 1970.
    package mutating func take(_ request: ReceivedRequest, from requester: SigningKey, now: UInt64) -> Verdict {
        guard seen[request.request] == nil else { return .ignore }
        guard hasRoom(for: requester) else { return .refuse(.tooManyRequests) }
        if now >= forgetting || seen.count >= TransferDefaults.mostSeenRequests {
            seen = seen.filter { $0.value >= now }
            forgetting = now.addingReportingOverflow(TransferDefaults.seenRequestsCheck).partialValue
            // Without room to remember it, it could be answered again and again.
            guard seen.count < TransferDefaults.mostSeenRequests else { return .refuse(.tooManyRequests) }
        }
        seen[request.request] = request.time.addingReportingOverflow(SealingDefaults.offerTolerance).partialValue
        open[request.request] = requester
        return .answer
    }

    /// There was an answer, and it is over; or there is none.
    package mutating func ended(_ request: PullRequest) { open[request] = nil }
}
