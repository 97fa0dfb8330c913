// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TransferClient

/// How long a relay has let one connection wait for answers, all of them together: what is little for one of them is
/// much for all, when it holds back what comes too fast. Pure: the time is an argument.
struct AnswerWaits: Hashable, Sendable {
    private var sum = TimeAmount.zero
    /// Up to when the waits are counted: requests that wait side by side wait once.
    private var counted = NIODeadline.uptimeNanoseconds(0)
    /// Whether the person was told.
    private(set) var isTold = false

    /// A request has waited from `asked` to `now`, whether it is answered or not. Returns whether the person is to be
    /// told, for the first time.
    mutating func waited(since asked: NIODeadline, now: NIODeadline) -> Bool {
        let begin = max(asked + Defaults.ordinaryAnswer, counted)
        if now > begin {
            sum = sum + (now - begin)
            counted = now
        }
        guard !isTold, max(sum, now - asked) >= Defaults.slowAnswer else { return false }
        isTold = true
        return true
    }
}

extension SessionEnvironment {
    /// Tells the person that the relay lets this side wait.
    func reportSlowness() {
        reporter.report(
            .notice("\(relay) is slow to answer: it holds back what comes too fast, or the network is slow")
        )
    }
}
