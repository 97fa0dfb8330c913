// SPDX-License-Identifier: Apache-2.0

private import Foundation

/// Certificates made for one run of the tests by `certs/make`.
package final class TestCertificates: Sendable {
    private let directory: TemporaryDirectory

    /// The folder that holds them, laid out as `certs/make` does.
    package var path: String { directory.path }
    /// The authority's certificate.
    package var ca: String { directory.file("ca.pem") }
    /// The server's certificate.
    package var server: String { directory.file("server.pem") }
    /// The server's key.
    package var serverKey: String { directory.file("server.key") }

    /// A node's certificate.
    package func node(_ id: String) -> String { directory.file("node-\(id).pem") }
    /// A node's key.
    package func nodeKey(_ id: String) -> String { directory.file("node-\(id).key") }

    /// Where `certs/make` is.
    package static let script: String = {
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<3 { root.deleteLastPathComponent() }
        return root.appendingPathComponent("certs/make").path
    }()

    /// Makes an authority, a certificate for `names` and one for each of `nodes`.
    package init(names: [String] = ["localhost", "127.0.0.1"], nodes: [String] = []) throws {
        directory = try TemporaryDirectory()
        let result = try ChildProcess.runBlocking(
            Self.script, ["--out", directory.path] + nodes.flatMap { ["--node", $0] } + names)
        guard result.status == 0 else { throw ChildProcess.Failure(description: result.errors) }
    }

    /// A certificate of the same key, signed by the same authority, that expired yesterday.
    package func expired() throws -> String {
        let (request, certificate) = (directory.file("expired.csr"), directory.file("expired.pem"))
        let names = try directory.write(Data("subjectAltName = DNS:localhost".utf8), to: "expired.cnf")
        try openssl(["req", "-new", "-key", serverKey, "-subj", "/CN=expired", "-out", request])
        try openssl([
            "x509", "-req", "-days", "-1", "-in", request, "-CA", ca, "-CAkey", directory.file("ca.key"),
            "-set_serial", "7", "-extfile", names, "-out", certificate,
        ])
        return certificate
    }

    /// A certificate of the same key, signed by the same authority, whose only name is its subject's: `localhost`.
    package func withoutAlternativeNames() throws -> String {
        let (request, certificate) = (directory.file("subject.csr"), directory.file("subject.pem"))
        try openssl(["req", "-new", "-key", serverKey, "-subj", "/CN=localhost", "-out", request])
        try openssl([
            "x509", "-req", "-days", "1", "-in", request, "-CA", ca, "-CAkey", directory.file("ca.key"),
            "-set_serial", "8", "-out", certificate,
        ])
        return certificate
    }

    /// An intermediate authority that ``ca`` has signed, and a certificate of the server's key that it has signed.
    ///
    /// - Parameters:
    ///   - file: what distinguishes its files from those of another one.
    ///   - name: its common name.
    ///   - extensions: more extensions of the server's certificate, as OpenSSL writes them.
    package func intermediate(
        _ file: String, name: String = "between", extensions: String = ""
    ) throws -> (server: String, intermediate: String) {
        func path(_ ending: String) -> String { directory.file("\(file)-\(ending)") }
        let authority = "basicConstraints = critical, CA:TRUE\nkeyUsage = critical, keyCertSign"
        let (own, leaf) = (
            try directory.write(Data(authority.utf8), to: "\(file)-ca.cnf"),
            try directory.write(Data("subjectAltName = DNS:localhost\n\(extensions)".utf8), to: "\(file)-leaf.cnf")
        )
        try openssl(["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path("ca.key")])
        try openssl(["req", "-new", "-key", path("ca.key"), "-subj", "/CN=\(name)", "-out", path("ca.csr")])
        try openssl([
            "x509", "-req", "-days", "300", "-in", path("ca.csr"), "-CA", ca, "-CAkey", directory.file("ca.key"),
            "-set_serial", "9", "-extfile", own, "-out", path("ca.pem"),
        ])
        try openssl(["req", "-new", "-key", serverKey, "-subj", "/CN=localhost", "-out", path("leaf.csr")])
        try openssl([
            "x509", "-req", "-days", "300", "-in", path("leaf.csr"), "-CA", path("ca.pem"), "-CAkey", path("ca.key"),
            "-set_serial", "10", "-extfile", leaf, "-out", path("leaf.pem"),
        ])
        return (path("leaf.pem"), path("ca.pem"))
    }

    /// Another certificate of the intermediate authority that was made as `file`, issued by itself.
    package func twin(of file: String) throws -> String {
        let twin = directory.file("\(file)-twin.pem")
        try openssl([
            "x509", "-req", "-days", "300", "-in", directory.file("\(file)-ca.csr"),
            "-signkey", directory.file("\(file)-ca.key"), "-set_serial", "11",
            "-extfile", directory.file("\(file)-ca.cnf"), "-out", twin,
        ])
        return twin
    }

    private func openssl(_ arguments: [String]) throws {
        let result = try ChildProcess.runBlocking("openssl", arguments)
        guard result.status == 0 else { throw ChildProcess.Failure(description: result.errors) }
    }
}
