// SPDX-License-Identifier: Apache-2.0

extension ReceiveMachine {
    /// Takes a message of the relay, if it is about this transfer; any other does nothing.
    package mutating func received(_ message: ServerMessage) -> [Action] {
        switch message {
        case .start(let start) where start.transfer == ring.transfer && start.role == .download:
            started(token: start.token, url: start.url)
        case .ok(let ok) where ok.id == conclusionID:
            acknowledged()
        case .error(let refusal) where refusal.id == answerID || refusal.id == conclusionID:
            refused(refusal.code)
        case .failed(let failed) where failed.transfer == ring.transfer:
            self.failed(failed.code, by: failed.by)
        case .challenge, .welcome, .ok, .peer, .offered, .ring, .start, .progress, .delivered, .failed, .pong, .error:
            []
        }
    }
}
