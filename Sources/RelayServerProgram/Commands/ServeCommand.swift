// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Glibc
import ServerSystem

/// `relay-server [serve]`
struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Run the relay until SIGTERM (the default sub-command).",
        discussion: """
            Examples:
              relay-server --tls-cert certs/out/server.pem --tls-key certs/out/server.key
              relay-server --config /etc/relay/server.json
              relay-server --listen 0.0.0.0:443 --listen '[::]:443' --http-listen 0.0.0.0:80 \
            --tls-cert /etc/relay/fullchain.pem --tls-key /etc/relay/privkey.pem
              relay-server --config server.json --daemonize --pid-file relay.pid --log-file relay.log

            Signals:
              SIGTERM, SIGINT  no new transfers, the running ones finish (30 s at most), exit 0; a second one stops \
            at once
              SIGHUP           read certificates, limits and the log level again; a mistake in any of them changes nothing
              SIGUSR1          open the log file by its name again, after it was moved away
            """
    )

    @OptionGroup var options: ServerOptions

    @Flag(help: "Serve without a terminal, in the background; exit 0 once the relay serves, or say why it does not.")
    var daemonize = false

    @Flag(
        help: """
            Take the place of the relay that serves with the same state directory: it hands its ports over, and ends \
            once its transfers have. When this one cannot serve, the other goes on. `relay-server restart` does it all.
            """
    )
    var takeover = false

    func run() async throws {
        // The path of the program is read before anything else: a restart in days or months needs it, and an upgrade
        // may have moved the file by then.
        _ = Launch.program
        let report = StartReport.own
        do {
            let settings = try options.configuration()
            if daemonize, report == nil { return try Self.daemonize(settings) }
            try await serve(settings, report)
        } catch {
            report?.failed(error)
            throw error
        }
    }

    private func serve(_ settings: ServerConfiguration, _ report: StartReport?) async throws {
        let inherited = try SocketActivation.take()
        let descriptors = ProcessLimits.apply()
        let log = try LineLogHandler.log(settings.log)
        let application = RelayApplication(
            configuration: settings, log: log, descriptorLimit: descriptors, inherited: inherited,
            read: { [options] () throws(OperatorError) in try options.configuration() },
            manager: ServiceManager(), watchdog: Watchdog(), takesOver: takeover || report?.purpose == .successor,
            report: report)
        try await application.run()
    }

    /// Starts a copy in the background, and waits until it serves.
    private static func daemonize(_ settings: ServerConfiguration) throws {
        guard settings.log.file != nil else {
            throw OperatorError(
                .usage, "--daemonize leaves the terminal, and the log would be lost: give --log-file FILE"
            )
        }
        switch try Launch(purpose: .daemon).run() {
        case .serves: return
        // It has said why on this standard error, which it has until it serves.
        case .failed(_, .exited(let status)) where status != 0: throw ExitCode(status)
        case .failed(_, let end):
            let how = end.map { if case .killed(let signal) = $0 { "signal \(signal) ended it" } else { "it ended" } }
            throw OperatorError(
                .unavailable, "the relay in the background did not start: \(how ?? "it is gone"); see the log file"
            )
        }
    }
}
