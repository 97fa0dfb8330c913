// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
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

            SIGTERM or SIGINT: no new transfers, the running ones finish (30 s at most), exit 0. \
            A second signal stops at once.
            """
    )

    @OptionGroup var options: ServerOptions

    func run() async throws {
        let settings = try options.configuration()
        let descriptors = ProcessLimits.apply()
        let logger = try LineLogHandler.logger(settings.log)
        try await RelayApplication(configuration: settings, logger: logger, descriptorLimit: descriptors).run()
    }
}
