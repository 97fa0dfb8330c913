// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Why a connection that waits cannot be accepted, although the listener is well (accept(2)).
package enum AcceptFault: String, CaseIterable, Hashable, Sendable {
    /// The process has as many descriptors as it may have.
    case descriptors
    /// The whole machine has.
    case machineDescriptors = "machine_descriptors"
    /// The kernel has no memory for another one.
    case memory
    /// The client has left meanwhile.
    case aborted

    /// Nil for what no pause and no other connection's end can mend: the listener is gone.
    package init?(errno code: CInt) {
        switch code {
        case EMFILE: self = .descriptors
        case ENFILE: self = .machineDescriptors
        case ENOBUFS, ENOMEM: self = .memory
        case ECONNABORTED: self = .aborted
        default: return nil
        }
    }

    /// What is done about it.
    enum Remedy: Hashable, Sendable {
        /// Accept by means of the spare descriptor and close at once, so that no client waits for an answer that cannot
        /// come.
        case turnAway
        /// Leave the clients in the kernel's queue for a moment.
        case pause
        /// The next one may be well.
        case goOn
    }

    /// What is done first.
    var remedy: Remedy {
        switch self {
        case .descriptors, .machineDescriptors: .turnAway
        case .memory: .pause
        case .aborted: .goOn
        }
    }
}
