// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

@testable import TLSTransport

@Suite struct ContextTests {
    private func serverError(_ certificate: String, _ key: String) -> TLSError? {
        do throws(TLSError) {
            _ = try TLSContext.server(certificateChain: certificate, privateKey: key, applicationProtocols: [])
            return nil
        } catch {
            return error
        }
    }

    private func clientError(_ path: String) -> TLSError? {
        do throws(TLSError) {
            _ = try TLSContext.client(trust: .file(path), applicationProtocols: [])
            return nil
        } catch {
            return error
        }
    }

    @Test func saysWhichFileIsWrongAndHow() throws {
        let files = try Fixture.certificates
        let directory = try TemporaryDirectory()
        let (missing, garbage) = (directory.file("missing"), try directory.write(Data("no PEM".utf8), to: "garbage"))
        #expect(serverError(files.server, files.serverKey) == nil)
        for (error, code, path) in [
            (serverError(missing, files.serverKey), TLSError.Code.certificateUnreadable, missing),
            (serverError(garbage, files.serverKey), .certificateInvalid, garbage),
            (serverError(directory.path, files.serverKey), .certificateInvalid, directory.path),
            (serverError(files.serverKey, files.serverKey), .certificateInvalid, files.serverKey),
            (serverError(files.server, missing), .keyUnreadable, missing),
            (serverError(files.server, garbage), .keyInvalid, garbage),
            (serverError(files.server, files.server), .keyInvalid, files.server),
            (clientError(missing), .trustUnreadable, missing),
            (clientError(garbage), .trustInvalid, garbage),
            (clientError(files.serverKey), .trustInvalid, files.serverKey),
        ] {
            #expect(error?.code == code)
            #expect(error?.subject == path)
            #expect(error.map { !$0.description.contains("\n") } == true)
        }
    }

    @Test func theKeyOfAnotherCertificateIsNamed() throws {
        let files = try Fixture.certificates
        let directory = try TemporaryDirectory()
        #expect(serverError(files.server, files.path + "/ca.key")?.code == .keyMismatch)
        let rsa = directory.file("rsa.key")
        let made = try ChildProcess.runBlocking("openssl", ["genrsa", "-out", rsa, "2048"])
        #expect(made.status == 0)
        #expect(serverError(files.server, rsa)?.code == .keyMismatch)
    }

    @Test func anEncryptedKeyIsRefusedWithoutAsking() throws {
        let files = try Fixture.certificates
        let directory = try TemporaryDirectory()
        let encrypted = directory.file("encrypted.key")
        let made = try ChildProcess.runBlocking(
            "openssl", ["ec", "-in", files.serverKey, "-aes128", "-passout", "pass:x", "-out", encrypted])
        #expect(made.status == 0)
        #expect(serverError(files.server, encrypted)?.code == .keyInvalid)
    }

    @Test func hostsAreToldFromAddresses() {
        #expect(TLSServerName(host: "Example.COM.") == .dns("example.com"))
        #expect(TLSServerName(host: "10.0.0.1") == .ip("10.0.0.1"))
        #expect(TLSServerName(host: "[fe80::1%eth0]") == .ip("fe80::1"))
        #expect(TLSServerName(host: "::1") == .ip("::1"))
        #expect(TLSServerName(host: "1.2.3.4.5") == .dns("1.2.3.4.5"))
    }
}
