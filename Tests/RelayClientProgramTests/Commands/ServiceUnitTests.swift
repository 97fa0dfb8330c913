// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import RelayClientProgram

@Suite struct ServiceUnitTests {
    @Test(arguments: [
        ("plain-word_1.x:/@+,=", "plain-word_1.x:/@+,="), ("", "\"\""), ("a b", "\"a b\""),
        ("50%", "\"50%%\""), ("$HOME", "\"$$HOME\""), ("${x}", "\"$${x}\""), ("a\"b\\c", "\"a\\\"b\\\\c\""),
        ("it's", "\"it's\""), ("a;b", "\"a;b\""), ("@x", "@x"), ("ü/ñ", "ü/ñ"),
    ]) func anArgumentIsReadAsItIs(text: String, quoted: String) { #expect(ServiceUnit.quoted(text) == quoted) }

    @Test func aLineBreakCannotAddASetting() {
        for part in ["a\nExecStartPre=/bin/x", "a\u{0}", "a\r"] {
            var unit = ServiceUnit(description: "x", name: "x", command: ["/bin/x"], directory: "/in")
            #expect(throws: Never.self) { try unit.text }
            unit.command.append(part)
            #expect(throws: ServiceUnit.Fault(part: part)) { try unit.text }
            unit.command.removeLast()
            unit.directory = part
            #expect(throws: ServiceUnit.Fault(part: part)) { try unit.text }
        }
    }
}
