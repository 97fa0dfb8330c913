// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLineInterface
import RelayNode
import ServerSystem

/// Where the process's memory ends, as it was configured.
enum MemoryLimit: Hashable, Sendable {
    /// Where the control group that the process runs in ends, if it does.
    case ofGroup
    case chosen(MemoryBudget)
    case off

    /// Reads a size, or `off`.
    /// - Throws: `ValidationError`.
    init(_ text: String) throws {
        guard text != "off" else {
            self = .off
            return
        }
        guard let budget = MemoryBudget(bytes: try ByteSize(text).bytes) else {
            throw ValidationError("nothing can be done in no memory; off means no limit")
        }
        self = .chosen(budget)
    }

    /// The budget that follows; nil when there is no limit.
    var budget: MemoryBudget? {
        switch self {
        case .ofGroup: ProcessMemory.groupLimit.flatMap { MemoryBudget(bytes: $0) }
        case .chosen(let budget): budget
        case .off: nil
        }
    }
}
