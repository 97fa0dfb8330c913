// SPDX-License-Identifier: Apache-2.0

import WSProtocol

/// The order in which contents go to several receivers: nobody who is there waits for somebody who is not. Whoever is not
/// there when his turn comes is waited for at the end.
struct SendOrder {
    private let waits: Bool
    private let hasSeveralReceivers: Bool
    private var first: ArraySlice<SendJob>
    private var late: ArraySlice<SendJob> = []
    private var absent: Set<PeerName> = []

    /// - Parameter waits: whether receivers who are not there are waited for at all.
    init(_ jobs: [SendJob], waits: Bool) {
        self.waits = waits
        hasSeveralReceivers = Set(jobs.map(\.peer)).count > 1
        first = jobs[...]
    }

    /// The next content, and whether its offer may wait; nil when all have had their turn.
    mutating func next() -> (job: SendJob, waits: Bool)? {
        while let job = first.popFirst() {
            if absent.contains(job.peer) { late.append(job) } else { return (job, waits && !hasSeveralReceivers) }
        }
        return late.popFirst().map { job in (job, true) }
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
