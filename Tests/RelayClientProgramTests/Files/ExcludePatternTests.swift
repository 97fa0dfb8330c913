// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import RelayClientProgram

struct ExcludePatternTests {
    /// What fnmatch(3) says of these names.
    @Test(arguments: [
        ("*.tmp", "a.tmp", true), ("*.tmp", ".tmp", true), ("*.tmp", "a.tmpx", false), ("*", "", true),
        ("*", "anything", true), ("?", "é", true), ("?", "", false), ("a*b*c", "axxbxxbc", true),
        ("a*b*c", "axxbxx", false), ("[a-c]x", "bx", true), ("[a-c]x", "dx", false), ("[!a-c]x", "dx", true),
        ("[^a-c]x", "ax", false), ("[]]", "]", true), ("[a-]", "-", true), ("[", "[", true), ("[ab", "[ab", true),
        ("\\*", "*", true), ("\\*", "x", false), ("[\\]]", "]", true), ("a\\", "a\\", true), (".*", ".git", true),
        ("名*", "名前", true), ("", "", false), ("a", "A", false), ("*?", "a", true), ("**", "a", true),
        ("[z-a]", "m", false), ("a?", "a", false),
    ])
    func aNameIsMatchedAsAShellDoes(_ pattern: String, _ name: String, _ matches: Bool) {
        #expect(ExcludePattern(pattern).matches(["top", name]) == matches)
        #expect(ExcludePattern(pattern).matches(["top", "folder", name]) == matches)
        #expect(ExcludePattern(pattern).matches([name]) == matches)
    }

    @Test(arguments: [
        ("build/out", ["top", "build", "out"], true), ("build/out", ["top", "x", "build", "out"], false),
        ("top/build", ["top", "build"], true), ("/build", ["top", "build"], true),
        ("/build", ["top", "x", "build"], false), ("build/*", ["top", "build", "a"], true),
        ("build/*", ["top", "build", "a", "b"], false), ("*/a", ["top", "x", "a"], true), ("/top", ["top"], true),
        ("build//out", ["top", "build", "out"], true), ("/", ["top", "build"], false),
    ])
    func aPatternWithASlashIsMatchedWithThePath(_ pattern: String, _ way: [String], _ matches: Bool) {
        #expect(ExcludePattern(pattern).matches(way) == matches)
    }

    @Test func aSlashAtTheEndIsForFolders() {
        #expect(ExcludePattern("build/").isOfFolders)
        #expect(!ExcludePattern("build").isOfFolders)
        #expect(ExcludePattern("build/").matches(["top", "x", "build"]))
        #expect(!ExcludePattern("/build/").matches(["top", "x", "build"]))
    }

    /// What makes other matchers take years.
    @Test func noPatternTakesLong() {
        let pattern = ExcludePattern(String(repeating: "*a", count: 100) + "b")
        #expect(!pattern.matches(["top", String(repeating: "a", count: 255)]))
    }
}
