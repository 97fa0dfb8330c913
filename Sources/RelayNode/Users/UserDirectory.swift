// SPDX-License-Identifier: Apache-2.0

package import TransferBroker
package import WSProtocol

/// Who owns which name.
package protocol UserDirectory: Sendable {
    /// The owner of `name`; nil when no user has it.
    func user(named: PeerName) async throws -> User?
    /// Registers or confirms: same key again succeeds without using the invitation; updates the exchange key.
    func register(
        _ name: PeerName, key: SigningKey, exchangeKey: ExchangeKey, invitation: InvitationCode?
    ) async throws -> RegistrationOutcome
    /// Records a (possibly new) exchange key vouched for by a login signature of `key`. Returns false when the name does
    /// not belong to that key, or not any more.
    func updateExchangeKey(_ name: PeerName, of key: SigningKey, exchangeKey: ExchangeKey) async throws -> Bool
}

/// What became of an attempt to register a name.
package enum RegistrationOutcome: Hashable, Sendable {
    case registered, nameTaken, badInvitation, closed
}
