// SPDX-License-Identifier: Apache-2.0

/// Why a profile cannot be used or made, in words for the person at the keyboard.
struct ProfileError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What kind of failure it is; decides the exit code.
    enum Code: Hashable, Sendable, CaseIterable {
        /// There is no profile: nobody has logged in with it.
        case missing
        /// There is one, but it is damaged, or not safe to use.
        case unusable
        /// It cannot be written.
        case cannotWrite
    }

    let code: Code
    /// One line: what happened, to what, what to do next.
    let message: String

    var description: String { message }

    /// The process's exit code (design, section 3).
    var exitCode: Int32 {
        switch code {
        case .missing, .unusable: 78
        case .cannotWrite: 73
        }
    }
}
