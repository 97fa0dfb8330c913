// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import RelayClientProgram

@Suite struct EnvironmentTests {
    private func value(_ text: String?, of variable: Environment.Variable) -> String? {
        Environment(variables: text.map { [variable.rawValue: $0] } ?? [:])[variable]
    }

    @Test(arguments: Environment.Variable.allCases) func anEmptyVariableCountsAsNotSet(_ variable: Environment.Variable)
    {
        #expect(value(nil, of: variable) == nil && value("", of: variable) == nil)
        #expect(value("x", of: variable) == "x")
    }

    @Test func blanksAndQuotesOfAPasteAreLeftOut() {
        #expect(value(" https://relay.example.com\n", of: .server) == "https://relay.example.com")
        #expect(value("  \n", of: .invite) == nil)
        // A path may have blanks of its own.
        #expect(value("/a b/c", of: .profile) == "/a b/c")
    }

    @Test func everyVariableHasThePrefix() {
        for variable in Environment.Variable.allCases { #expect(variable.rawValue.hasPrefix("RELAY_")) }
        #expect(Environment.Variable.allCases.filter(\.isPath) == [.profile, .ca])
    }
}
