// SPDX-License-Identifier: Apache-2.0

/// The error that `body` throws, where it is one of that type.
func caught<Failure: Error>(_ type: Failure.Type, _ body: () throws -> Void) -> Failure? {
    do {
        try body()
        return nil
    } catch {
        return error as? Failure
    }
}
