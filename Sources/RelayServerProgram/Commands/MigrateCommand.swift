// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import RelayNode
import ServerSystem

/// `relay-server migrate`
struct MigrateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "migrate",
        abstract: "Take over the users of another relay on this machine: from one relay to a cluster, and back.",
        discussion: """
            Users, limits, notes and invitations of the relay with the state directory FROM are put into the registry \
            of this one, which may have no users yet. Neither relay need run, but a node of a cluster has to. FROM is \
            not changed: stop it when its clients come here. Examples:
              relay-server migrate /var/lib/relay-alone --state-dir /var/lib/relay-n1    to the cluster of the node n1
              relay-server migrate /var/lib/relay-n1 --state-dir /var/lib/relay-alone    and back
            """
    )

    @Argument(help: "The state directory of the other relay.", completion: .directory)
    var from: String

    @Flag(help: "Remove the users and invitations that are not in the other registry.")
    var replace = false

    @OptionGroup var state: StateOptions

    func run() async throws {
        guard try state.client().stateDirectory != from else {
            throw OperatorError(.usage, "\(from) is the state directory of this relay itself: name the other one's")
        }
        let copy = try await RegistryAccess(at: from).copy()
        // A node that does not run has nothing there either: the cluster's users are not to be replaced by none.
        guard !copy.users.isEmpty || !copy.invitations.isEmpty else {
            throw OperatorError(
                .noInput,
                "\(from) has no users: is it the state directory of a relay, and does it run, if it is a node?")
        }
        try await RegistryAccess(state).restore(copy, replacing: replace)
        try Answer.write("took over \(copy.users.count) users and \(copy.invitations.count) invitations")
    }
}
