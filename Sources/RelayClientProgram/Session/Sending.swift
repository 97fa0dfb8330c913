// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Sealing
import TransferClient
import WSProtocol

/// One content on its way: what of it stands with the relay, and the ``DeliveryMachine`` that says what is next.
struct Sending {
    var job: SendJob
    /// The place in the order of verdicts.
    let number: Int
    var delivery: DeliveryMachine
    private(set) var attempt: SendAttempt?
    /// The offer on a connection that another one has replaced: it stands until one on the new connection has come as
    /// far.
    private(set) var former: SendAttempt?
    /// What the content comes down to, once one try has sent all of it.
    private(set) var known: DeliveredCounts?

    init(_ job: SendJob, number: Int, _ delivery: DeliveryMachine) {
        (self.job, self.number, self.delivery) = (job, number, delivery)
    }

    /// Whether the offer may wait for a receiver who is not there: one who was rung may be about to change nodes, too.
    var mayWait: Bool { delivery.waits || former?.result.hasRung ?? false }

    /// Whether anything of it is bound to the connection of that number.
    func isBound(to connection: UInt64) -> Bool {
        attempt?.connection == connection || former?.connection == connection
    }

    /// When something is due; nil when nothing is.
    func deadline(mayBeSlow: Bool) -> NIODeadline? {
        let next = attempt?.isReported == true ? nil : delivery.deadline
        let slow = mayBeSlow ? askedAt.map { $0 + Defaults.slowAnswer } : nil
        return [next, attempt?.deadline, slow].lazy.compactMap(\.self).min()
    }

    /// Since when an answer to the offer is waited for; nil when it has come, or there is none.
    var askedAt: NIODeadline? { attempt.flatMap { $0.result.isTaken ? nil : $0.offeredAt } }

    /// Keeps in mind what a later run of this program needs to go on.
    func remember(_ receiver: Party, in environment: SessionEnvironment) {
        guard job.tree.isRepeatable, !job.tree.readsPipe, !delivery.isAccepted else { return }
        let now = environment.sealing.time()
        do throws(FileError) {
            try environment.records.remember(job.record(of: receiver, now: now), now: now)
        } catch {
            // It goes on without it; only another run does not.
            environment.reporter.report(.detail(error.description))
        }
    }

    /// What the person is told of a try that broke, and that there is to be another one.
    func interruption(_ reason: String, _ next: String, now: NIODeadline) -> TransferReport {
        let left = delivery.giveUpAt.map { " (until --timeout, \(AttemptFailure.description(of: $0 - now)))" } ?? ""
        return .interrupted(job.shownID, message: "\(reason); \(next)\(left)")
    }

    /// The error that there is no other try of what may have arrived; nil where it was not sent whole.
    func unconfirmed(_ reason: String, _ status: ExitStatus) -> ClientError? {
        known.map { _ in AttemptFailure.unconfirmed(by: job.peer, reason, status, isRepeatable: !job.tree.readsPipe) }
    }

    /// What is known about it besides its last try.
    func transfer(over relay: RelayURL, _ patience: TimeAmount, hasMissedReceiver: Bool) -> AttemptFailure.Transfer {
        .init(
            peer: job.peer, relay: "\(relay)", patience: patience, reason: delivery.reason,
            hasMissedReceiver: hasMissedReceiver, wasAccepted: delivery.isAwaited, isAllSent: known != nil,
            isRepeatable: !job.tree.readsPipe
        )
    }
}

extension SendJob {
    /// Seals an offer to its receiver, who is known by that from then on.
    ///
    /// - Parameter peer: what the relay says of the receiver.
    func seal(
        as transfer: TransferID, to peer: ServerMessage.Peer?, in environment: SessionEnvironment
    ) throws(ClientError) -> SentOffer {
        guard let peer else { throw .sealing(.unusableKey) }
        let sealed = try environment.sealing.seal(summary, of: self.transfer, as: transfer, to: peer)
        let party = sealed.parties.receiver
        if try environment.sealing.meet(party) {
            environment.reporter.report(.firstContact(party.name, Fingerprint(of: party.identity)))
        }
        return sealed
    }

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

    /// Looks at it once more, where it was found.
    func rescan(telling queue: EventQueue<SessionEvent>, remark: @escaping @Sendable (String) -> Void) {
        Task {
            do throws(ClientError) {
                let found = try await BlockingWork.files.run { () throws(FileError) in
                    try tree.scanned(options, remark: remark)
                }
                queue.post(.work(shownID, .rescanned(.success(found))))
            } catch {
                queue.post(.work(shownID, .rescanned(.failure(error))))
            }
        }
    }
}

extension Reporter {
    /// Shows that the receiver has stored `job`, or had every file of it already.
    func report(_ stored: DeliveredSummary, of job: SendJob) {
        let manifest = job.tree.catalogue.manifest
        // Folders and links are always among what is stored.
        if manifest.files > 0, stored.bytes == 0, stored.entries == manifest.entries - manifest.files {
            return report(.unchanged(job.shownID, path: nil))
        }
        let only = report(job.checksums, of: job.shownID, isOne: stored.entries == 1)
        report(.delivered(job.shownID, bytes: stored.bytes, sha256: only))
    }
}

extension Outbox {
    /// Nothing stands that could be cancelled, and a receiver that has accepted waits for the content to come again: it
    /// is told by an offer that is cancelled at once.
    func sayGoodbye(_ job: SendJob, _ sealed: SentOffer, _ code: FailureCode) {
        guard let offer = SendAttempt.offer(job, sealed, waits: false, id: nextID()) else { return }
        post(.offer(offer))
        post(.cancel(.init(id: nextID(), transfer: sealed.parties.attempt, code: code)))
    }
}

// MARK: - The attempt

extension Sending {
    /// An attempt begins.
    mutating func begin(_ attempt: SendAttempt) {
        self.attempt = attempt
        delivery.offered()
    }

    /// Lets the attempt know of something.
    ///
    /// - Returns: what it has come to by that; nil where there is none.
    @discardableResult
    mutating func tell(_ event: (inout SendAttempt) -> Void) -> SendAttempt? {
        guard var attempt else { return nil }
        event(&attempt)
        self.attempt = attempt
        settleFormer()
        return attempt
    }

    /// The attempt has ended.
    mutating func conclude() {
        known = attempt?.sent ?? known
        attempt?.forget()
        attempt = nil
        delivery.ended(isAllSent: known != nil)
    }

    /// The content is not what it was: it is another transfer from now on, which is looked at once more.
    ///
    /// - Returns: why it is not; nil where it is.
    mutating func restart(_ change: FileError, now: NIODeadline) -> FileError? {
        withdrawFormer()
        if let error = delivery.changed(change, isRepeatable: !job.tree.readsPipe, now: now) { return error }
        (job, known) = (job.anew(), nil)
        return nil
    }
}

// MARK: - While one connection replaces another

extension Sending {
    /// The connection that it was offered on has been replaced: unless a receiver has accepted it there, it is to be
    /// offered on the new one.
    mutating func move() {
        guard let attempt, !attempt.result.isAccepted, !attempt.isReported, job.tree.isRepeatable else { return }
        former?.withdraw()
        (former, self.attempt) = (attempt, nil)
        delivery.moved()
        if !attempt.result.isTaken { withdrawFormer() }
    }

    /// The relay says something about the offer on the connection before.
    ///
    /// - Returns: whether that offer is the one that counts from now on, and has still to hear it.
    mutating func takesBackFormer(on message: ServerMessage, now: NIODeadline) -> Bool {
        switch message {
        case .start: break
        case .offered(let offered) where offered.state == .accepted: break
        // The person has answered there.
        case .failed(let failed) where failed.by == .peer: break
        default:
            former?.received(message, now: now)
            if former?.isReported ?? false { withdrawFormer() }
            return false
        }
        return revert()
    }

    /// The offer on the connection before counts again, as the one on the new connection came to nothing, or too late.
    ///
    /// - Returns: false where there is none.
    mutating func revert() -> Bool {
        guard let former else { return false }
        attempt?.withdraw()
        (attempt, self.former) = (former, nil)
        delivery.reverted()
        return true
    }

    /// Takes the offer on the connection before back if the one on the new connection has come as far.
    private mutating func settleFormer() {
        guard let former, let attempt, attempt.result.isTaken,
            attempt.result.hasRung || attempt.result.isAccepted || !former.result.hasRung
        else { return }
        withdrawFormer()
    }

    /// Takes the offer on the connection before back.
    mutating func withdrawFormer() {
        former?.withdraw()
        former = nil
    }

    /// A connection is gone, with what was bound to it.
    mutating func formerLost(_ connection: UInt64) {
        guard former?.connection == connection else { return }
        former?.forget()
        former = nil
    }
}
