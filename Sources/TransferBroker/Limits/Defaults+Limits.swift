// SPDX-License-Identifier: Apache-2.0

extension Defaults.Broker {
    /// What one user may hold of the node, with all sessions together.
    package static let user = Holding(
        // Control connections: every device a person has, and a script that sends dozens of files at once with one
        // process each.
        sessions: 64,
        // Sixteen programs of theirs that send as many files at once as a session may. Each costs some 2 KiB.
        offers: 1024,
        pending: 1024,
        // As many the other way. Each has one unclaimed token at a time, of which the node holds 64 times as many.
        accepts: 1024,
        // A sixteenth of `heldBytes`: a hundred of the largest payloads, and thousands of usual ones.
        waitingBytes: heldBytes / 16,
        // Four programs of theirs that ask for as much at once as a session may. Each costs some 200 bytes here,
        // and as many on each node with a session that hears it.
        requests: 256
    )
    /// All limits of a ``Broker`` in one value, with the default for what one address may hold.
    package static let limits = makeLimits(address: user.times(usersPerAddress))

    /// All limits in one value, with this limit for what one address may hold; nil without one.
    package static func makeLimits(address: Holding?) -> BrokerLimits {
        BrokerLimits(
            user: user, address: address, transfersPerSession: transfersPerSession,
            offersPerRecipient: offersPerRecipient, requestsPerSession: requestsPerSession,
            openRequests: openRequests, heldBytes: heldBytes, unclaimedTokens: unclaimedTokens,
            timing: BrokerTiming(
                transfer: timing, request: requestLifetime, token: tokenLifetime, heartbeat: heartbeat
            )
        )
    }
}
