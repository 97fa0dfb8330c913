// SPDX-License-Identifier: Apache-2.0

import RelayNode

/// A part of a copy of the registry, small enough for a request.
struct RestorePart: Hashable, Sendable, Codable {
    /// The id of the copy, the same in all its parts.
    var id: String
    var users: [AccountRecord]
    var invitations: [Invitation]
    /// With this part the copy is whole, and is put in.
    var isLast: Bool
    /// Whether what is in the registry may go.
    var replaces: Bool
}

/// The parts of a copy that have arrived. One copy at a time: another one takes its place.
actor RestoreStaging {
    private var id: String?
    private var copy = RegistryCopy()

    /// Takes the next part; returns the copy when that was the last.
    func take(_ part: RestorePart) -> RegistryCopy? {
        if part.id != id { (id, copy) = (part.id, RegistryCopy()) }
        copy.users += part.users
        copy.invitations += part.invitations
        guard part.isLast else { return nil }
        defer { (id, copy) = (nil, RegistryCopy()) }
        return copy
    }
}
