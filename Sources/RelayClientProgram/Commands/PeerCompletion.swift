// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLineInterface
import TransferClient
import WSProtocol

/// What a shell offers while a person types: what the profile knows. Reads one file of it, asks no relay, and says
/// nothing when something is wrong.
enum PeerCompletion {
    /// `NAME`.
    static let name = CompletionKind.custom { words, _, prefix in
        names(Profile(words).peers, prefix: unquoted(prefix))
    }

    /// `NAME[,NAME...]`.
    static let names = CompletionKind.custom { words, _, prefix in
        list(Profile(words).peers, prefix: unquoted(prefix))
    }

    /// The ID of an unfinished transfer.
    static let transfer = CompletionKind.custom { words, _, prefix in
        Profile(words).transfers.filter { $0.hasPrefix(unquoted(prefix)) }
    }

    /// The names among `peers` that begin with `prefix`.
    static func names(_ peers: [String], prefix: String) -> [String] { peers.filter { $0.hasPrefix(prefix) } }

    /// Lists of names that `prefix` may become: all names of it before the last, and one of `peers` as the last.
    static func list(_ peers: [String], prefix: String) -> [String] {
        var listed = prefix.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        let last = listed.popLast() ?? ""
        let others = peers.filter { !listed.contains($0) }
        return names(others, prefix: last).map { (listed + [$0]).joined(separator: ",") }
    }

    /// A word of a command line as its command gets it: shells pass it on as it was typed.
    static func unquoted(_ word: String) -> String {
        var (text, quote, isEscaped) = ("", nil as Character?, false)
        for character in word {
            if isEscaped {
                text.append(character)
                isEscaped = false
            } else if character == "\\", quote != "'" {
                isEscaped = true
            } else if character == quote {
                quote = nil
            } else if quote == nil, character == "'" || character == "\"" {
                quote = character
            } else {
                text.append(character)
            }
        }
        return text
    }

    /// The profile that a command line is about.
    struct Profile {
        /// Its folder; nil where there is none.
        let directory: String?

        init(_ words: [String], environment: Environment = .current) {
            directory =
                Self.option(words, environment) ?? environment[.profile]
                ?? (try? ProfileLocation.directory(environment: environment.variables))
        }

        /// The names it knows.
        var peers: [String] {
            let peers = directory.flatMap { try? PeerStore($0).list() } ?? []
            return peers.map(\.name.rawValue)
        }

        /// The IDs of its unfinished transfers.
        var transfers: [String] {
            let records = directory.flatMap { try? TransferRecords($0).all(now: WallClock.milliseconds()) } ?? []
            return records.map { TransferText.shortID($0.transfer.rawValue) }
        }

        private static func option(_ words: [String], _ environment: Environment) -> String? {
            let before = words.prefix { $0 != "--" }
            for (index, word) in before.enumerated().reversed() {
                let path: String
                if word.hasPrefix("--profile=") {
                    path = unquoted(String(word.dropFirst("--profile=".count)))
                } else if word == "--profile", index + 1 < before.count {
                    path = unquoted(before[index + 1])
                } else {
                    continue
                }
                // Shells have not put the home in yet.
                guard path == "~" || path.hasPrefix("~/"), let home = environment.variables["HOME"] else { return path }
                return home + path.dropFirst()
            }
            return nil
        }
    }
}
