// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import RelayNode
import ServerSystem

/// `relay-server check`
struct CheckCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Validate configuration and certificates, without serving: exit 0, or 78 and why.",
        discussion: """
            Takes the same options as serve. Example:
              relay-server check --config /etc/relay/server.json
            """
    )

    @OptionGroup var options: ServerOptions

    func run() async throws {
        let settings: ServerConfiguration
        let warnings: [CertificateProblem]
        do {
            settings = try options.configuration()
            warnings = try Self.validate(settings)
            try await settings.cluster?.checkRedis()
        } catch {
            // Whatever is wrong, and wherever it stands, here it is the configuration.
            throw OperatorError(.configuration, error.message)
        }
        for path in settings.exposedFiles {
            LogSink.standardError.write(
                "warning: every user of this machine may read \(path), a file with a secret: chmod 600 it\n")
        }
        for warning in warnings { LogSink.standardError.write("warning: \(TextEscape.escape(warning.message))\n") }
        try Answer.write("the configuration is good")
    }

    /// Returns what is no mistake yet.
    static func validate(_ settings: ServerConfiguration) throws(OperatorError) -> [CertificateProblem] {
        try settings.certificate.check()
        let problems = try CertificateInventory(settings).problems(at: Int64(LogTime.now.seconds))
        if let problem = problems.first, problem.isFatal { throw OperatorError(.configuration, problem.message) }
        try settings.checkFolders()
        try settings.cluster?.checkFiles()
        if let address = settings.cluster?.listen { _ = try address.resolved() }
        _ = try AdminSocket.path(in: settings.stateDirectory)
        try StateDirectory.check(settings.stateDirectory)
        for address in settings.listen { _ = try address.resolved() }
        if let address = settings.httpListen { _ = try address.resolved() }
        if case .chosen(let address) = settings.metricsListen { _ = try address.resolved() }
        return problems
    }
}
