// SPDX-License-Identifier: Apache-2.0

import RelayClientProgram

/// The executable `relay-client`.
@main
enum Main {
    /// Runs the program with the command line's arguments.
    static func main() async {
        RelayClientCommand.prepare()
        await RelayClientCommand.main()
    }
}
