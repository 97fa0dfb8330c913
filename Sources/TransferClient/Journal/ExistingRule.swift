// SPDX-License-Identifier: Apache-2.0

/// What becomes of what is at the final place of something that is received.
package enum ExistingRule: UInt8, CaseIterable, Sendable {
    /// It stays, and what comes gets another name.
    case keep = 0
    /// It stays; what is there with the same size and time is not received again, and folders become one.
    case skip = 1
    /// It is replaced by what comes, and folders become one.
    case replace = 2

    /// Whether what is in a folder goes into the one of the same name that is there.
    package var mergesFolders: Bool { self != .keep }
}
