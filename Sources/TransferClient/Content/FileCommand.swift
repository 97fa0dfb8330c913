// SPDX-License-Identifier: Apache-2.0

/// What a person wants to be run for each file that has arrived: a program with its arguments, or a text that a shell
/// reads. What a peer has said reaches it in variables alone, and never as a part of what is written here.
package struct FileCommand: Hashable, Sendable {
    /// What a command finds in its environment, and may have among its arguments as `$RELAY_FILE` or `${RELAY_FILE}`.
    package enum Variable: String, Hashable, Sendable, CaseIterable {
        case file = "RELAY_FILE"
        case from = "RELAY_FROM"
        case size = "RELAY_SIZE"
        case transfer = "RELAY_TRANSFER"
    }

    /// Why a text cannot be run without a shell.
    package enum Fault: Error, Hashable, Sendable {
        case empty
        /// Something that only a shell knows.
        case needsShell(String)
        /// A quotation mark without another one.
        case openQuote
        /// A variable other than those above.
        case unknownVariable(String)
    }

    private enum Piece: Hashable, Sendable {
        case text(String)
        case variable(Variable)
    }

    /// As the person wrote it.
    package let text: String
    /// Whether a shell reads it.
    package let isShell: Bool
    private let words: [[Piece]]

    /// What a shell reads.
    package init(shell text: String) throws(Fault) {
        guard text.contains(where: { !$0.isWhitespace }) else { throw .empty }
        (self.text, isShell, words) = (text, true, [])
    }

    /// A program with its arguments, in words with blanks between them, quoted as for a shell.
    package init(_ text: String) throws(Fault) {
        var scanner = Scanner(text)
        words = try scanner.words()
        guard words.first?.isEmpty == false else { throw .empty }
        (self.text, isShell) = (text, false)
    }

    /// What is run, as the program and its arguments.
    package func arguments(_ values: [Variable: String]) -> [String] {
        if isShell { return ["/bin/sh", "-c", text] }
        return words.map { word in
            word.map { piece in
                switch piece {
                case .text(let text): text
                case .variable(let variable): values[variable] ?? ""
                }
            }.joined()
        }
    }

    /// The program, as it is written.
    package var program: String { arguments([:]).first ?? "" }

    /// Splits a text into words as a shell does, as far as that means the same to every shell.
    private struct Scanner {
        private var rest: Substring.UnicodeScalarView
        private var word: [Piece]?

        init(_ text: String) { rest = text[...].unicodeScalars }

        mutating func words() throws(Fault) -> [[Piece]] {
            var words: [[Piece]] = []
            while let scalar = rest.popFirst() {
                switch scalar {
                case " ", "\t":
                    if let word { words.append(word) }
                    word = nil
                case "'": try single()
                case "\"": try double()
                case "\\":
                    guard let next = rest.popFirst(), next != "\n" else { throw .needsShell("\\") }
                    add(next)
                case "$": try variable()
                case "|", "&", ";", "<", ">", "(", ")", "`", "*", "?", "[", "]", "{", "}", "!", "\n", "\r":
                    throw .needsShell(String(Character(scalar)))
                case "~", "#":
                    guard word != nil else { throw .needsShell(String(Character(scalar))) }
                    add(scalar)
                // A variable that is set for the command.
                case "=" where words.isEmpty: throw .needsShell("=")
                default: add(scalar)
                }
            }
            if let word { words.append(word) }
            return words
        }

        private mutating func single() throws(Fault) {
            word = word ?? []
            while let scalar = rest.popFirst() {
                if scalar == "'" { return }
                add(scalar)
            }
            throw .openQuote
        }

        private mutating func double() throws(Fault) {
            word = word ?? []
            while let scalar = rest.popFirst() {
                switch scalar {
                case "\"": return
                case "`": throw .needsShell("`")
                case "$": try variable()
                case "\\":
                    guard let next = rest.first, ["\"", "\\", "$", "`"].contains(next) else {
                        add(scalar)
                        continue
                    }
                    rest.removeFirst()
                    add(next)
                default: add(scalar)
                }
            }
            throw .openQuote
        }

        /// What stands behind a `$`.
        private mutating func variable() throws(Fault) {
            let isBraced = rest.first == "{"
            if isBraced { rest.removeFirst() }
            var name = ""
            while let scalar = rest.first, Self.isOfName(scalar, isFirst: name.isEmpty) {
                name.unicodeScalars.append(scalar)
                rest.removeFirst()
            }
            if isBraced {
                guard rest.popFirst() == "}" else { throw .needsShell("${") }
            }
            guard !name.isEmpty else { throw .needsShell("$") }
            guard let variable = Variable(rawValue: name) else { throw .unknownVariable(name) }
            word = (word ?? []) + [.variable(variable)]
        }

        /// Whether a name of a variable may have it.
        private static func isOfName(_ scalar: Unicode.Scalar, isFirst: Bool) -> Bool {
            let isDigit = ("0"..."9").contains(scalar)
            return scalar == "_" || scalar.isASCII && scalar.properties.isAlphabetic || isDigit && !isFirst
        }

        private mutating func add(_ scalar: Unicode.Scalar) {
            var pieces = word ?? []
            if case .text(var text)? = pieces.last {
                text.unicodeScalars.append(scalar)
                pieces[pieces.count - 1] = .text(text)
            } else {
                pieces.append(.text(String(Character(scalar))))
            }
            word = pieces
        }
    }
}
