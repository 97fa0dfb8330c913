// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import TransferBroker
import WSProtocol

@testable import RedisTransport
@testable import RelayNode
@testable import RelayServerProgram
@testable import ServerSystem
@testable import TLSTransport

/// Files of certificates: what they say of themselves, and how they hang together.
enum CertificateDecoder {
    /// The file is made of records, each `u8 kind ‖ u8 length ‖ body`: parts of a certificate, that are put together
    /// and signed; certificates and text that stand there as they are; and the next certificate.
    static let files = FuzzedDecoder(
        "certificates", longest: 3_000, of: .records(lengthBytes: 1, prefix: .bytes(1)),
        sources: [
            "TLSTransport/Context/AlternativeNames.swift", "TLSTransport/Context/CertificateFacts.swift",
            "TLSTransport/Context/TLSContext+Identity.swift", "TLSTransport/Context/TLSContext+Verification.swift",
            "RelayServerProgram/Configuration/CertificateInventory.swift",
            "RelayServerProgram/Configuration/ChainBreak.swift", "RelayNode/Listener/CertificateFiles.swift",
        ]
    ) { input in
        var reader = InputReader(input)
        let choice = reader.byte()
        let text = try made(&reader)
        let folder = try TemporaryDirectory()
        defer { withExtendedLifetime(folder) {} }
        let path = try folder.write(Data(text.utf8), to: "chain.pem")
        for areAuthorities in [false, true] {
            guard let found = try? CertificateFacts.read(path, areAuthorities: areAuthorities) else { continue }
            try check(found, folder)
        }
        try identity(path, choice, folder)
        try inventory(path, choice)
    }

    /// The file that the records describe.
    private static func made(_ reader: inout InputReader) throws -> String {
        var (text, certificate) = ("", MadeCertificate())
        var isBegun = true
        while !reader.rest.isEmpty {
            let kind = reader.byte()
            let body = reader.bytes(Int(reader.byte()))
            isBegun = true
            switch kind % 12 {
            case 0: certificate.subject = body
            case 1: certificate.issuer = body
            case 2: certificate.begins = body
            case 3: certificate.ends = body
            case 4: certificate.names.append(body)
            case 5: certificate.others.append(body)
            case 6: certificate.key = Int(body.first ?? 0) % 4
            case 7: certificate.signer = Int(body.first ?? 0) % 4
            case 8: certificate.damage = (Int(body.first ?? 0), max(1, body.last ?? 0))
            case 9: text += String(decoding: body, as: UTF8.self)
            case 10: text += MadeCertificate.pem(body)
            default:
                text += MadeCertificate.pem(try certificate.encoded())
                (certificate, isBegun) = (MadeCertificate(), false)
            }
        }
        return isBegun ? text + MadeCertificate.pem(try certificate.encoded()) : text
    }

    private static func check(_ found: [CertificateFacts], _ folder: TemporaryDirectory) throws {
        try hold((1...TLSDefaults.certificatesPerFile).contains(found.count), "\(found.count) certificates")
        for facts in found.prefix(8) {
            try hold(facts.names.count <= TLSDefaults.certificateNames, "\(facts.names.count) names")
            for case .dns(let name) in facts.names {
                let isPrintable = name.utf8.allSatisfy { (0x21...0x7E).contains($0) }
                try hold(isPrintable && (1...253).contains(name.utf8.count), "a name that is none: \(name)")
                try hold(name == name.lowercased(), "another name: \(name)")
            }
            for text in [facts.subject, facts.issuer, facts.fingerprint] {
                try hold(text.utf8.allSatisfy { (0x20...0x7E).contains($0) }, "a line that is none: \(text)")
            }
            try hold(facts.fingerprint.utf8.count == 95, facts.fingerprint)
            let alone = try folder.write(Data(facts.pem.utf8), to: "alone.pem")
            try hold(try CertificateFacts.read(alone) == [facts], "\(facts) is another one when it is written again")
        }
        guard let broken = ChainBreak(found) else { return }
        try hold(found.indices.dropFirst().contains(broken.place), "no place of a chain: \(broken)")
        if let issuer = broken.issuer {
            try hold(found[issuer].hasIssued(found[broken.place - 1]), "no issuer: \(broken)")
        }
    }

    /// As a relay's own, and as that of a node of a cluster.
    private static func identity(_ path: String, _ choice: UInt8, _ folder: TemporaryDirectory) throws {
        let key =
            choice & 0x80 == 0
            ? try MadeCertificate.pem(key: Int(choice & 3)) : try String(contentsOfFile: path, encoding: .utf8)
        let keyPath = choice & 0xC0 == 0x40 ? folder.file("none") : try folder.write(Data(key.utf8), to: "key.pem")
        let isLoaded = (try? CertificateFiles(chain: path, key: keyPath).check()) != nil
        var authority = path
        if choice & 4 != 0 {
            let made = MadeCertificate.pem(try MadeCertificate().encoded())
            authority = choice & 8 == 0 ? try folder.write(Data(made.utf8), to: "ca.pem") : folder.file("none")
        }
        do throws(TLSError) {
            try TLSContext.checkIdentity(certificateChain: path, privateKey: keyPath, authority: authority, name: "n1")
        } catch { return }
        let names = try CertificateFacts.read(path).first?.names ?? []
        let isNamed = names.contains(.dns("n1")) || names.count == TLSDefaults.certificateNames
        try hold(isLoaded && isNamed, "a node that is called \(names)")
    }

    private static func inventory(_ path: String, _ choice: UInt8) throws {
        let files = CertificateFiles(chain: path, key: path)
        var configuration = ServerConfiguration(certificate: files, stateDirectory: "/")
        if choice & 0x10 != 0 { configuration.publicURL = "https://a" }
        if choice & 0x20 != 0, let node = NodeID(rawValue: "n1") {
            let address = ListenAddress(host: "a", port: 1)
            configuration.cluster = ClusterConfiguration(
                redis: try RedisURL("redis://h"), redisAuthority: path, node: node, listen: address, advertise: address,
                authority: path, certificate: files, secretFile: path)
        }
        guard let inventory = try? CertificateInventory(configuration) else {
            return try hold((try? CertificateFacts.read(path)) == nil, "no inventory of certificates")
        }
        let times: [Int64] = [.min / 2, 0, 1_600_000_000, 2_518_000_000, inventory.firstEnd - 1, .max / 2]
        for now in times {
            let problems = inventory.problems(at: now)
            try hold(
                problems.allSatisfy { !$0.message.utf8.contains { $0 < 0x20 } }, "a problem of two lines: \(problems)")
            let firstMild = problems.firstIndex { !$0.isFatal } ?? problems.endIndex
            try hold(problems[firstMild...].allSatisfy { !$0.isFatal }, "the worst is not the first: \(problems)")
        }
        _ = (inventory.welcomePage(host: nil), inventory.welcomePage(host: "a"))
    }
}
