// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import RelayServerProgram

@Suite("The command line of relay-server")
struct RelayServerCommandTests {
    @Test("the id of a transfer may begin with a dash")
    func ids() {
        let id = "-60K1MMJLQTPZmNAn4VSpQ"
        #expect(
            RelayServerCommand.separated(["transfers", "cancel", id, "--json"])
                == ["transfers", "cancel", "--json", "--", id])
        for others in [
            ["transfers", "cancel", "--", id], ["transfers", "list", "--json"], ["users", "show", id],
            ["transfers", "cancel", "AAECAwQFBgcICQoLDA0ODw"], [],
        ] { #expect(RelayServerCommand.separated(others) == others) }
    }
}
