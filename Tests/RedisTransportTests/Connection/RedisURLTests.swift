// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import RedisTransport

@Suite struct RedisURLTests {
    @Test func everyPartOfTheURLIsRead() throws {
        let plain = try RedisURL("redis://redis.example")
        #expect((plain.isTLS, plain.address, plain.database) == (false, "redis.example:6379", 0))
        #expect((plain.user, plain.password) == (nil, nil))
        let full = try RedisURL("REDISS://relay:p%40%3a%2F%25%C3%A9@[2001:db8::1]:7000/15")
        #expect((full.isTLS, full.endpoints.first?.host, full.database) == (true, "2001:db8::1", 15))
        #expect((full.user, full.password) == ("relay", "p@:/%é"))
        #expect(full.address == "[2001:db8::1]:7000")
        let loose = try RedisURL("redis://:" + "a:b@c" + "@10.0.0.1:1/")
        #expect((loose.user, loose.password, loose.address) == (nil, "a:b@c", "10.0.0.1:1"))
    }

    @Test func sentinelsAndTheirMasterAreRead() throws {
        let url = try RedisURL("rediss+sentinel://relay:" + "p%40" + "@a,b:7,[::1],a:26379/my-master.1/2")
        #expect(url.isTLS && url.master == "my-master.1" && url.database == 2)
        #expect(url.endpoints.map(\.description) == ["a:26379", "b:7", "[::1]:26379"])
        #expect((url.user, url.password) == ("relay", "p@"))
        #expect("\(url)" == "rediss+sentinel://relay:***@a:26379,b:7,[::1]:26379/my-master.1/2")
        let plain = try RedisURL("redis+sentinel://s/main")
        #expect(!plain.isTLS && plain.master == "main" && plain.database == 0)
        let cluster = try RedisURL("redis://a,b:7,c")
        #expect(cluster.master == nil && cluster.endpoints.map(\.port) == [6379, 7, 6379])
        #expect("\(cluster)" == "redis://a:6379,b:7,c:6379/0")
    }

    @Test func noFormShowsThePassword() throws {
        let secret = "correcthorse"
        let url = try RedisURL("redis://relay:" + secret + "@redis.example/2")
        var dumped = ""
        dump(url, to: &dumped)
        for text in ["\(url)", "\(url as Any)", String(reflecting: url), String(describing: Optional(url)), dumped] {
            #expect(!text.contains(secret))
        }
        #expect("\(url)" == "redis://relay:***@redis.example:6379/2")
    }

    @Test(
        arguments: [
            "", "redis", "http://h", "redis:/h", "redis://", "redis://:6379", "redis://h:", "redis://h:0",
            "redis://h:65536",
            "redis://h:+1", "redis://h:1x", "redis://[::1", "redis://[1.2.3.4]", "redis://[::1]x", "redis://[::g]",
            "redis://h/x", "redis://h/1/2", "redis://h/-1", "redis://h/1234567", "redis://h?db=1", "redis://h#1",
            "redis://PW@h", "redis://user:@h", "redis://:@h", "redis://u:PW%zz@h", "redis://u:PW%4@h",
            "redis://u:PW%ff@h", "redis://u:PW/x@h", "redis://u:PW?@h", "redis://u:PW#@h",
            "redis://a b",
            "redis://u:PW@", "redis://u:PW", "redis://u:PW@h:x", "redis+sentinel://h", "redis+sentinel://h/",
            "redis+sentinel://h/a b", "redis+sentinel://h/m/x", "redis+sentinel://h/m/1/2", "redis+sentinel:///m",
            "redis+sentinel://h,/m", "redis://h,", "redis://,h", "redis://h,,i", "redis+sentinel://PW@h/m",
            "sentinel://h/m", "redis+sentinel://h/m?db=1",
            "redis://h1,h2,h3,h4,h5,h6,h7,h8,h9,h10,h11,h12,h13,h14,h15,h16,h17",
        ]) func whatIsWrongIsSaidWithoutThePassword(_ text: String)
    {
        let error = #expect(throws: RedisURL.Malformed.self) { try RedisURL(text.replacing("PW", with: "hunter2")) }
        #expect(error?.description.contains("hunter2") == false)
        #expect(error?.description.contains("Redis") == true)
        #expect(error?.description.contains("\n") == false)
    }
}
