// SPDX-License-Identifier: Apache-2.0

import NIOCore
import WSProtocol

extension Defaults.Broker {
    /// The timing of a transfer's states.
    package static let timing = TransferTiming(
        // A person has to see the question and answer it.
        ring: .minutes(10),
        // The receiver's token lives as long.
        claim: tokenLifetime,
        // As long as the receiver's request is held.
        attach: attachTimeout,
        // As long as the sender's client waits.
        delivery: ProtocolDefaults.deliveryTimeout,
        // The byte path's report is only a thread behind; a stream that is still open after this is stuck.
        straggler: .seconds(30),
        // A message on another connection of the same client is hardly later than the cut it explains; a client
        // that was killed is known by its closed session at once.
        explanation: .milliseconds(500),
        // Four a second are as many as a person can see.
        progress: .milliseconds(250)
    )
}
