// SPDX-License-Identifier: Apache-2.0

/// Lets the global options stand before the command as well as behind it: `relay-client --json send …`.
///
/// The argument parser knows an option only behind the command that declares it, so those that come first are moved.
enum ArgumentOrder {
    private static let withValue: Set<String> = ["--profile", "--server", "--ca"]
    private static let flags: Set<String> = ["--json", "--quiet", "--verbose"]

    /// `arguments` with the global options that stand before the first other word put right behind it.
    static func commandFirst(_ arguments: [String]) -> [String] {
        var rest = arguments[...]
        var moved: [String] = []
        while let argument = rest.first {
            if flags.contains(argument) || withValue.contains(where: { argument.hasPrefix($0 + "=") }) {
                moved.append(argument)
                rest.removeFirst()
            } else if withValue.contains(argument), rest.count > 1 {
                moved += rest.prefix(2)
                rest.removeFirst(2)
            } else {
                break
            }
        }
        guard !moved.isEmpty, let command = rest.first, !command.hasPrefix("-") else { return arguments }
        return [command] + moved + rest.dropFirst()
    }
}
