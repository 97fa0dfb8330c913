// SPDX-License-Identifier: Apache-2.0

package import NIOCore

extension SendMachine {
    /// Takes a message of the relay, if it is about this transfer; any other does nothing.
    package mutating func received(_ message: ServerMessage, now: NIODeadline) -> [Action] {
        switch message {
        case .offered(let offered) where offered.transfer == offer.transfer:
            self.offered(offered.state)
        case .start(let start) where start.transfer == offer.transfer && start.role == .upload:
            started(token: start.token, url: start.url, payload: start.payload)
        case .delivered(let delivered) where delivered.transfer == offer.transfer:
            self.delivered(delivered.payload, now: now)
        case .failed(let failed) where failed.transfer == offer.transfer:
            self.failed(failed.code, by: failed.by)
        case .error(let refusal) where refusal.id == offer.id:
            refused(refusal.code)
        case .challenge, .welcome, .ok, .peer, .offered, .ring, .start, .progress, .delivered, .failed, .pong, .error:
            []
        }
    }
}
