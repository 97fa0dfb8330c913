// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import TestSupport
import Testing
import WSProtocol

@testable import RelayClientProgram
@testable import TransferClient

/// Places that cannot be received into, and the permissions of what is received.
struct ReceivePlaceTests {
    let folder: ReceivedFolder

    init() throws { folder = try ReceivedFolder() }

    @Test func aReadOnlyFolderIsAnErrorBeforeAnythingIsAccepted() async {
        let error = await fileError {
            let directory = try ReceiveDirectory.open("/proc/self")
            let parts = ReceivedParts(directory: directory, options: ReceivedOptions())
            _ = try parts.open(try SentTree.file().offer)
        }
        #expect(error?.code == .cannotCreate)
        #expect(error?.status.rawValue == 73)
        #expect(error?.failureCode == .cannotWrite)
    }

    @Test func aPathThatIsNoFolderIsAnErrorWithAdvice() async throws {
        let file = try folder.temporary.write(Data(), to: "file")
        let missing = await fileError { _ = try ReceiveDirectory.open(folder.path + "/missing") }
        #expect(missing?.status.rawValue == 73)
        #expect(missing?.message.contains("does not exist") == true)
        let notAFolder = await fileError { _ = try ReceiveDirectory.open(file) }
        #expect(notAFolder?.status.rawValue == 73)
        #expect(notAFolder?.message.contains("not a folder") == true)
    }

    @Test func theModeIsTheOneOfAnyNewFile() throws {
        let path = folder.temporary.file("probe")
        let descriptor = open(path, O_CREAT | O_WRONLY, 0o666)
        close(descriptor)
        var status = stat()
        #expect(stat(path, &status) == 0)
        #expect(FileMode.ofNewFiles == status.st_mode & 0o777)
    }
}
