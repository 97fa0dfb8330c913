// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TransferClient
import WSProtocol

/// Something a person or a program that watches should hear about. Each renderer decides how, and whether.
///
/// A transfer is introduced by the first report with its label; the later ones carry its id only. `delivered`, `received` and
/// `failed` end it.
enum TransferReport: Hashable, Sendable {
    /// This side is logged in under this name and can be offered files.
    case ready(PeerName)
    /// Nothing to show yet: whatever is said about this transfer next, even that it has failed, names its file and peer.
    case introduced(TransferLabel)
    /// Nobody of that name is receiving; the offer waits.
    case waiting(TransferLabel)
    /// The other side's client is asking its person.
    case ringing(TransferLabel)
    /// The other side offers a file.
    case offered(TransferLabel)
    /// The bytes begin to flow.
    case started(TransferLabel)
    /// So many bytes of content are through in all.
    case progress(TransferID, bytes: UInt64)
    /// All bytes are there; they are being checked and stored.
    case verifying(TransferID)
    /// The receiver has confirmed that it verified and stored everything: `bytes` of content with this SHA-256.
    case delivered(TransferID, bytes: UInt64, sha256: String?)
    /// Everything is verified and stored here, at `path` (`-`: standard output).
    case received(TransferID, path: String, bytes: UInt64, sha256: String?)
    /// It has failed; nil where it is not about one transfer. `code` is of the wire's table or this program's own,
    /// `message` says in one line what happened and what to do.
    case failed(TransferID?, code: String, message: String)
    /// It broke for a reason that may pass: it goes on when the sender offers it again, and fails otherwise.
    case interrupted(TransferID, message: String)
    /// The offer went before anybody accepted it, for a reason that may pass.
    case withdrawn(TransferID)
    /// The relay was lost, or cannot do what it was asked: try number `attempt`, from 1, is after `pause`. Where that is
    /// asked for `transfer` alone, the end of that transfer is the end of trying too.
    case reconnecting(reason: String, attempt: Int, pause: TimeAmount, transfer: TransferID? = nil)
    /// The relay was found again, or does it now.
    case reconnected
    /// Anything else worth a line.
    case notice(String)
    /// Something that is not right, though nothing has failed.
    case warning(String)
    /// For `--verbose` only.
    case detail(String)
}
