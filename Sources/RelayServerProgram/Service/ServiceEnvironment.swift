// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Glibc

/// The variables in which a service manager, or another copy of this program, says what this process was started for.
enum ServiceEnvironment {
    /// All variables of the process.
    static var variables: [String: String] { ProcessInfo.processInfo.environment }

    /// The value of `name`, which is gone then: it does not hold for what this process starts. Only before there are
    /// threads.
    static func take(_ name: String) -> String? {
        guard let value = unsafe getenv(name).map({ unsafe String(cString: $0) }) else { return nil }
        _ = unsafe unsetenv(name)
        return value
    }
}
