// SPDX-License-Identifier: Apache-2.0

import WSProtocol

@testable import TransferBroker

/// One control connection of the model, with the client behind it and what it has heard.
struct ModelClient: Hashable {
    /// What a client may do once.
    enum Act: UInt64, Hashable, CaseIterable {
        case receive, offer, accept, decline, cancel, delivered, ask, withdraw

        func id(of client: Int) -> RequestID { .sequence(.client, UInt64(client) * 10 + rawValue) }

        /// The act, and whose, that `id` was made for.
        static func of(_ id: RequestID) -> (client: Int, act: Act)? {
            guard let number = UInt64(id.rawValue.dropFirst()), let act = Act(rawValue: number % 10) else { return nil }
            return (Int(number / 10), act)
        }
    }

    /// How a transfer ended for one side.
    enum Verdict: Hashable {
        case delivered
        case failed(FailureCode)
    }

    let name: String
    let session: SessionID
    let isSender: Bool
    /// Whether the connection is there.
    var isOpen = true
    /// The relay has closed it, and does not know yet that it is gone.
    var isLeaving = false
    /// What it has asked for.
    var asked: Set<Act> = []
    var granted: Set<Act> = []
    var refused: Set<Act> = []
    /// Whether it has heard a request.
    var isAsked = false
    var isRung = false
    var isOffered = false
    /// Whether it was given its token.
    var isStarted = false
    var verdict: Verdict?
    /// On which nodes it has shown its token.
    var shown: Set<Int> = []
    /// Whether the end of the download was seen.
    var hasEverything = false

    /// Whether the relay owes it a last word about the transfer.
    var isOwedVerdict: Bool {
        guard isOpen, verdict == nil, isOffered || isRung else { return false }
        return granted.isDisjoint(with: [.decline, .cancel, .delivered]) && !refused.contains(.accept)
            && !refused.contains(.offer)
    }
}
