// SPDX-License-Identifier: Apache-2.0

import NIOCore
import PrivateFiles
import ServerSystem
import StreamRelay
import TransferBroker

/// The answer to a request for a file: found with the file opened, so that all of it is about the same content.
enum SiteAnswer: Sendable {
    /// The whole answer.
    case complete(ByteBuffer)
    /// The head and the first bytes; the rest is read as the client takes it.
    case stream(ByteBuffer, ServedFile, Range<Int64>)
    case refused(HTTPError)

    /// Opens, and reads the first bytes. Waits for the disk.
    static func find(_ head: RequestHead, in folder: ServedFolder) -> SiteAnswer {
        do throws(HTTPError) {
            let name = SitePath.file(of: head.path)
            guard let name, let file = try open(name, in: folder) else { throw .nothingHere }
            switch file.kind {
            case .regular: return try answer(to: head, with: file, named: name)
            // Links in its pages are relative to it only with the slash.
            case .folder where !head.path.hasSuffix("/"): throw .moved(to: head.path + "/")
            case .folder, .other: throw .nothingHere
            }
        } catch {
            guard error.status == .notFound, let page = try? open("404.html", in: folder), page.kind == .regular,
                page.size <= Int64(Defaults.Site.blockBytes), let text = try? page.read(at: 0, count: Int(page.size))
            else { return .refused(error) }
            var buffer = ByteBuffer()
            let fields = Self.fields("text/html; charset=utf-8", length: Int64(text.readableBytes))
            ResponseHead.write(.notFound, fields, into: &buffer)
            if head.method != "HEAD" { buffer.writeImmutableBuffer(text) }
            return .complete(buffer)
        }
    }

    /// What an ACME authority asks for: a small file, or nothing.
    static func challenge(_ head: RequestHead, in folder: ServedFolder) -> SiteAnswer {
        do throws(HTTPError) {
            guard let name = ChallengePath.file(of: head.path), let file = try open(name, in: folder),
                file.kind == .regular, file.size <= Int64(Defaults.Site.challengeBytes)
            else { throw .nothingHere }
            let text = try Self.read(file, at: 0, count: Int(file.size))
            var buffer = ByteBuffer()
            ResponseHead.write(.ok, fields("text/plain", length: Int64(text.readableBytes)), into: &buffer)
            if head.method != "HEAD" { buffer.writeImmutableBuffer(text) }
            return .complete(buffer)
        } catch {
            return .refused(error)
        }
    }

    private static func open(_ name: String, in folder: ServedFolder) throws(HTTPError) -> ServedFile? {
        do {
            return try folder.open(name)
        } catch {
            if error.isShortOfDescriptors { throw .full }
            // Whether it is missing, unreadable, or a link to elsewhere is for the operator to know.
            return nil
        }
    }

    private static func read(_ file: ServedFile, at offset: Int64, count: Int) throws(HTTPError) -> ByteBuffer {
        do {
            let bytes = try file.read(at: offset, count: count)
            if bytes.readableBytes == count { return bytes }
        } catch {}
        throw HTTPError(status: .internalError, code: "internal_error", message: "the file cannot be read")
    }

    private static func answer(
        to head: RequestHead, with file: ServedFile, named name: String
    ) throws(HTTPError) -> SiteAnswer {
        let tag = "\"\(file.version)\""
        var buffer = ByteBuffer()
        guard !EntityTag.matches(head.values(of: "if-none-match"), tag) else {
            ResponseHead.write(.notModified, always + [.init(name: "ETag", value: tag)], into: &buffer)
            return .complete(buffer)
        }
        // A range of what has changed since is of no use.
        let isCurrent = head.values(of: "if-range").allSatisfy { $0 == tag }
        let range = ByteRange(isCurrent ? head.values(of: "range").first : nil, size: file.size)
        var extra = [RequestHead.Field(name: "ETag", value: tag), .init(name: "Accept-Ranges", value: "bytes")]
        let part: Range<Int64>
        switch range {
        case .whole: part = 0..<file.size
        case .part(let wanted):
            part = wanted
            extra.append(
                .init(name: "Content-Range", value: "bytes \(part.lowerBound)-\(part.upperBound - 1)/\(file.size)"))
        case .unsatisfiable:
            throw HTTPError(
                status: .rangeNotSatisfiable, code: "range_not_satisfiable", message: "the file is shorter than that",
                fields: [.init(name: "Content-Range", value: "bytes */\(file.size)")]
            )
        }
        let length = part.upperBound - part.lowerBound
        let status: HTTPStatus = range == .whole ? .ok : .partialContent
        ResponseHead.write(status, fields(MediaType.of(name), length: length) + extra, into: &buffer)
        guard head.method != "HEAD", length > 0 else { return .complete(buffer) }
        let first = Int(min(length, Int64(Defaults.Site.blockBytes)))
        buffer.writeImmutableBuffer(try read(file, at: part.lowerBound, count: first))
        let rest = (part.lowerBound + Int64(first))..<part.upperBound
        return rest.isEmpty ? .complete(buffer) : .stream(buffer, file, rest)
    }

    private static func fields(_ type: String, length: Int64) -> [RequestHead.Field] {
        [.init(name: "Content-Type", value: type), .init(name: "Content-Length", value: String(length))] + always
    }

    /// Asked about each time: an operator's change is seen at once, and costs a 304 otherwise.
    private static let always: [RequestHead.Field] = [
        .init(name: "Cache-Control", value: "no-cache"), .init(name: "X-Content-Type-Options", value: "nosniff"),
        .init(name: "Connection", value: "close"),
    ]
}

extension HTTPError {
    static let nothingHere = HTTPError(status: .notFound, code: "not_found", message: "there is nothing here")

    static func moved(to path: String) -> HTTPError {
        HTTPError(
            status: .permanentRedirect, code: "moved", message: "this is a folder",
            fields: [.init(name: "Location", value: path)]
        )
    }
}

/// What a file is, for browsers: by the end of its name alone. They are told not to guess.
enum MediaType {
    private static let types = [
        "css": "text/css; charset=utf-8", "csv": "text/csv; charset=utf-8", "gif": "image/gif",
        "gz": "application/gzip", "htm": "text/html; charset=utf-8", "html": "text/html; charset=utf-8",
        "ico": "image/x-icon", "jpeg": "image/jpeg", "jpg": "image/jpeg", "js": "text/javascript; charset=utf-8",
        "json": "application/json", "map": "application/json", "md": "text/markdown; charset=utf-8",
        "mjs": "text/javascript; charset=utf-8", "mp4": "video/mp4", "pdf": "application/pdf",
        "pem": "application/x-pem-file", "png": "image/png", "svg": "image/svg+xml",
        "txt": "text/plain; charset=utf-8", "wasm": "application/wasm", "webm": "video/webm", "webp": "image/webp",
        "woff": "font/woff", "woff2": "font/woff2", "xml": "application/xml", "xz": "application/x-xz",
        "zip": "application/zip", "zst": "application/zstd",
    ]

    static func of(_ name: String) -> String {
        guard let dot = name.lastIndex(of: ".") else { return "application/octet-stream" }
        return types[name[name.index(after: dot)...].lowercased()] ?? "application/octet-stream"
    }
}
