// SPDX-License-Identifier: Apache-2.0

import NIOCore
import WSProtocol

extension Prospect {
    /// How a transfer ended for its receiver. What passes is an interruption: the sender goes on trying, and the same offer
    /// comes again.
    ///
    /// - Parameter lost: why the control connection ended, if it did.
    init(_ outcome: ReceiveMachine.Outcome, stream: StreamError?, lost: ConnectionError?) {
        switch outcome {
        case .connectionLost: self = lost.map { Prospect($0, hasWorked: true) } ?? .elsewhere
        case .broken(let failure):
            self = lost.map { Prospect($0, hasWorked: true) } ?? Prospect(failure, cause: stream)
        case .refused(let code), .failed(let code, by: .relay): self.init(ending: code)
        case .unanswered: self = .elsewhere
        case .received, .declined, .failed(_, by: .peer), .notStored, .cancelled: self = .final
        }
    }
}
