// SPDX-License-Identifier: Apache-2.0

/// A pattern of `--exclude`, as a shell has them: `*`, `?`, `[a-z]`, `[!a-z]`, and a backslash before what is meant as
/// it is. Without a slash it is compared with the name of each file and folder; with one, with the path below what the
/// person named, whose name may stand in front. One that ends in a slash leaves out folders only.
struct ExcludePattern: Sendable {
    private enum Token: Hashable {
        case one(Unicode.Scalar)
        case anyOne
        case anyNumber
        case set([ClosedRange<Unicode.Scalar>], isNegated: Bool)
    }

    /// Whether it says nothing of files and links.
    let isOfFolders: Bool
    private let components: [[Token]]
    private let hasSlash: Bool

    init(_ text: String) {
        isOfFolders = text.hasSuffix("/")
        let parts = text.split(separator: "/")
        components = parts.map { Self.tokens(Array($0.unicodeScalars)) }
        hasSlash = parts.count > 1 || text.hasPrefix("/")
    }

    /// Whether it is about the entry with this way to it: the name of what the person named first, its own last.
    func matches(_ way: [String]) -> Bool {
        guard !components.isEmpty, let name = way.last else { return false }
        guard hasSlash else { return Self.matches(components[0], name) }
        return matchesWhole(way.dropFirst()) || matchesWhole(way[...])
    }

    private func matchesWhole(_ way: ArraySlice<String>) -> Bool {
        way.count == components.count && zip(components, way).allSatisfy { Self.matches($0, $1) }
    }

    /// Each `*` takes as little as it can, and more when what is behind it does not fit: only the last one has to be
    /// thought of again, so that no pattern takes long.
    private static func matches(_ tokens: [Token], _ name: String) -> Bool {
        let name = Array(name.unicodeScalars)
        var (token, position) = (0, 0)
        var retry: (token: Int, position: Int)?
        while position < name.count || token < tokens.count {
            if token < tokens.count, tokens[token] == .anyNumber {
                retry = (token, position)
                token += 1
            } else if token < tokens.count, position < name.count, matches(tokens[token], name[position]) {
                (token, position) = (token + 1, position + 1)
            } else if let again = retry, again.position < name.count {
                retry = (again.token, again.position + 1)
                (token, position) = (again.token + 1, again.position + 1)
            } else {
                return false
            }
        }
        return true
    }

    private static func matches(_ token: Token, _ scalar: Unicode.Scalar) -> Bool {
        switch token {
        case .one(let other): other == scalar
        case .anyOne: true
        case .anyNumber: false
        case .set(let ranges, let isNegated): ranges.contains { $0.contains(scalar) } != isNegated
        }
    }

    private static func tokens(_ text: [Unicode.Scalar]) -> [Token] {
        var tokens: [Token] = []
        var rest = text[...]
        while let scalar = rest.popFirst() {
            switch scalar {
            case "*": tokens.append(.anyNumber)
            case "?": tokens.append(.anyOne)
            case "\\": tokens.append(.one(rest.popFirst() ?? "\\"))
            case "[": tokens.append(set(&rest) ?? .one("["))
            default: tokens.append(.one(scalar))
            }
        }
        return tokens
    }

    /// What is in brackets; nil, with nothing taken, when no bracket closes them.
    private static func set(_ text: inout ArraySlice<Unicode.Scalar>) -> Token? {
        var rest = text
        var ranges: [ClosedRange<Unicode.Scalar>] = []
        let isNegated = rest.first == "!" || rest.first == "^"
        if isNegated { rest.removeFirst() }
        var isFirst = true
        while var low = rest.popFirst() {
            if low == "]", !isFirst {
                text = rest
                return .set(ranges, isNegated: isNegated)
            }
            isFirst = false
            if low == "\\" { low = rest.popFirst() ?? low }
            var high = low
            if rest.first == "-", let end = rest.dropFirst().first, end != "]" {
                rest = rest.dropFirst(2)
                high = end == "\\" ? rest.popFirst() ?? end : end
            }
            if low <= high { ranges.append(low...high) }
        }
        return nil
    }
}
