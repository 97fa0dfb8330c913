// SPDX-License-Identifier: Apache-2.0

import WSProtocol

/// Why a file could not be read, made or completed, in words for the person at the keyboard.
struct FileError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What kind of failure it is; decides the exit code and what the other side is told.
    enum Code: Hashable, Sendable, CaseIterable {
        /// The input is missing, not permitted, or not a regular file.
        case cannotRead
        /// The input was changed by somebody while it was being read.
        case changed
        /// Reading the input failed half way.
        case readFailed
        /// The output cannot be made where it has to be.
        case cannotCreate
        /// The output has no room: a full disk or a quota.
        case noSpace
        /// Writing the output failed half way.
        case writeFailed
    }

    let code: Code
    /// One line: what happened, to what, what to do next. Names in it are escaped already.
    let message: String

    var description: String { message }

    /// The process's exit code (design, section 3). A full disk is an I/O error (74), found before or while writing;
    /// 73 is for places where a file could not be made at all.
    var exitCode: Int32 {
        switch code {
        case .cannotRead: 66
        case .cannotCreate: 73
        case .changed, .readFailed, .noSpace, .writeFailed: 74
        }
    }

    /// What to tell the other side in `cancel` or `decline`.
    var failureCode: FailureCode {
        switch code {
        case .cannotRead, .readFailed: .cannotRead
        case .changed: .sourceChanged
        case .cannotCreate, .writeFailed: .cannotWrite
        case .noSpace: .noSpace
        }
    }
}
