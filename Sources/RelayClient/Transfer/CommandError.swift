// SPDX-License-Identifier: Apache-2.0

import WSProtocol

/// Why a command ended without doing what was asked: the line for the person, and the exit status.
struct CommandError: Error, Hashable, Sendable, CustomStringConvertible {
    /// One line: what happened, to what, what to do next.
    let description: String
    let status: ExitStatus

    init(_ description: String, status: ExitStatus) {
        self.description = description
        self.status = status
    }

    /// Any error of this program as a line and a status.
    init(_ error: any Error) {
        switch error {
        case let error as CommandError: self = error
        case let error as ConnectionError: self.init(error.description, status: error.status)
        case let error as TransferFailure: self.init(error.description, status: error.status)
        case let error as FileError:
            self.init(error.description, status: ExitStatus(rawValue: error.exitCode) ?? .inputOutput)
        case let error as ProfileError:
            self.init(error.description, status: ExitStatus(rawValue: error.exitCode) ?? .configuration)
        case let error as RelayURL.Malformed: self.init(ConnectionError(url: error))
        case is CancellationError: self.init("interrupted", status: .interrupted)
        default: self.init("an unexpected error: \(error)", status: .inputOutput)
        }
    }
}
