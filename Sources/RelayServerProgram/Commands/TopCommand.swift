// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Glibc
import NIOCore
import NIOPosix
import ServerSystem
import TransferBroker
import WSProtocol

/// `relay-server top`
struct TopCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "top",
        abstract: "Show the activity of the running server, and refresh it every second.",
        discussion: """
            Shows the transfers that move, with their rates, and the sessions, as many as fit; the first lines count \
            all. Examples:
              relay-server top
              relay-server top --once
              relay-server top --json | jq -c '.transfers[] | [.from, .to, .rate]'
            """
    )

    @Flag(help: "Print one JSON object a refresh instead of a table.")
    var json = false

    @Flag(help: "Print one table and end. Rates are those of one second.")
    var once = false

    @OptionGroup var state: StateOptions

    func run() async throws {
        let client = try state.client()
        var rates = TopRates()
        var isFirst = true
        while true {
            let screen = json ? nil : Screen.now
            let limit = json ? Defaults.Admin.mostInTop : screen?.rows ?? Defaults.Admin.usualInTop
            guard case .top(let top) = try await client.ask(.top(limit: limit)) else { throw AdminClient.unexpected }
            let rated = rates.rated(top)
            // The first look has no rates, which a single one is for.
            if !(once && isFirst) { try write(rated, screen, isFirst: isFirst) }
            if once, !isFirst { return }
            isFirst = false
            try await MultiThreadedEventLoopGroup.singleton.any()
                .scheduleTask(in: Defaults.Admin.topInterval) {}.futureResult.get()
        }
    }

    private func write(_ top: ServerTop, _ screen: Screen?, isFirst: Bool) throws {
        if json { return try Answer.write(StrictJSON.encode(top)) }
        guard let screen, !once else {
            let table = TopTable(rows: 2 * Defaults.Admin.usualInTop + 8, columns: Int.max)
            return try Answer.write((isFirst || once ? "" : "\n") + table.lines(top).joined(separator: "\n"))
        }
        // From the upper left corner; what was there before is erased line by line, so that nothing flickers.
        let lines = TopTable(rows: screen.rows - 1, columns: screen.columns).lines(top)
        try Answer.write("\u{1B}[H" + lines.map { $0 + "\u{1B}[K" }.joined(separator: "\n") + "\u{1B}[J")
    }
}

/// The terminal that standard output goes to.
private struct Screen {
    let rows: Int
    let columns: Int

    /// Nil when it goes elsewhere.
    static var now: Screen? {
        var size = winsize()
        guard unsafe ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_row > 1, size.ws_col > 0 else {
            return nil
        }
        return Screen(rows: Int(size.ws_row), columns: Int(size.ws_col))
    }
}
