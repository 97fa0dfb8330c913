// SPDX-License-Identifier: Apache-2.0

package import Logging
import NIOCore
package import WSProtocol

/// What every control connection needs of the node.
package struct ControlServices: Sendable {
    package var broker: BrokerService
    package var directory: any UserDirectory
    /// Who may claim a new name, as the challenge says it.
    package var registration: ServerMessage.Registration
    /// This program and its version.
    package var agent: Label
    package var logger: Logger
    /// How much clients may say.
    package var budgets = MessageBudgets()
    /// What they leave unread.
    package var unread = UnreadBytes()
    /// The names that they register.
    package var newNames = NewNames()
    /// Who is told of limits that are met.
    package var reports: LimitReports

    package init(
        broker: BrokerService, directory: any UserDirectory, registration: ServerMessage.Registration,
        agent: Label, logger: Logger, budgets: MessageBudgets = MessageBudgets(),
        unread: UnreadBytes = UnreadBytes(), newNames: NewNames = NewNames(), reports: LimitReports
    ) {
        self.broker = broker
        self.directory = directory
        self.registration = registration
        self.agent = agent
        self.logger = logger
        self.budgets = budgets
        self.unread = unread
        self.newNames = newNames
        self.reports = reports
    }
}
