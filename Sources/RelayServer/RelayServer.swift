// SPDX-License-Identifier: Apache-2.0

import RelayServerProgram

/// The program `relay-server`.
@main
enum RelayServer {
    static func main() async {
        RelayServerCommand.prepare()
        await RelayServerCommand.main()
    }
}
