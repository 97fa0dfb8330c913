// SPDX-License-Identifier: Apache-2.0

package import WSProtocol

/// Why a file could not be read, made or completed, or the profile not be used: one line for the person at the
/// keyboard.
package struct FileError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What kind of failure it is; decides the exit status and what the other side is told.
    package enum Code: Hashable, Sendable, CaseIterable {
        /// The input is missing, not permitted, or not a regular file.
        case cannotRead
        /// The input was changed by another program while it was being read.
        case changed
        /// Reading the input failed half way.
        case readFailed
        /// The output, or the profile, cannot be made where it has to be.
        case cannotCreate
        /// The output has no room: a full disk or a quota.
        case noSpace
        /// Writing the output failed half way.
        case writeFailed
        /// What came has not the form that it has to have.
        case malformed
        /// There is more of it than this program keeps.
        case tooMany
        /// There is no profile: no user has logged in with it.
        case noProfile
        /// There is a profile, but it is damaged, or not safe to use.
        case unusableProfile
    }

    package let code: Code
    /// One line: what happened, to what, what to do next. Names in it are escaped already.
    package let message: String
    /// The message without what to do next, where that can be left out.
    package let what: String

    package init(code: Code, message: String) {
        self.code = code
        self.message = message
        what = message
    }

    package init(code: Code, _ what: String, _ advice: String) {
        self.code = code
        self.what = what
        message = "\(what): \(advice)"
    }

    package var description: String { message }

    /// This error once it has happened `count` times.
    package func again(_ count: Int) -> FileError {
        FileError(
            code: code, what,
            "that happened \(count) times now, so something writes to it all the time: copy it first, and send the copy"
        )
    }

    /// The process's exit status. A full disk is an I/O error, found before or while writing; `cannotCreate` is for
    /// places where a file could not be made at all.
    package var status: ExitStatus {
        switch code {
        case .cannotRead: .noInput
        case .cannotCreate, .tooMany: .cannotCreate
        case .malformed: .protocolBreach
        case .changed, .readFailed, .noSpace, .writeFailed: .inputOutput
        case .noProfile, .unusableProfile: .configuration
        }
    }

    /// What to tell the other side in `cancel` or `decline`; nil where no transfer can have begun.
    package var failureCode: FailureCode? {
        switch code {
        case .cannotRead, .readFailed: .cannotRead
        case .changed: .sourceChanged
        case .cannotCreate, .writeFailed: .cannotWrite
        case .noSpace: .noSpace
        case .malformed: .protocolError
        case .tooMany: .tooLarge
        case .noProfile, .unusableProfile: nil
        }
    }
}
