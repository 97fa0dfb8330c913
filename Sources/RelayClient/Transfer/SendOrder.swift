// SPDX-License-Identifier: Apache-2.0

import WSProtocol

/// The order in which contents go to several receivers: nobody who is there waits for somebody who is not. A receiver who
/// is not there when its turn comes is waited for at the end.
struct SendOrder {
    private let waits: Bool
    private let hasSeveralReceivers: Bool
    private var first: ArraySlice<SendJob>
    private var late: ArraySlice<SendJob> = []
    private var absent: Set<PeerName> = []
    /// Whether those who were there have everything.
    private var isLate = false

    /// - Parameter waits: whether receivers who are not there are waited for at all.
    init(_ jobs: [SendJob], waits: Bool) {
        self.waits = waits
        hasSeveralReceivers = Set(jobs.map(\.peer)).count > 1
        first = jobs[...]
    }

    /// The next content, and whether its offer may wait; nil when it is nobody's turn now.
    ///
    /// - Parameters:
    ///   - isIdle: whether none that was given is still on its way. One that is may be postponed yet.
    ///   - admits: whether a content may go now; the ones behind it wait for it.
    mutating func next(isIdle: Bool, admits: (SendJob) -> Bool) -> (job: SendJob, waits: Bool)? {
        while let job = first.first {
            guard !absent.contains(job.peer) else {
                late.append(first.removeFirst())
                continue
            }
            guard admits(job) else { return nil }
            return (first.removeFirst(), waits && !hasSeveralReceivers)
        }
        isLate = isLate || isIdle
        guard isLate, let job = late.first, admits(job) else { return nil }
        return (late.removeFirst(), true)
    }

    /// The receiver of `job`, whose offer did not wait, is not there.
    ///
    /// - Returns: whether it gets another turn. If not, it has failed.
    mutating func postpone(_ job: SendJob) -> Bool {
        guard waits, hasSeveralReceivers else { return false }
        absent.insert(job.peer)
        late.append(job)
        return true
    }
}
