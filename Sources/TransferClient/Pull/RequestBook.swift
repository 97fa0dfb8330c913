// SPDX-License-Identifier: Apache-2.0

package import Sealing
package import WSProtocol

/// What was asked of one who shares: which requests are being answered, and which have been seen, so that the relay
/// cannot have one answered twice. Each requester has a share of its own of what is remembered: one that asks without
/// end keeps no other out. Pure.
package struct RequestBook: Sendable {
    /// What to do about a request.
    package enum Verdict: Hashable, Sendable {
        case answer
        /// It has been seen before.
        case ignore
        case refuse(FailureCode)
    }

    /// What is remembered of one requester. Times are the requester's, in milliseconds since 1970.
    private struct Seen {
        /// When each of its requests was made.
        var times: [PullRequest: UInt64] = [:]
        /// Requests that were made no later may have been seen, and are not remembered.
        var floor: UInt64
        /// When the last one was made.
        var latest: UInt64 = 0

        /// There is room again: of too many, the older half is known by its time alone.
        mutating func makeRoom() {
            guard times.count > TransferDefaults.mostSeenRequests else { return }
            floor = max(floor, times.values.sorted()[times.count / 2 - 1])
            times = times.filter { $0.value > floor }
        }
    }

    /// Who asked, of those that are being answered.
    private var open: [PullRequest: SigningKey] = [:]
    private var seen: [SigningKey: Seen] = [:]
    /// Of a requester of whom nothing is remembered, those that were made no later may have been seen.
    private var floor: UInt64 = 0
    /// When those are forgotten next that cannot come once more.
    private var forgetting: UInt64 = 0

    package init() {}

    /// How many requests are remembered.
    var remembered: Int { seen.values.reduce(0) { $0 + $1.times.count } }

    /// The requests that are being answered.
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
        let id = request.request
        var known = seen[requester] ?? Seen(floor: floor)
        guard open[id] == nil, known.times[id] == nil else { return .ignore }
        guard hasRoom(for: requester), request.time > known.floor, makeRoom(for: requester, request.time, now: now)
        else { return .refuse(.tooManyRequests) }
        known.times[id] = request.time
        known.latest = max(known.latest, request.time)
        known.makeRoom()
        // Of the one for whom there is no room the time is known.
        if seen[requester] != nil || request.time > floor { seen[requester] = known }
        open[id] = requester
        if now >= forgetting {
            forget(now: now)
            forgetting = now.addingReportingOverflow(TransferDefaults.seenRequestsCheck).partialValue
        }
        return .answer
    }

    /// There is room to remember one more of whom nothing is: of the one of them all that has been silent for longest,
    /// only the time is. Returns false where that is still to come: no requester keeps others out with a wrong clock.
    private mutating func makeRoom(for requester: SigningKey, _ time: UInt64, now: UInt64) -> Bool {
        guard seen[requester] == nil, seen.count >= TransferDefaults.mostSeenRequesters,
            let last = seen.min(by: { $0.value.latest < $1.value.latest })
        else { return true }
        guard min(time, last.value.latest) <= now else { return false }
        floor = max(floor, min(time, last.value.latest))
        if last.value.latest < time { seen[last.key] = nil }
        return true
    }

    /// There was an answer, and it is over; or there is none.
    package mutating func ended(_ request: PullRequest) { open[request] = nil }

    /// What is too old to be opened cannot come once more.
    private mutating func forget(now: UInt64) {
        let oldest = now - min(now, SealingDefaults.offerTolerance)
        seen = seen.filter { $0.value.latest >= oldest }
        for requester in Array(seen.keys) {
            guard let times = seen[requester]?.times else { continue }
            seen[requester]?.times = times.filter { $0.value >= oldest }
        }
    }
}
