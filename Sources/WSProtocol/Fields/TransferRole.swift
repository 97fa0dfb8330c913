// SPDX-License-Identifier: Apache-2.0

/// Which half of a transfer a token opens.
package enum TransferRole: String, Codable, Hashable, Sendable, CaseIterable {
    /// The sender's half: `PUT` or `POST /upload`.
    case upload
    /// The receiver's half: `GET /download`.
    case download
}
