// SPDX-License-Identifier: Apache-2.0

import Sealing
import TransferClient
import WSProtocol

/// What has to be done about attempts that are over: their parts are put away before another attempt of the same may
/// begin, commands run, and who waits for the end of all that can.
struct AttemptCleanups {
    private let environment: SessionEnvironment
    private var tasks: CleanupTasks
    /// What looks for a place, or has found one that is not used yet, by the attempt.
    private var places: [TransferID: Task<PreparedSink?, Never>] = [:]
    /// What is still being put away, and takes bytes for it, by the number of the cleanup.
    private var leaving: [UInt64: (key: OfferMemory.Key, work: Task<Void, Never>?)] = [:]

    /// - Parameter queue: told the number of each cleanup that has ended, to be passed to ``ended(_:)``.
    init(_ environment: SessionEnvironment, _ queue: EventQueue<SessionEvent>) {
        self.environment = environment
        tasks = CleanupTasks(queue)
    }

    /// Whether something that came is still being put away for another attempt.
    var isPuttingAway: Bool { !leaving.isEmpty }

    /// Whether that is something of `key`.
    func isPuttingAway(_ key: OfferMemory.Key) -> Bool { leaving.values.contains { $0.key == key } }

    /// A place is looked for, which is to be told with ``took(_:)`` when there is one, or none.
    mutating func looks(_ attempt: TransferID, _ work: Task<PreparedSink?, Never>) { places[attempt] = work }

    /// The place of that attempt is used from now on.
    /// - Returns: false where it was given up meanwhile: the next attempt may have the same number, and looks itself.
    mutating func took(_ attempt: TransferID) -> Bool { places.removeValue(forKey: attempt) != nil }

    /// Puts away what came, once nothing writes to it any more, or the place for it, once there is one. The next
    /// attempt waits for that, and goes on behind it.
    mutating func putAway(_ transfer: IncomingTransfer, keeping isKept: Bool) {
        let search = transfer.searched.flatMap { places.removeValue(forKey: $0) }
        guard transfer.sink != nil || search != nil else { return }
        let (records, carried, clock) = (environment.records, transfer.offer.transfer, environment.clock)
        let number = tasks.start {
            if let work = transfer.work, let sink = transfer.sink {
                await DrainWatch(work, into: sink, clock: clock).finish()
            }
            let found = await search?.value?.sink
            guard let sink = transfer.sink ?? found else { return }
            let isLeft = await IncomingTransfer.putAway(sink, keeping: isKept)
            if !isLeft { try? await BlockingWork.files.run { try records.forget(carried, .receive) } }
        }
        leaving[number] = (transfer.key, transfer.work)
    }

    /// Forgets the place that is looked for, where nothing has to be received.
    mutating func giveUpPlace(of transfer: IncomingTransfer) {
        if let attempt = transfer.searched { places[attempt] = nil }
    }

    /// `transfer` is stored in `sink`: runs what is to be run for its files.
    ///
    /// - Parameter isConfirmed: whether its sender knows.
    mutating func stored(_ transfer: IncomingTransfer, _ sink: any TransferSink, isConfirmed: Bool) {
        let (records, reporter, carried) = (environment.records, environment.reporter, transfer.offer.transfer)
        tasks.start {
            try? await BlockingWork.files.run {
                if isConfirmed { sink.confirmed() } else { sink.keep() }
                try records.forget(carried, .receive)
            }
        }
        for file in transfer.finishedFiles {
            guard let command = transfer.rules.command else { continue }
            tasks.start { if let problem = await file.run(command) { reporter.report(.warning(problem)) } }
        }
    }

    /// The sender of `transfer`, which was stored earlier, knows it now.
    mutating func confirmed(_ transfer: IncomingTransfer) {
        let (output, offer) = (transfer.rules.output, transfer.offer)
        tasks.start {
            try? await BlockingWork.files.run { output.confirmed(offer.transfer, from: offer.parties.sender) }
        }
    }

    /// The cleanup of that number has ended.
    mutating func ended(_ number: UInt64) {
        tasks.ended(number)
        leaving[number] = nil
    }

    /// Nothing that is still on its way is taken any more.
    func cut() { for attempt in leaving.values { attempt.work?.cancel() } }

    /// Waits for all that run.
    func wait() async {
        for work in places.values {
            // The session has ended, and does not hear of it.
            guard let sink = await work.value?.sink else { continue }
            _ = await IncomingTransfer.putAway(sink, keeping: sink.hasContent)
        }
        await tasks.wait()
    }
}
