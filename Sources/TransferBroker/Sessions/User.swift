// SPDX-License-Identifier: Apache-2.0

package import WSProtocol

/// A name and the keys it belongs to.
package struct User: Hashable, Sendable, Codable {
    package var name: PeerName
    package var key: SigningKey
    package var exchangeKey: ExchangeKey

    package init(name: PeerName, key: SigningKey, exchangeKey: ExchangeKey) {
        self.name = name
        self.key = key
        self.exchangeKey = exchangeKey
    }
}
