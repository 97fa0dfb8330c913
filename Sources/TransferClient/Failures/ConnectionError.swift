// SPDX-License-Identifier: Apache-2.0

package import WSProtocol

/// Why there is no connection to the relay: which step failed, in words, and what to do about it.
package struct ConnectionError: Error, Hashable, Sendable, CustomStringConvertible {
    package let step: ConnectionStep
    /// What happened, and to what.
    package let summary: String
    /// What to do next.
    package let advice: String
    package let status: ExitStatus
    /// Whether the same attempt may succeed a little later.
    package let isTemporary: Bool
    /// The relay's own code, when it gave one.
    package let code: FailureCode?

    package init(
        _ step: ConnectionStep, _ summary: String, advice: String, status: ExitStatus, isTemporary: Bool = false,
        code: FailureCode? = nil
    ) {
        self.step = step
        self.summary = summary
        self.advice = advice
        self.status = status
        self.isTemporary = isTemporary
        self.code = code
    }

    /// The one line that is printed.
    package var description: String { "\(summary); \(advice)" }
}

/// The steps on the way to an open session, in their order. `doctor` prints one line for each.
package enum ConnectionStep: String, Hashable, Sendable, CaseIterable {
    /// The settings: URL, proxy variables, certificate file.
    case settings
    /// Finding the address of the relay, or of the proxy.
    case dns = "DNS"
    /// The TCP connection to it.
    case tcp = "TCP"
    /// The proxy's tunnel.
    case proxy
    /// The TLS handshake.
    case tls = "TLS"
    /// Whether the relay's certificate is trusted and has the relay's name.
    case certificate
    /// The upgrade to a WebSocket.
    case webSocket = "WebSocket"
    /// The proof of who we are.
    case login
    /// The session afterwards.
    case session
}
