// SPDX-License-Identifier: Apache-2.0

import RelayNode
import ServerSystem
import TLSTransport
import TransferBroker
import WSProtocol

/// What the first person is told.
struct FirstInvitation: Sendable {
    let code: InvitationCode
    let expires: UnixTime
    let name: PeerName?

    /// Asks the relay that runs, or writes into the registry that it will read.
    static func make(
        for name: PeerName?, _ settings: ServerConfiguration, _ account: ServiceAccount
    ) async throws -> FirstInvitation {
        let lifetime = Defaults.Operations.invitationLifetime
        let state = settings.stateDirectory
        if AdminSocket.occupant(of: try AdminSocket.path(in: state)) == .live {
            let reply = try await AdminClient(stateDirectory: state).ask(.invite(name: name, lifetime: lifetime))
            guard case .invited(let code, let expires) = reply else { throw AdminClient.unexpected }
            return FirstInvitation(code: code, expires: expires, name: name)
        }
        try account.become()
        let registry = RegistryFile(directory: try StateDirectory(path: state))
        let users = try FileUserDirectory(file: registry, mode: settings.registration, repaired: RegistryFile.warn)
        let (code, expires) = try await users.invite(name, lifetime: lifetime)
        return FirstInvitation(code: code, expires: expires, name: name)
    }

    /// The lines that the invited person types.
    /// - Parameters:
    ///   - url: the relay's address.
    ///   - chain: the certificates that the relay shows; the last one may be an authority of its own.
    func lines(_ url: String, _ chain: [CertificateFacts]) -> [String] {
        let until = LogTime(seconds: Int(clamping: expires.seconds), milliseconds: 0)
        let login = "RELAY_INVITE=\(code.rawValue) relay-client login \(url) --name \(name?.rawValue ?? "NAME")"
        let head = ["An invitation for \(name?.rawValue ?? "one person, of any name"), good once, until \(until)."]
        guard chain.count > 1, let authority = chain.last, authority.isSelfIssued else {
            return head + ["The invited person types:", "", "    \(login)"]
        }
        return head + [
            "The invited person types the first two lines, and the third only if the second prints this fingerprint:",
            "",
            "    curl --insecure --output ca.pem \(url)/ca.pem",
            "    openssl x509 -in ca.pem -noout -fingerprint -sha256",
            "        \(authority.fingerprint)",
            "    \(login) --ca ca.pem",
        ]
    }
}
