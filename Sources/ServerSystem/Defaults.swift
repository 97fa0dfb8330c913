// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// The limits and times of sockets and of the process, each with the reason for its value.
package enum SystemDefaults {
    /// A listener rests for this long when nothing can be accepted and nothing turned away: some tens of tries a second
    /// at most, and no client waits for longer than it would for a slow network.
    static let acceptPause = TimeAmount.milliseconds(100)
    /// Connections closed in one turn when there are no descriptors for them: other connections of the loop come first.
    static let turnedAwayAtOnce = 64
    /// The same failure to accept is logged once in this time.
    static let acceptLogInterval = TimeAmount.minutes(1)
    /// A peer that acknowledges nothing for this long is gone (the value DERP uses).
    package static let tcpUserTimeout = TimeAmount.seconds(15)
    /// Keepalive probes find a sender that vanished while it owed us bytes: 5 s of silence, then one probe each 5 s.
    static let keepaliveIdle: Int = 5
    static let keepaliveInterval: Int = 5
    static let keepaliveProbes: Int = 3
    /// The most bytes taken from a socket at once, unless the kernel has room for more at the receiver's end. This is
    /// also what a transfer holds when its receiver stops.
    package static let receiveBytes = 64 * 1024
    /// Bytes the kernel may hold for a receiver beyond what is on its way: enough to keep any line busy between two
    /// turns of the event loop.
    package static let unsentBytes = 512 * 1024
    /// The most bytes of the system's reports about a process.
    static let reportSize = 16 * 1024
    /// Seconds that a process may take no byte of what another one sends it: that holds up a relay which is being
    /// replaced.
    static let sendSeconds = 5
    /// Descriptors when the system does not say: what POSIX systems have given for decades.
    static let assumedDescriptors = 1024
}
