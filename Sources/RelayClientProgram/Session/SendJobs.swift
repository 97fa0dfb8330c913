// SPDX-License-Identifier: Apache-2.0

import Sealing
import TransferClient
import WSProtocol

/// The contents that a sender has to send, each under the id that it is shown under, and which of them are read from
/// one tree: what goes to several receivers is read for each.
struct SendJobs {
    private var jobs: [TransferID: SendJob] = [:]
    /// How many are still to end that are read from a tree.
    private var unended: [ObjectIdentifier: Int] = [:]
    /// What a requester has asked for again while an attempt to send it has not ended, which has broken there.
    private var successors: [TransferID: SendJob] = [:]

    init(_ jobs: [SendJob] = []) { for job in jobs { _ = add(job) } }

    /// The content of that id.
    subscript(id: TransferID) -> SendJob? { jobs[id] }

    /// Adds one. False when there is one of that id already, which it follows.
    mutating func add(_ job: SendJob) -> Bool {
        guard jobs[job.shownID] == nil else {
            successors.updateValue(job, forKey: job.shownID)?.tree.close()
            return false
        }
        jobs[job.shownID] = job
        unended[ObjectIdentifier(job.tree), default: 0] += 1
        return true
    }

    /// One has ended. Returns the one that follows it, to be added.
    mutating func end(_ job: SendJob) -> SendJob? {
        jobs[job.shownID] = nil
        release(job.tree)
        return successors.removeValue(forKey: job.shownID)
    }

    /// One is another transfer from now on.
    mutating func become(_ old: SendJob, _ new: SendJob) {
        jobs[old.shownID] = nil
        jobs[new.shownID] = new
    }

    /// One is read from another tree from now on.
    mutating func replace(_ old: SendJob, by new: SendJob) {
        release(old.tree)
        jobs[new.shownID] = new
        unended[ObjectIdentifier(new.tree), default: 0] += 1
    }

    /// One less is read from `tree`.
    private mutating func release(_ tree: SourceTree) {
        let id = ObjectIdentifier(tree)
        let left = (unended[id] ?? 1) - 1
        unended[id] = left > 0 ? left : nil
        if left <= 0 { tree.close() }
    }

    /// Whether any of them answers `request`.
    func isAnswering(_ request: PullRequest) -> Bool {
        jobs.values.contains { $0.answers == request } || successors.values.contains { $0.answers == request }
    }
}

extension SendJob {
    /// Its place in the order in which contents are sent.
    var item: SendQueue.Item { .init(transfer: shownID, peer: peer, size: tree.size) }
}

extension SendMachine.Outcome {
    /// Whether it is the other client that has ended it, one way or the other.
    var isOfPeer: Bool {
        switch self {
        case .delivered, .failed(_, by: .peer): true
        case .failed, .refused, .broken, .unreadable, .cancelled, .timedOut, .unanswered, .connectionLost: false
        }
    }

    /// Whether the requester does not wait any more for what was asked for: has it from another session, or has asked
    /// again.
    ///
    /// - Parameter wasAccepted: whether that one had begun to receive it.
    func isUnwanted(wasAccepted: Bool) -> Bool {
        switch self {
        case .refused(.unknownRequest), .failed(.unknownRequest, by: _), .cancelled: true
        case .failed(.declined, by: .peer), .failed(.cancelled, by: .peer): !wasAccepted
        case .delivered, .refused, .failed, .broken, .unreadable, .timedOut, .unanswered, .connectionLost: false
        }
    }
}
