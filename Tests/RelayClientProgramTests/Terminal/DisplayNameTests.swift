// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import RelayClientProgram

struct DisplayNameTests {
    @Test(arguments: [
        ("report.pdf", "report.pdf"),
        ("two\nlines\r\t", "two\\nlines\\r\\t"),
        ("\u{1b}[2J\u{7f}\u{9b}", "\\u{1b}[2J\\u{7f}\\u{9b}"),
        ("a\u{202e}b\u{2066}\u{200f}\u{61c}", "a\\u{202e}b\\u{2066}\\u{200f}\\u{61c}"),
        ("\u{2028}\u{2029}\u{feff}\u{ad}", "\\u{2028}\\u{2029}\\u{feff}\\u{ad}"),
        ("\u{3164}\u{e0041}\u{fe0f}", "\\u{3164}\\u{e0041}\\u{fe0f}"),
        ("back\\slash \"quoted\"", "back\\\\slash \\\"quoted\\\""),
        ("👩‍👩‍👧 ❤️ é 日本", "👩‍👩‍👧 ❤️ é 日本"),
        ("a\u{200d}b", "a\\u{200d}b"),
    ])
    func escapes(_ name: String, _ shown: String) {
        #expect(DisplayName.escape(name) == shown)
    }

    @Test func whatIsShownMeansOneNameOnly() {
        #expect(DisplayName.escape("\n") != DisplayName.escape("\\n"))
        #expect(DisplayName.escape("\u{202e}") != DisplayName.escape("\\u{202e}"))
    }

    @Test func longNamesLoseTheirMiddle() {
        let shown = DisplayName.escape(String(repeating: "a", count: 50_000) + ".pdf", columns: 20)
        #expect(shown == "aaaaaaaaaa…aaaaa.pdf")
        #expect(TextWidth.columns(of: DisplayName.escape(String(repeating: "日", count: 99), columns: 20)) <= 20)
        #expect(DisplayName.escape(String(repeating: "\u{301}", count: 50_000), columns: 20).unicodeScalars.count < 100)
        #expect(DisplayName.escape(String(repeating: "x", count: 20), columns: 20).count == 20)
    }

    @Test func messagesStayOnOneLine() {
        #expect(DisplayName.line("a \"b\\n\"\n\u{1b}[31m") == "a \"b\\n\"\\u{a}\\u{1b}[31m")
        #expect(DisplayName.line(String(repeating: "x", count: 9_999)).count == Defaults.maximumMessage)
    }
}
