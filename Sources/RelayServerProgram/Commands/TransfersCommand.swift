// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import ServerSystem
import TransferBroker
import WSProtocol

/// `relay-server transfers`
struct TransfersCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "transfers",
        abstract: "List the transfers, or cancel one.",
        subcommands: [List.self, Cancel.self]
    )

    /// `relay-server transfers list`
    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list",
            abstract: "Print each transfer: id, state, sender, receiver, bytes, node, separated by tabs.",
            discussion: """
                The node is the one that the sender is connected to. In a cluster, all nodes are asked: one that does \
                not answer is named on standard error, and the exit code is 69. Only the clients know the content.
                """
        )

        @OptionGroup var output: OutputOptions
        @OptionGroup var state: StateOptions

        func run() async throws {
            let survey = try await state.client().transfers { transfer in
                try output.write(transfer) {
                    "\(transfer.id)\t\(transfer.state.rawValue)\t\(transfer.from)\t\(transfer.to)\t"
                        + "\(transfer.bytes.map { "\($0)" } ?? "-")\t\(transfer.node)"
                }
            }
            if let gap = survey.gap("its transfers are not shown") { throw OperatorError(.unavailable, gap) }
        }
    }

    /// `relay-server transfers cancel`
    struct Cancel: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "cancel",
            abstract: "End a transfer; both sides are told that an operator did."
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
