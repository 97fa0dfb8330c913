// SPDX-License-Identifier: Apache-2.0

package import Sealing
package import WSProtocol

/// What this client has asked for, and not yet got: only that is taken without a question. Pure.
package struct OpenRequests: Sendable {
    private let sharer: PeerName
    /// What each asks for, and of whom: the identity that it was sealed for.
    private var queries: [PullRequest: (query: PullQuery, sharer: SigningKey)] = [:]

    package init(to sharer: PeerName) { self.sharer = sharer }

    /// A request goes out.
    package mutating func open(_ request: PullRequest, _ query: PullQuery, to sharer: SigningKey) {
        queries[request] = (query, sharer)
    }

    /// They are void, as the connection that they were made on is gone.
    package mutating func removeAll() { queries = [:] }

    /// Whether `request` is one of these.
    package func contains(_ request: PullRequest) -> Bool { queries[request] != nil }

    /// All names that an answer to `request` has at its top; nil where it is none of these.
    package func names(of request: PullRequest) -> [EntryName]? { queries[request]?.query.names }

    /// Whether `offer` may be taken: it is from the one who was asked, it says sealed what the relay says of it, and it
    /// brings what was asked for.
    ///
    /// - Parameter request: what the relay says that it answers.
    package func admits(_ offer: ReceivedOffer, answering request: PullRequest?) -> Bool {
        admits(offer.summary, from: offer.parties.sender, answering: request)
    }

    func admits(_ summary: OfferSummary, from sender: Party, answering request: PullRequest?) -> Bool {
        guard let request, request == summary.answers, let (query, key) = queries[request] else { return false }
        return sender == Party(name: sharer, identity: key) && query.isAnswered(by: summary)
    }
}
