// SPDX-License-Identifier: Apache-2.0

package import WSProtocol

/// A `login` or a `register` that is to be checked.
package struct LoginAttempt: Hashable, Sendable {
    /// The request to answer.
    package var id: RequestID
    package var purpose: Credentials.Purpose
    package var credentials: Credentials
    /// The challenge of this very connection, which the signature has to cover.
    package var nonce: Nonce
    package var invitation: InvitationCode?

    package init(
        id: RequestID, purpose: Credentials.Purpose, credentials: Credentials, nonce: Nonce,
        invitation: InvitationCode? = nil
    ) {
        self.id = id
        self.purpose = purpose
        self.credentials = credentials
        self.nonce = nonce
        self.invitation = invitation
    }
}

/// What became of a ``LoginAttempt``.
package enum LoginVerdict: Hashable, Sendable {
    case accepted
    /// With a sentence for the person, where the code's own does not say what to do.
    case refused(FailureCode, because: String? = nil)
}
