// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// The head of an answer, as bytes (RFC 9112, section 4).
package enum ResponseHead {
    /// Writes the status line, `fields` and the empty line. Values must not come from outside unchecked.
    package static func write(_ status: HTTPStatus, _ fields: [RequestHead.Field], into buffer: inout ByteBuffer) {
        buffer.writeString("HTTP/1.1 \(status.rawValue) \(status.phrase)\r\n")
        for field in fields { buffer.writeString("\(field.name): \(field.value)\r\n") }
        buffer.writeString("\r\n")
    }

    /// A whole answer with a short body, after which the connection closes.
    package static func complete(
        _ status: HTTPStatus, type: String, body: String, fields: [RequestHead.Field] = [], withBody: Bool = true
    ) -> ByteBuffer {
        var buffer = ByteBuffer()
        let all =
            [
                RequestHead.Field(name: "Content-Type", value: type),
                .init(name: "Content-Length", value: String(body.utf8.count)),
                .init(name: "Cache-Control", value: "no-store"),
                .init(name: "Connection", value: "close"),
            ] + fields
        write(status, all, into: &buffer)
        if withBody { buffer.writeString(body) }
        return buffer
    }

    /// The answer to a refused request: JSON with `code` and `message`, both made of plain ASCII without quotes.
    package static func refusal(_ refusal: HTTPError, withBody: Bool = true) -> ByteBuffer {
        complete(
            refusal.status, type: "application/json",
            body: "{\"code\":\"\(refusal.code)\",\"message\":\"\(refusal.message)\"}\n", fields: refusal.fields,
            withBody: withBody
        )
    }
}
