// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TransferClient
import WSProtocol

/// One content on its way.
struct Sending {
    var job: SendJob
    /// The place in the order of verdicts.
    let number: Int
    /// Whether the offer may wait for a receiver who is not there.
    var waits: Bool
    var retry: RetryMachine
    var attempt: SendAttempt?
    /// Whether it has to be looked at whether the content is still what it was.
    var isAgain = false
    var isRechecking = false
    /// How often it has begun again because it was changed meanwhile.
    var restarts = 0
    /// Whether the receiver has accepted what it was before it changed, and waits for it.
    var isAwaited = false
    /// When it may be offered; nil at once.
    var notBefore: NIODeadline?
    /// What the content comes down to, once one try has sent all of it.
    var known: DeliveredCounts?
    /// Whether the receiver has accepted it once.
    var isAccepted = false
    /// Whether the other receivers of the same input have waited for this one too long.
    var isDropped = false
    /// What went wrong last, where nothing has gone well since.
    var reason: String?

    /// Whether it waits to be offered, and nothing but the relay is missing.
    func isDue(_ now: NIODeadline) -> Bool {
        attempt == nil && !isRechecking && (notBefore.map { $0 <= now } ?? true)
    }

    /// When something is due; nil when nothing is.
    func deadline(mayBeSlow: Bool) -> NIODeadline? {
        let patience = attempt?.isReported == true ? nil : retry.deadline
        let slow = mayBeSlow ? askedAt.map { $0 + Defaults.slowAnswer } : nil
        return [patience, attempt?.deadline, notBefore, slow].lazy.compactMap(\.self).min()
    }

    /// Since when an answer to the offer is waited for; nil when it has come, or there is none.
    var askedAt: NIODeadline? { attempt.flatMap { $0.result.isTaken ? nil : $0.offeredAt } }

    /// That there is no other try of what may have arrived; nil where it was not sent whole.
    func unconfirmed(_ reason: String, _ status: ExitStatus) -> ClientError? {
        known.map { _ in AttemptFailure.unconfirmed(by: job.peer, reason, status, isRepeatable: !job.tree.readsPipe) }
    }

    /// What is known about it besides its last try.
    func transfer(over relay: RelayURL, _ patience: TimeAmount, hasMissedReceiver: Bool) -> AttemptFailure.Transfer {
        .init(
            peer: job.peer, relay: "\(relay)", patience: patience, reason: reason, hasMissedReceiver: hasMissedReceiver,
            wasAccepted: isAccepted || isAwaited, isAllSent: known != nil,
            isRepeatable: !job.tree.readsPipe
        )
    }
}

extension SendJob {
    /// Looks whether the content is still what it was.
    func recheck(telling queue: EventQueue<SessionEvent>) {
        Task {
            do throws(ClientError) {
                try await BlockingWork.files.run { try tree.recheck() }
                queue.post(.work(shownID, .rechecked(nil)))
            } catch {
                queue.post(.work(shownID, .rechecked(error)))
            }
        }
    }

    /// Looks at it once more.
    func rescan(telling queue: EventQueue<SessionEvent>, remark: @escaping @Sendable (String) -> Void) {
        let paths = tree.paths
        Task {
            do throws(ClientError) {
                let found = try await BlockingWork.files.run { try SourceTree.scan(paths, options, remark: remark) }
                queue.post(.work(shownID, .rescanned(.success(found))))
            } catch {
                queue.post(.work(shownID, .rescanned(.failure(error))))
            }
        }
    }
}
