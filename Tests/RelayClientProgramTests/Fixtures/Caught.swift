// SPDX-License-Identifier: Apache-2.0

import TransferClient

/// The error that `body` throws, where it is one of that type.
func caught<Failure: Error>(_ type: Failure.Type, _ body: () throws -> Void) -> Failure? {
    do {
        try body()
        return nil
    } catch {
        return error as? Failure
    }
}

/// The error that `body` throws, where that is a ``FileError``.
func failure(_ body: () throws -> Void) -> FileError? { caught(FileError.self, body) }
