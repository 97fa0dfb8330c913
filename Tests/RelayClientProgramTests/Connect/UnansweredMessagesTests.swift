// SPDX-License-Identifier: Apache-2.0

import Synchronization
import TestSupport
import Testing
import WSProtocol

@testable import RelayClientProgram

/// What others wait for is with the relay before a connection is closed.
struct UnansweredMessagesTests {
    private let unanswered = UnansweredMessages()
    private let cancel = RequestID.sequence(.client, 2)
    private let decline = RequestID.sequence(.client, 3)

    /// Whether a connection could be closed now.
    private var isAnswered: Bool {
        let isAnswered = Mutex(false)
        unanswered.whenAnswered { isAnswered.withLock { $0 = true } }
        return isAnswered.withLock { $0 }
    }

    private func say() {
        unanswered.said(.cancel(.init(id: cancel, transfer: .random(), code: .cannotRead)))
        unanswered.said(.decline(.init(id: decline, transfer: .random(), code: .declined)))
    }

    @Test func nothingIsWaitedForWhereNothingWasSaid() {
        unanswered.said(.ping(.init(id: .sequence(.client, 1))))
        #expect(isAnswered)
    }

    @Test func eachAnswerIsWaitedFor() {
        say()
        #expect(!isAnswered)
        unanswered.heard(.ok(.init(id: decline)))
        unanswered.heard(.ok(.init(id: .sequence(.client, 9))))
        #expect(!isAnswered)
        unanswered.heard(.error(.init(id: cancel, code: .unknownTransfer, message: "no")))
        #expect(isAnswered)
    }

    @Test func whoWaitsIsToldOnceByTheLastAnswer() {
        let told = Mutex(0)
        say()
        unanswered.whenAnswered { told.withLock { $0 += 1 } }
        unanswered.heard(.ok(.init(id: cancel)))
        #expect(told.withLock { $0 } == 0)
        unanswered.heard(.ok(.init(id: decline)))
        unanswered.ended()
        #expect(told.withLock { $0 } == 1)
    }

    @Test func nothingIsWaitedForOnAConnectionThatIsGone() {
        say()
        unanswered.ended()
        #expect(isAnswered)
    }
}
