// SPDX-License-Identifier: Apache-2.0

import WSProtocol

@testable import TransferBroker

/// One process of the model: its broker, its byte path, and what its links and its tasks have still to bring.
struct ModelNode {
    /// A half whose token was found good and which is about to be held here.
    struct Half: Hashable {
        let stream: StreamKey
        let role: TransferRole
        let download: Int
        let client: Int
    }

    /// A stream whose download is held here.
    struct Pipe: Hashable {
        let stream: StreamKey
        let client: Int
        /// The node of the upload, once that has joined.
        var upload: Int?
        /// Whether the upload's node has died.
        var isBroken = false
    }

    /// A token that another node has been asked about.
    struct Question: Hashable {
        let home: Int
        let role: TransferRole
        let client: Int
    }

    /// A message on its way, with the association it belongs to.
    struct Message: Hashable {
        let association: Int
        let body: NodeMessage

        init(association: Int, body: NodeMessage) {
            self.association = association
            self.body = body
            var hasher = Hasher()
            hasher.combine(association)
            hasher.combine(body)
            digest = hasher.finalize()
        }

        private let digest: Int

        // A message is looked at in each state that it is on its way in.
        func hash(into hasher: inout Hasher) { hasher.combine(digest) }
    }

    var broker: Broker
    /// Which association with each node it takes for the current one.
    var associations = [0, 0, 0]
    var halves: [Half] = []
    var pipes: [Pipe] = []
    /// The tokens that its broker has asked for.
    var mints: [TokenRequest] = []
    /// By the id under which it was asked.
    var questions: [UInt64: Question] = [:]
    /// What Redis has said about who receives elsewhere, and has not been handled.
    var looks: [[SessionID]] = []
    /// Of ``broker``.
    var fingerprint = 0

    init(broker: Broker) {
        self.broker = broker
    }

    func hash(into hasher: inout Hasher) {
        hasher.combine(fingerprint)
        hasher.combine(associations)
        hasher.combine(halves)
        hasher.combine(pipes)
        hasher.combine(mints)
        hasher.combine(questions)
        hasher.combine(looks)
    }
}
