// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

/// `certs/make`, by its contract.
@Suite struct CertificateScriptTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func make(_ arguments: String...) throws -> (status: Int32, output: String, errors: String) {
        try ChildProcess.runBlocking(TestCertificates.script, ["--out", directory.path] + arguments)
    }

    private func openssl(_ arguments: String...) throws -> (status: Int32, output: String, errors: String) {
        try ChildProcess.runBlocking("openssl", arguments)
    }

    private func text(_ name: String) throws -> String {
        try openssl("x509", "-in", directory.file(name), "-noout", "-text").output
    }

    @Test func writesExactlyTheFilesAndKeepsKeysPrivate() throws {
        let made = try make("--node", "n1", "localhost", "10.0.0.1", "::1")
        #expect(made.status == 0 && made.errors == "")
        let names = try FileManager.default.contentsOfDirectory(atPath: directory.path).sorted()
        #expect(names == ["ca.key", "ca.pem", "node-n1.key", "node-n1.pem", "server.key", "server.pem"])
        for name in names where name.hasSuffix(".key") {
            let attributes = try FileManager.default.attributesOfItem(atPath: directory.file(name))
            #expect(attributes[.posixPermissions] as? Int == 0o600)
        }
    }

    @Test func eachCertificateIsValidForItsPurposeOnly() throws {
        #expect(try make("--node", "n1", "localhost", "10.0.0.1").status == 0)
        for (file, purpose, status) in [
            ("server.pem", "sslserver", Int32(0)), ("server.pem", "sslclient", 2),
            ("node-n1.pem", "sslserver", 0), ("node-n1.pem", "sslclient", 0),
        ] {
            let verdict = try openssl(
                "verify", "-x509_strict", "-CAfile", directory.file("ca.pem"), "-purpose", purpose,
                directory.file(file))
            #expect(verdict.status == status, "\(file) as \(purpose)")
        }
        let server = try text("server.pem")
        #expect(server.contains("DNS:localhost, IP Address:10.0.0.1"))
        #expect(server.contains("CA:FALSE") && server.contains("prime256v1"))
        #expect(try text("node-n1.pem").contains("DNS:n1"))
        #expect(try text("ca.pem").contains("CA:TRUE, pathlen:0"))
        // Good for 364 days, no longer good in 366 and a half.
        let file = directory.file("server.pem")
        #expect(try openssl("x509", "-in", file, "-noout", "-checkend", "\(364 * 86_400)").status == 0)
        #expect(try openssl("x509", "-in", file, "-noout", "-checkend", "\(366 * 86_400 + 43_200)").status == 1)
    }

    @Test func nothingIsOverwrittenAndNodesCanBeAdded() throws {
        #expect(try make("--node", "n1", "localhost").status == 0)
        let before = try text("server.pem")
        for again in [try make("localhost"), try make("--node", "n1"), try make("--node", "n2", "other")] {
            #expect(again.status == 73)
            #expect(again.errors.split(separator: "\n").count == 1)
        }
        #expect(try text("server.pem") == before)
        #expect(!FileManager.default.fileExists(atPath: directory.file("node-n2.pem")))
        #expect(try make("--node", "n2").status == 0)
        let verdict = try openssl("verify", "-CAfile", directory.file("ca.pem"), directory.file("node-n2.pem"))
        #expect(verdict.status == 0)
        #expect(try make("--force", "localhost").status == 0)
        #expect(try text("server.pem") != before)
    }

    @Test(arguments: [
        [], ["--node"], ["--what", "x"], ["a b"], ["300.1.1.1"], ["--node", "../x", "localhost"], ["-x"],
        ["--node", "a,DNS:evil", "localhost"], ["localhost,DNS:evil"], ["1:2:3"], [""],
    ])
    func wrongArgumentsAreRefusedInOneLine(arguments: [String]) throws {
        let result = try ChildProcess.runBlocking(
            TestCertificates.script, ["--out", directory.path + "/new"] + arguments)
        #expect(result.status == 64)
        #expect(result.errors.split(separator: "\n").count == 1)
        #expect(!FileManager.default.fileExists(atPath: directory.path + "/new"))
    }

    @Test func aFolderThatCannotBeMadeIsNamed() throws {
        let result = try ChildProcess.runBlocking(
            TestCertificates.script, ["--out", "/proc/no-folder", "localhost"])
        #expect(result.status == 73)
        #expect(result.errors.contains("/proc/no-folder"))
    }
}
