// SPDX-License-Identifier: Apache-2.0

import Foundation
import RelayNode
import ServerSystem
import TLSTransport
import TestSupport
import Testing

@testable import RelayServerProgram

@Suite("The certificates of the configuration")
struct CertificateTests {
    private static let day: Int64 = 24 * 60 * 60
    private static let now: Int64 = 1_800_000_000

    private func problem(_ begins: Int64, _ ends: Int64) -> CertificateProblem? {
        CertificateProblem(
            begins: Self.now + begins * Self.day, ends: Self.now + ends * Self.day, now: Self.now, setting: .tlsCert,
            path: "/c.pem", place: "the certificate /c.pem"
        )
    }

    @Test(
        "are looked at for their time",
        arguments: [
            (-400, -1, .expired), (1, 90, .notYetValid), (-340, 29, .endsSoon), (-340, 31, nil), (-61, 29, .endsSoon),
            (-4, 1, .endsSoon), (-3, 3, nil), (-90, 0, .endsSoon),
        ] as [(Int64, Int64, CertificateProblem.Kind?)])
    func times(_ begins: Int64, _ ends: Int64, _ kind: CertificateProblem.Kind?) {
        #expect(problem(begins, ends)?.kind == kind)
        #expect(problem(begins, ends)?.isFatal ?? false == (kind == .expired || kind == .notYetValid))
    }

    @Test("say which file, when, and what to do")
    func messages() {
        #expect(
            problem(-400, -1)?.message
                == "the certificate /c.pem expired on 2027-01-14T08:00:00.000Z: get a new one; or the clock is wrong"
        )
        #expect(problem(1, 90)?.message.contains("is good from 2027-01-16T08:00:00.000Z on") == true)
        #expect(problem(-90, 1)?.message.contains("is good until 2027-01-16T08:00:00.000Z only") == true)
    }

    func configuration(_ chain: String, _ certificates: TestCertificates) -> ServerConfiguration {
        ServerConfiguration(
            certificate: CertificateFiles(chain: chain, key: certificates.serverKey), stateDirectory: "/unused")
    }

    @Test("are read from their files, each of a chain")
    func chains() throws {
        let (certificates, temporary) = (try TestCertificates(), try TemporaryDirectory())
        let good = try Data(contentsOf: URL(fileURLWithPath: certificates.server))
        let expired = try Data(contentsOf: URL(fileURLWithPath: certificates.expired()))
        let chain = try temporary.write(good + expired, to: "chain.pem")
        let inventory = try CertificateInventory(configuration(chain, certificates))
        let now = Int64(Date().timeIntervalSince1970)
        let problems = inventory.problems(at: now)
        // Nor has it issued the first.
        #expect(problems.map(\.kind) == [.expired, .notIssued])
        #expect(problems.first?.message.hasPrefix("certificate 2 of 2 in \(chain) expired on ") == true)
        #expect(inventory.firstEnd < now)
        #expect(Set(inventory.names) == [.dns("localhost"), .ip("127.0.0.1")])
        let fine = try CertificateInventory(configuration(certificates.server, certificates))
        #expect(fine.problems(at: now).isEmpty)
        #expect(fine.firstEnd > now + 300 * Self.day)
        #expect(fine.problems(at: fine.firstEnd + 1).map(\.kind) == [.expired])
        #expect(fine.problems(at: now - 2 * Self.day).map(\.kind) == [.notYetValid])
    }

    @Test("have to be for the public URL's host", arguments: [("localhost", true), ("relay.example.com", false)])
    func publicURL(_ host: String, _ isNamed: Bool) throws {
        let certificates = try TestCertificates()
        var settings = configuration(certificates.server, certificates)
        settings.publicURL = "https://\(host):8443"
        let problems = try CertificateInventory(settings).problems(at: Int64(Date().timeIntervalSince1970))
        #expect(problems.map(\.kind) == (isNamed ? [] : [.otherName]))
        #expect(problems.allSatisfy { !$0.isFatal && $0.message.contains(host) })
    }

    @Test(
        "are a chain, or it is said which does not belong",
        arguments: [
            ("leaf", nil), ("leaf between", nil), ("leaf between root", nil), ("root", nil),
            // One name, and another key.
            ("leaf other", "1 of 2 in * is issued by CN=between, and not by certificate 2 (another CN=between): put"),
            ("leaf root", "1 of 2 in * is issued by CN=between, and not by certificate 2 (*): put the issuer's there"),
            ("leaf root between", "1 of 3 in * is issued by CN=between, and not by *, but by certificate 3: put that"),
            ("leaf leaf between", "1 of 3 in * is issued by CN=between, and not by *, but by certificate 3: put that"),
            ("leaf between leaf", "2 of 3 in * is issued by *, and not by certificate 3 (CN=localhost): put the"),
            ("leaf between root leaf", "3 of 4 in * has issued itself, and certificate 4 (CN=localhost) issued none"),
            // Two certificates of one authority.
            ("leaf between twin", nil), ("leaf between twin root", nil), ("leaf twin between root", nil),
        ] as [(String, String?)])
    func chainOrder(_ names: String, _ words: String?) throws {
        let (certificates, temporary) = (try TestCertificates(), try TemporaryDirectory())
        let (mine, other) = (try certificates.intermediate("mine"), try certificates.intermediate("other"))
        let files = [
            "leaf": mine.server, "between": mine.intermediate, "twin": try certificates.twin(of: "mine"),
            "other": other.intermediate, "root": certificates.ca,
        ]
        let content = try names.split(separator: " ").map { name in
            try Data(contentsOf: URL(fileURLWithPath: try #require(files[String(name)])))
        }
        let path = try temporary.write(content.reduce(Data(), +), to: "chain.pem")
        let inventory = try CertificateInventory(configuration(path, certificates))
        let problems = inventory.problems(at: Int64(Date().timeIntervalSince1970))
        guard let words else {
            #expect(problems.isEmpty)
            return
        }
        let problem = try #require(problems.first)
        #expect(problems.count == 1 && problem.kind == .notIssued && problem.isFatal)
        var rest = problem.message[...]
        for piece in words.split(separator: "*") {
            let found = try #require(rest.firstRange(of: piece), "\(piece) in \(problem.message)")
            rest = rest[found.upperBound...]
        }
        #expect(problem.message.contains(path))
        #expect(rest.hasSuffix("first, then its intermediates, each behind the one that it issued"))
    }

    @Test("of a public authority, alone in their file, get a warning", arguments: [true, false])
    func alone(_ isPublic: Bool) throws {
        let certificates = try TestCertificates()
        let access = isPublic ? "authorityInfoAccess = caIssuers;URI:http://ca.example/between.der" : ""
        let made = try certificates.intermediate("mine", extensions: access)
        let now = Int64(Date().timeIntervalSince1970)
        let problems = try CertificateInventory(configuration(made.server, certificates)).problems(at: now)
        #expect(problems.map(\.kind) == (isPublic ? [.alone] : []))
        #expect(problems.allSatisfy { !$0.isFatal && $0.message.contains("without the one of CN=between") })
        let temporary = try TemporaryDirectory()
        let both = try [made.server, made.intermediate].map { try Data(contentsOf: URL(fileURLWithPath: $0)) }
        let chain = try temporary.write(both[0] + both[1], to: "chain.pem")
        #expect(try CertificateInventory(configuration(chain, certificates)).problems(at: now).isEmpty)
    }

    @Test("that cannot be read are refused in words")
    func unreadable() throws {
        let (certificates, temporary) = (try TestCertificates(), try TemporaryDirectory())
        let empty = try temporary.write(Data("nothing".utf8), to: "empty.pem")
        for path in [temporary.file("missing.pem"), empty] {
            let error = #expect(throws: OperatorError.self) {
                try CertificateInventory(configuration(path, certificates))
            }
            #expect(error?.message.contains(path) == true)
        }
    }
}
