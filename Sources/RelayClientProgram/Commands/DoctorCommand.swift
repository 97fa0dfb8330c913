// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Synchronization
import TransferClient

/// `relay-client doctor`.
struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Check each step of the connection to the relay.",
        discussion: """
            Prints one line per step (settings, DNS, TCP, proxy, TLS, certificate, WebSocket, login), and what to do \
            about the first that fails. Exit status: 0 if all steps succeed, otherwise that of the failing step.
            """
    )

    @OptionGroup var global: GlobalOptions

    func run() async throws { try await Client.run(global) { try await examine($0) } }

    /// Goes through the steps and says what became of each. Throws `ExitCode` when one has failed.
    func examine(_ client: Client) async throws {
        let passed = Mutex<Set<ConnectionStep>>([])
        let isJSON = global.json
        let show: @Sendable (ConnectionStep, String, Bool) -> Void = { step, text, isGood in
            client.reporter.answer(Self.line(step, text, isGood: isGood, isJSON: isJSON))
        }
        do {
            let profile = try client.profile()
            let relay = try client.relay(of: profile)
            var dialer = try client.dialer(to: relay, authorities: client.authorities ?? profile.caPath)
            show(.settings, "\(profile.name) at \(relay)", true)
            dialer.observer = { step, text in
                _ = passed.withLock { $0.insert(step) }
                show(step, text, true)
            }
            try await client.connector(relay, dialer, profile).logIn().close()
        } catch {
            let problem = ClientError(error)
            if problem == .interrupted { throw problem }  // No step has failed.
            let step = if case .connection(let error) = problem { error.step } else { ConnectionStep.settings }
            if step == .tcp, !passed.withLock({ $0.contains(.dns) }) {
                show(.dns, "an address was found", true)
            }
            if step == .certificate { show(.tls, "the relay answered", true) }
            show(step, problem.description, false)
            throw ExitCode(problem.status.rawValue)
        }
    }

    private struct Line: Encodable {
        var event = "step"
        var step: String
        var ok: Bool
        var text: String
    }

    private static func line(_ step: ConnectionStep, _ text: String, isGood: Bool, isJSON: Bool) -> String {
        guard isJSON else {
            let name = step.rawValue + String(repeating: " ", count: max(0, 12 - step.rawValue.utf8.count))
            return "\(name)\(isGood ? "OK      " : "FAILED  ")\(text)"
        }
        return JSONLine.text(of: Line(step: step.rawValue, ok: isGood, text: text)) ?? ""
    }
}
