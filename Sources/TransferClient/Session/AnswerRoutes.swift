// SPDX-License-Identifier: Apache-2.0

package import WSProtocol

/// Which transfer a message of the relay is about: most say it themselves, an answer only names the request. Pure.
package struct AnswerRoutes: Hashable, Sendable {
    private var transfers: [RequestID: TransferID] = [:]
    private var requests: [TransferID: [RequestID]] = [:]

    package init() {}

    /// The answer to the request `id` is about `transfer`.
    package mutating func expect(_ id: RequestID, about transfer: TransferID) {
        transfers[id] = transfer
        requests[transfer, default: []].append(id)
    }

    /// `transfer` is over: what is still said about it under these ids is not heard.
    package mutating func forget(_ transfer: TransferID) {
        for id in requests.removeValue(forKey: transfer) ?? [] { transfers[id] = nil }
    }

    /// The transfer that `message` is about; nil when it is about none, or about one that is over.
    package func transfer(of message: ServerMessage) -> TransferID? {
        switch message {
        case .ok(let answer): transfers[answer.id]
        case .error(let refusal): transfers[refusal.id]
        case .challenge, .welcome, .peer, .offered, .ring, .start, .progress, .note, .delivered, .failed, .requested,
            .refused, .move, .pong:
            message.transfer
        }
    }
}
