// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import TransferBroker
import WSProtocol

/// `relay-server transfers`
struct TransfersCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "transfers",
        abstract: "List the transfers of this node, or cancel one.",
        subcommands: [List.self, Cancel.self]
    )

    /// `relay-server transfers list`
    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list",
            abstract: "Print each transfer: id, state, sender, receiver, bytes, separated by tabs.",
            discussion: """
                Of a cluster, those whose senders are connected to the node that is asked. What is sent is known to \
                the clients alone.
                """
        )

        @OptionGroup var output: OutputOptions
        @OptionGroup var state: StateOptions

        func run() async throws {
            for transfer in try await state.client().transfers() {
                try output.write(transfer) {
                    "\(transfer.id)\t\(transfer.state.rawValue)\t\(transfer.from?.rawValue ?? "-")\t\(transfer.to)\t"
                        + "\(transfer.bytes.map { "\($0)" } ?? "-")"
                }
            }
        }
    }

    /// `relay-server transfers cancel`
    struct Cancel: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "cancel",
            abstract: "End a transfer; both sides hear that an operator did."
        )

        @Argument(
            help: "The transfer's id, as `transfers list` prints it.",
            transform: { text in
                guard let id = TransferID(rawValue: text) else {
                    throw ValidationError("\"\(text)\" is not a transfer's id, which has 22 characters")
                }
                return id
            }
        )
        var id: TransferID

        @OptionGroup var output: OutputOptions
        @OptionGroup var state: StateOptions

        func run() async throws {
            let reply = try await state.client().ask(.cancel(transfer: id))
            guard case .cancelled(let transfer) = reply else { throw AdminClient.unexpected }
            try output.write(["cancelled": transfer]) { "cancelled \(transfer)" }
        }
    }
}
