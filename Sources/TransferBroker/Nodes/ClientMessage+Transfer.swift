// SPDX-License-Identifier: Apache-2.0

package import WSProtocol

extension ClientMessage {
    /// The offered transfer that it is about; nil for messages about none. These are what a session's node passes on to the
    /// transfer's home.
    package var transfer: TransferID? {
        switch self {
        case .accept(let message): message.transfer
        case .decline(let message): message.transfer
        case .cancel(let message): message.transfer
        case .progress(let message): message.transfer
        case .delivered(let message): message.transfer
        case .login, .register, .presence, .lookup, .offer, .ping: nil
        }
    }
}
