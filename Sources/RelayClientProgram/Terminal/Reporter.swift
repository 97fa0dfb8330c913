// SPDX-License-Identifier: Apache-2.0

import CommandLineInterface
import Glibc
import NIOCore
import NIOPosix
import Synchronization
import WSProtocol

/// Tells the user, or the program that reads the output, what is going on. Safe to call from any thread.
///
/// Text is written while the lock is held, so that lines never mix and stay in order; a terminal that is stopped
/// (Ctrl-S) therefore stops the thread that reports, never an event loop, which reports nothing.
final class Reporter: Sendable {
    /// How reports are shown.
    enum Mode: Hashable, Sendable {
        /// Lines drawn again and again.
        case terminal(isColoured: Bool)
        /// Lines that stay.
        case plain
        /// Objects for programs.
        case json
        /// Errors only.
        case quiet
        /// Nothing: the owner tells what there is to say.
        case silent
    }

    private let state: Mutex<State>
    private let output: Int32
    private let errors: Int32
    private let isTerminal: Bool
    private let listener: (@Sendable (TransferReport) -> Void)?

    private struct State {
        var renderer: any ReportRenderer
        var ticking: RepeatedTask?
        /// Whether something for standard output could not be written.
        var hasLostOutput = false
    }

    /// - Parameters:
    ///   - mode: how to show reports; ``mode(json:quiet:isTerminal:environment:)`` chooses.
    ///   - isVerbose: whether details are shown.
    ///   - contentOnStandardOutput: whether standard output is taken by received content; then nothing else is
    ///     written there.
    ///   - output: standard output; another descriptor in tests only.
    ///   - errors: standard error; another descriptor in tests only.
    ///   - listener: told of every report besides, however it is shown.
    init(
        mode: Mode, isVerbose: Bool = false, contentOnStandardOutput: Bool = false,
        output: Int32 = STDOUT_FILENO, errors: Int32 = STDERR_FILENO,
        listener: (@Sendable (TransferReport) -> Void)? = nil
    ) {
        self.listener = listener
        self.output = output
        self.errors = errors
        isTerminal = if case .terminal = mode { true } else { false }
        let renderer: any ReportRenderer =
            switch mode {
            case .terminal(let isColoured): TerminalRenderer(isVerbose: isVerbose, isColoured: isColoured)
            case .plain: PlainRenderer(isVerbose: isVerbose)
            case .json: JSONRenderer(isVerbose: isVerbose, usesStandardError: contentOnStandardOutput)
            case .quiet: QuietRenderer()
            case .silent: SilentRenderer()
            }
        state = Mutex(State(renderer: renderer))
        guard case .terminal = mode else { return }
        let interval = Defaults.idleRedrawInterval
        let ticking = MultiThreadedEventLoopGroup.singleton.any().scheduleRepeatedTask(
            initialDelay: interval, delay: interval
        ) { [weak self] task in
            guard let self else { return task.cancel() }
            BlockingWork.terminal.start { self.tick() }
        }
        state.withLock { state in state.ticking = ticking }
    }

    /// The mode for this environment: colours and a moving line only where a user can see them. `isTerminal` says
    /// whether standard error is one; `environment` is looked at for TERM and NO_COLOR (no-color.org).
    static func mode(json: Bool, quiet: Bool, isTerminal: Bool, environment: [String: String]) -> Mode {
        if json { return .json }
        if quiet { return .quiet }
        let terminal = environment["TERM"] ?? ""
        guard isTerminal, !terminal.isEmpty, terminal != "dumb" else { return .plain }
        return .terminal(isColoured: environment["NO_COLOR", default: ""].isEmpty)
    }

    /// Shows `report`.
    func report(_ report: TransferReport) {
        listener?(report)
        show { renderer, now, columns in renderer.render(report, now: now, columns: columns) }
    }

    /// Shows the checksums of several files of `transfer`. Returns that of the only one, which belongs to the line of
    /// its end.
    ///
    /// - Parameter isOne: whether it is one file, and no folder.
    func report(_ checksums: [FileChecksum], of transfer: TransferID, isOne: Bool) -> String? {
        if isOne, checksums.count == 1 { return checksums[0].sha256 }
        for checksum in checksums { report(.checksum(transfer, checksum)) }
        return nil
    }

    /// Writes a line that the command was run for to standard output, whatever the mode.
    func answer(_ line: String) {
        show { _, _, _ in RenderedText(standardOutput: line + "\n") }
    }

    /// Whether standard output lacks something: the command has not done what it was run for.
    var hasLostOutput: Bool { state.withLock(\.hasLostOutput) }

    /// Clears the lines that are being drawn for a question; until ``release()`` nothing is drawn.
    func hold() {
        show { renderer, _, columns in renderer.hold(columns: columns) }
    }

    /// Goes on after ``hold()``, with what has come meanwhile.
    func release() {
        show { renderer, now, columns in renderer.release(now: now, columns: columns) }
    }

    /// Removes the lines that are still being drawn; to be called before the process ends.
    func finish() {
        show { renderer, _, columns in renderer.finish(columns: columns) }
        state.withLock { state in state.ticking?.cancel() }
    }

    private func tick() {
        show { renderer, now, columns in renderer.tick(now: now, columns: columns) }
    }

    private func show(_ render: (inout any ReportRenderer, NIODeadline, Int) -> RenderedText) {
        state.withLock { state in
            let (columns, rows) = size()
            state.renderer.fit(rows: rows)
            let text = render(&state.renderer, .now(), columns)
            if !state.hasLostOutput {
                do throws(StandardStream.Lost) {
                    try StandardStream.write(text.standardOutput, to: output)
                } catch {
                    // Transfers go on; what would be written from here on has a gap before it, and is left out too.
                    state.hasLostOutput = true
                    try? StandardStream.write("\(error)\n", to: errors)
                }
            }
            // The person who watched may be gone.
            try? StandardStream.write(text.standardError, to: errors)
        }
    }

    /// The terminal's, which may be another one each time.
    private func size() -> (columns: Int, rows: Int) {
        var size = winsize()
        guard isTerminal, unsafe ioctl(errors, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else {
            return (Defaults.terminalColumns, Defaults.terminalRows)
        }
        return (Int(size.ws_col), size.ws_row > 0 ? Int(size.ws_row) : Defaults.terminalRows)
    }
}
