// SPDX-License-Identifier: Apache-2.0

/// Which end of a WebSocket connection this is (RFC 6455, section 5.1: clients mask, servers must not).
package enum WebSocketRole: Hashable, Sendable, CaseIterable {
    case server, client
}
