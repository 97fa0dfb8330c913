// SPDX-License-Identifier: Apache-2.0

import TransferBroker

extension Defaults.Unread {
    /// What one session may leave unread, besides what its connection has taken already (64 KiB, and what the
    /// kernel holds): everything that may come at once to one that offers and accepts as much as it may, several
    /// times.
    static let session = SessionOutbox.Limits(messages: 4096, bytes: 4 * 1024 * 1024)
}
