// SPDX-License-Identifier: Apache-2.0

/// The steps on the way to an open session, in their order. `doctor` prints one line for each.
enum ConnectionStep: String, Hashable, Sendable, CaseIterable {
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
