// SPDX-License-Identifier: Apache-2.0

import Glibc
import NIOCore
import ServerSystem

/// Tells the service manager that this process is well, for as long as all its event loops turn: one that hangs is
/// restarted (`WatchdogSec=`).
struct Watchdog: Sendable {
    /// The environment variable that says whose watchdog it is.
    static let processVariable = "WATCHDOG_PID"
    private static let variable = "WATCHDOG_USEC"

    /// How often the manager is told: half of the time after which it gives up; nil when it does not watch.
    let interval: TimeAmount?

    init(variables: [String: String] = ServiceEnvironment.variables, process: pid_t = getpid()) {
        guard let microseconds = variables[Self.variable].flatMap({ Int64($0) }), microseconds > 1,
            microseconds < Int64.max / 1000, variables[Self.processVariable].map({ $0 == "\(process)" }) ?? true
        else {
            interval = nil
            return
        }
        interval = .microseconds(microseconds / 2)
    }

    /// Tells `manager` from now on, for as long as `loops` run.
    func start(_ loops: [any EventLoop], _ manager: ServiceManager) {
        guard let interval, let first = loops.first else { return }
        let others = loops.dropFirst()
        first.scheduleRepeatedTask(initialDelay: .zero, delay: interval) { _ in
            // Each has to come by before the manager is told.
            let all = others.map { $0.submit {} }
            EventLoopFuture.andAllSucceed(all, on: first).whenSuccess { manager.tell(.watchdog) }
        }
    }
}
