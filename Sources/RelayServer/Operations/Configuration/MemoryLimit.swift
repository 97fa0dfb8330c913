// SPDX-License-Identifier: Apache-2.0

/// Where the process's memory ends, as it was configured.
enum MemoryLimit: Hashable, Sendable {
    /// Where the control group that the process runs in ends, if it does.
    case ofGroup
    case chosen(MemoryBudget)
    case off

    /// Reads a size, or `off`.
    init?(_ text: String) {
        if text == "off" {
            self = .off
        } else if let budget = MemoryBudget(text) {
            self = .chosen(budget)
        } else {
            return nil
        }
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
