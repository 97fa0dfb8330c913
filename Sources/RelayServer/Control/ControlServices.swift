// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import WSProtocol

/// What every control connection needs of the node.
struct ControlServices: Sendable {
    var exchange: ExchangeService
    var directory: any UserDirectory
    /// Who may claim a new name, as the challenge says it.
    var registration: ServerMessage.Registration
    /// This program and its version.
    var agent: Label
    var logger: Logger
    /// How much clients may say.
    var budgets = MessageBudgets()
    /// What they leave unread.
    var unread = UnreadBytes()
    /// Who is told of limits that are met.
    var reports: LimitReports
}
