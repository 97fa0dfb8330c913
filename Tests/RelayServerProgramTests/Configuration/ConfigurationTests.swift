// SPDX-License-Identifier: Apache-2.0

import Foundation
import Logging
import RelayNode
import RelayTestFixtures
import ServerSystem
import TestSupport
import Testing
import TransferBroker
import WSProtocol

@testable import RelayServerProgram

@Suite("Configuration")
struct ConfigurationTests {
    private let temporary: TemporaryDirectory

    init() throws { temporary = try TemporaryDirectory() }

    /// The two flags without which nothing is valid.
    private let certificate: [Setting: [String]] = [.tlsCert: ["cert.pem"], .tlsKey: ["key.pem"]]

    func file(_ text: String) throws -> String {
        let path = temporary.file("relay.json")
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
        return path
    }

    private func read(
        _ flags: [Setting: [String]] = [:], environment: [String: String] = [:], file: String? = nil
    ) throws -> ServerConfiguration {
        let all = certificate.merging(flags) { _, new in new }
        let environment = environment.merging(["HOME": "/home/relay"]) { given, _ in given }
        return try ServerConfiguration(SettingReader(flags: all, file: file, environment: environment))
    }

    private func failure(
        _ flags: [Setting: [String]] = [:], environment: [String: String] = [:], file: String? = nil
    ) -> OperatorError? {
        do {
            _ = try read(flags, environment: environment, file: file)
            return nil
        } catch {
            return error as? OperatorError
        }
    }

    @Test("blanks and line ends around what was pasted do no harm")
    func pasted() throws {
        let texts: [Setting: String] = [
            .listen: "127.0.0.1:8443", .registration: "open", .publicURL: "https://relay.example.com:8443",
            .limit: "rate=5M", .logLevel: "debug", .logFormat: "json", .memoryLimit: "1G", .metricsListen: "off",
        ]
        let clean = try read(texts.mapValues { [$0] })
        let pasted = try read(texts.mapValues { [" \t\($0)\r\n"] })
        #expect(pasted == clean)
    }

    @Test("settings that setup does not know stay as they are, whatever their names")
    func unknownSettings() throws {
        let read = try ConfigurationFile(path: file(#"{"a\"\\b\n": "x", "listen": ["a", "b"], "tls-cert": "/c"}"#))
        let written = try ConfigurationFile(path: file(read.text))
        #expect(written == read && written.values.count == 3 && written.isSetUp)
    }

    @Test("what has changed is named, and only what takes effect at once is taken")
    func differences() throws {
        let old = try read([.httpListen: ["127.0.0.1:80"]])
        let new = try read([
            .httpListen: ["127.0.0.1:80"], .site: ["s"], .acmeDir: ["a"], .logAddresses: ["none"], .tlsCert: ["other"],
            .limit: ["rate=5M"], .addressLimit: ["3"], .logLevel: ["debug"],
        ])
        #expect(
            new.differences(from: old) == [.site, .acmeDir, .logAddresses, .tlsCert, .limit, .addressLimit, .logLevel])
        #expect(new.differences(from: old.takingLive(from: new)) == [.site, .acmeDir, .logAddresses])
        #expect(new.differences(from: new).isEmpty)
    }

    @Test("settings that are not set have the documented defaults")
    func defaults() throws {
        let settings = try read()
        #expect(settings.listen.map(\.description) == ["0.0.0.0:8443"])
        #expect(settings.stateDirectory == "/home/relay/.local/state/relay-server")
        #expect(settings.registration == .invite)
        #expect(settings.publicURL == nil)
        #expect(settings.httpListen == nil)
        #expect(settings.metricsListen == .usual)
        #expect(settings.metricsListen.address?.description == "127.0.0.1:9180")
        #expect(settings.log == LogConfiguration(level: .info, format: .text, file: nil))
        #expect(settings.pidFile == nil)
    }

    @Test("an address has the limits of as many users as is set, or none")
    func addressLimit() throws {
        #expect(try read().addressLimit.unauthenticated == 64)
        #expect(try read([.addressLimit: ["2"]]).addressLimit.unauthenticated == 16)
        #expect(try read([.addressLimit: ["2"]]).addressLimit.holding?.sessions == 128)
        let off = try read(environment: ["RELAY_ADDRESS_LIMIT": "off"]).addressLimit
        #expect(off == .off && off.unauthenticated == nil && off.holding == nil && off.messages() == nil)
        for text in ["0", "1001", "-1", "+8", "8x", "no"] {
            let failure = failure([.addressLimit: [text]])
            #expect(failure?.message.contains("--address-limit: \"\(text)\" is not") == true)
        }
    }

    @Test("for each setting, flags take precedence over the environment, and the environment over the file")
    func precedence() throws {
        let path = try file(
            #"{"listen":["file:1","file:2"],"registration":"closed","log-level":"debug","log-format":"json"}"#
        )
        let environment = ["RELAY_LISTEN": "env:1,env:2", "RELAY_REGISTRATION": "open", "RELAY_LOG_FORMAT": ""]
        let settings = try read([.listen: ["flag:1", "flag:2"]], environment: environment, file: path)
        #expect(settings.listen.map(\.description) == ["flag:1", "flag:2"])
        #expect(settings.registration == .open)
        #expect(settings.log.level == .debug)
        #expect(settings.log.format == .json)
        #expect(try read(environment: environment, file: path).listen.map(\.host) == ["env", "env"])
        #expect(try read(file: path).listen.map(\.port) == [1, 2])
        #expect(try read(environment: ["RELAY_CONFIG": path]).registration == .closed)
    }

    @Test("metrics can be switched off, and a wrong address is not taken for that")
    func metrics() throws {
        #expect(try read([.metricsListen: ["off"]]).metricsListen == .off)
        #expect(try read([.metricsListen: ["off"]]).metricsListen.address == nil)
        #expect(try read(environment: ["RELAY_METRICS_LISTEN": "127.0.0.1:9180"]).metricsListen != .usual)
        #expect(failure([.metricsListen: ["Off"]])?.message.contains("--metrics-listen") == true)
    }

    @Test("ranges may be given one by one or separated by commas")
    func ranges() throws {
        let expected = ["10.0.0.0/8", "fd00::/8"]
        let texts = [.proxyProtocol: ["10.0.0.0/8, fd00::/8"], .trustedProxy: expected] as [Setting: [String]]
        let settings = try read(texts)
        #expect(settings.proxyProtocol.map(\.description) == expected)
        #expect(settings.trustedProxy.map(\.description) == expected)
        #expect(try read(environment: ["RELAY_PROXY_PROTOCOL": "10.0.0.0/8,fd00::/8"]).proxyProtocol.count == 2)
    }

    @Test(
        "a wrong value is named with its place, in one line; a flag exits 64, the rest 78",
        arguments: [
            (Setting.listen, "8443"), (.listen, "host:65536"), (.listen, ":1"), (.listen, "::1:80"),
            (.listen, "a b:1"), (.listen, "host:+1"), (.listen, "[host]:1"), (.registration, "Open"),
            (.publicURL, "http://relay.example.com"), (.publicURL, "https://relay.example.com/path"),
            (.publicURL, "https://user@relay.example.com"), (.publicURL, "https://"), (.publicURL, "relay"),
            (.httpListen, "x"), (.logLevel, "loud"), (.logFormat, "xml"), (.registration, "a\nb"),
            (.proxyProtocol, "10.0.0.1/8"), (.proxyProtocol, "10.0.0.0/8,,::1"), (.trustedProxy, "balancer"),
            (.memoryLimit, "some"),
        ]
    )
    func wrongValues(setting: Setting, text: String) throws {
        let byFlag = try #require(failure([setting: [text]]))
        #expect(byFlag.status == .usage)
        #expect(byFlag.message.contains("--\(setting.rawValue)"))
        #expect(!byFlag.description.contains("\n"))
        let byVariable = try #require(failure(environment: [setting.variable: text]))
        #expect(byVariable.status == .configuration)
        #expect(byVariable.message.contains(setting.variable))
    }

    @Test(
        "a wrong file is refused in words",
        arguments: [
            ("", "not a JSON object"), ("[]", "not a JSON object"), (#"{"listen":"#, "not a JSON object"),
            (#"{"log-level":"info",}"#, "byte 21 is no JSON"),
            (#"{"log-level":"info","log-level":"debug"}"#, "has \"log-level\" twice"),
            (#"{"lisen":["a:1"]}"#, "unknown setting \"lisen\""), (#"{"listen":"a:1"}"#, "a list of texts"),
            (#"{"registration":["open"]}"#, "a text"), (#"{"log-level":3}"#, "a text"), (#"{"listen":[]}"#, "is empty"),
            (#"{"registration":"Open"}"#, "\"registration\" in "),
        ]
    )
    func wrongFiles(text: String, words: String) throws {
        let error = try #require(failure(file: try file(text)))
        #expect(error.status == .configuration)
        #expect(error.message.contains(words), "\(error.message)")
    }

    @Test("a missing, huge or unreadable file is refused")
    func unreadableFiles() throws {
        #expect(failure(file: temporary.file("missing"))?.message.contains("No such file") == true)
        #expect(failure(file: temporary.path)?.status == .configuration)
        #expect(failure(file: "/dev/zero")?.status == .configuration)
    }

    @Test("without a certificate the message says how to make one")
    func noCertificate() throws {
        for flags in [[:], [.tlsCert: ["c"]], [.tlsKey: ["k"]]] as [[Setting: [String]]] {
            let error = #expect(throws: OperatorError.self) {
                try ServerConfiguration(SettingReader(flags: flags, environment: ["HOME": "/h"]))
            }
            #expect(error?.status == .configuration)
            #expect(error?.message.contains("certs/make") == true)
        }
        let missing = CertificateFiles(chain: temporary.file("c"), key: temporary.file("k"))
        let error = #expect(throws: OperatorError.self) { try missing.check() }
        #expect(error?.status == .configuration)
    }

    @Test("the state directory follows the XDG rules")
    func stateDirectory() throws {
        func path(_ environment: [String: String]) throws -> String {
            try SettingReader(environment: environment).stateDirectory()
        }
        #expect(try path(["XDG_STATE_HOME": "/x", "HOME": "/h"]) == "/x/relay-server")
        #expect(try path(["XDG_STATE_HOME": "relative", "HOME": "/h"]) == "/h/.local/state/relay-server")
        #expect(try path(["RELAY_STATE_DIR": "/r", "XDG_STATE_HOME": "/x"]) == "/r")
        #expect(throws: OperatorError.self) { try path([:]) }
    }

    @Test("the documentation names every setting")
    func documented() throws {
        let document = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("docs/configuration.md")
        let text = try String(contentsOf: document, encoding: .utf8)
        for setting in Setting.allCases {
            #expect(text.contains("| `\(setting.rawValue)` |"), "\(setting.rawValue)")
        }
    }
}
