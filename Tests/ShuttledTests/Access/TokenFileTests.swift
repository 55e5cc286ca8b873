// The file of tokens: what may stand in it, and what is said of everything else, without a token in it.

import Glibc
import Testing

@testable import shuttled

@Suite struct TokenFileTests {
    private static let token = "0123456789abcdef0123456789abcdef"
    private static let other = "fedcba9876543210fedcba9876543210"

    private static func parse(_ text: String, onUnixSocket: Bool = false) throws(TokenFileError) -> AccessList {
        try TokenFile.list(parsing: Array(text.utf8), path: "tokens", onUnixSocket: onUnixSocket)
    }

    private static func problems(_ text: String, onUnixSocket: Bool = false) -> [String] {
        do throws(TokenFileError) {
            _ = try parse(text, onUnixSocket: onUnixSocket)
            return []
        } catch {
            return error.lines
        }
    }

    @Test func linesCommentsAndSpace() throws {
        let text =
            "# who may call\r\n\n  \t\n ci\toperate  \(Self.token)\r\n\r\n  # more\ndash.board:1 read \(Self.other)=="
        let list = try Self.parse(text)
        #expect(list.entries.map(\.name) == ["ci", "dash.board:1"])
        #expect(list.entries.map(\.role) == [.operate, .read])
        #expect(list.entry(withToken: Array(Self.token.utf8))?.name == "ci")
        #expect(list.entry(withToken: Array((Self.other + "==").utf8))?.name == "dash.board:1")
        #expect(list.entry(withToken: Array(Self.other.utf8)) == nil)
        #expect(list.summary == "2 (read: 1, operate: 1, write: 0)")
    }

    @Test func peersOfAUnixSocket() throws {
        let list = try Self.parse("me write uid:1000\nstaff operate gid:50\nall read gid:100\n", onUnixSocket: true)
        #expect(list.hasGroups)
        #expect(list.entry(ofUser: 1000, groups: [50])?.name == "me", "a user's own line comes first")
        #expect(list.entry(ofUser: 1001, groups: [100, 50])?.name == "staff", "the line that lets it do most")
        #expect(list.entry(ofUser: 1001, groups: [100])?.name == "all")
        #expect(list.entry(ofUser: 50, groups: [1000]) == nil, "users are no groups")
        #expect(list.entry(ofUser: 0, groups: [0]) == nil, "root is nobody in particular")
    }

    @Test(arguments: [
        ("ci write", ["tokens:1: ", "2 words", "NAME ROLE TOKEN"]),
        ("\n\n\(token)", ["tokens:3: ", "1 word,"]),
        ("ci write \(token) # mine", ["5 words", "line of its own"]),
        ("ci wirte \(token)", ["tokens:1: the role is \"wirte\"", "read, operate, write"]),
        ("ci Write \(token)", ["the role is \"Write\""]),
        ("ci write short", ["5 characters", "from 32 to 512", "openssl rand"]),
        ("ci write \(token.dropLast())", ["31 characters"]),
        ("ci write \(String(repeating: "a", count: 513))", ["513 characters"]),
        ("ci write \(token)ä", ["a character that cannot be sent"]),
        ("ci write \(token)=a", ["a character that cannot be sent"]),
        ("ci write ================================", ["a character that cannot be sent"]),
        ("c/i write \(token)", ["the name is \"c/i\"", "up to 31"]),
        ("bj\u{f6}rn write \(token)", ["the name is "]),
        ("a write \(token)\na read \(other)", ["tokens:2: the name \"a\" is that of line 1"]),
        ("a write \(token)\nb read \(token)", ["tokens:2: the token is that of line 1"]),
        ("a write uid:0", ["uid:0 is for peers on a unix socket", "-http"]),
        ("", ["tokens: it lets nobody in", "NAME ROLE TOKEN"]),
        ("# nobody\n", ["it lets nobody in"]),
    ])
    func whatIsRefused(_ text: String, _ words: [String]) throws {
        let problems = Self.problems(text)
        try #require(problems.count == 1, "\(problems)")
        for word in words {
            #expect(problems[0].contains(word), "\(problems[0])")
        }
    }

    @Test(arguments: [
        ("a write uid:", "uid is \"\""), ("a write uid:root", "`id -u NAME`"), ("a write gid:staff", "`id -g NAME`"),
        ("a write uid:-1", "must be a number"), ("a write uid:01", "must be a number"),
        ("a write uid:4294967295", "must be a number"), ("a write uid:65534", "another user namespace"),
        ("a write uid:7\nb read uid:7", "uid:7 is that of line 1"),
        ("a write gid:7\nb read gid:7", "gid:7 is that of line 1"),
    ])
    func peersThatAreRefused(_ text: String, _ words: String) throws {
        let problems = Self.problems(text, onUnixSocket: true)
        #expect(problems.count == 1 && problems[0].contains(words), "\(problems)")
    }

    /// Also where words have changed their places.
    @Test func noTokenIsEverTold() {
        let token = Self.token
        for text in [
            "\(token) write ci", "ci \(token) write", "ci write x\(token) \(token)", token, "ci write \(token)\u{1}",
            "\(token)\(token) write \(Self.other)", "ci write uid:\(token)", "\(token) \(token) \(token)",
            "a write \(token)\nb write \(token)", "ci write \(token.dropLast(2))",
        ] {
            for problem in Self.problems(text, onUnixSocket: true) {
                #expect(!problem.contains(token.prefix(16)), "\(problem)")
            }
            #expect(!Self.problems(text, onUnixSocket: true).isEmpty, "\(text)")
        }
        #expect("\(BearerToken(bytes: Array(token.utf8)))" == "(a token)")
        var dumped = ""
        dump(AccessList([.init(name: "a", role: .read, proof: .token(BearerToken(bytes: [97, 98])))]), to: &dumped)
        #expect(!dumped.contains("bytes: 2"), "\(dumped)")
    }

    @Test func everyProblemIsTold() {
        #expect(Self.problems("a b c\nd write \(Self.token)\ne").count == 3, "the role, the token, and the last line")
        let many = Self.problems(String(repeating: "a\n", count: 100))
        #expect(many.count == 21 && many.last == "tokens: 80 more problems")
    }

    @Test func bytesThatAreNoText() {
        var bytes: [UInt8] = Array("a write ".utf8)
        bytes += [UInt8](repeating: 0xFF, count: 40)
        #expect(throws: TokenFileError.self) {
            try TokenFile.list(parsing: bytes, path: "tokens", onUnixSocket: false)
        }
        for _ in 0..<2000 {
            let noise = (0..<Int.random(in: 0...80)).map { _ in UInt8.random(in: 0...255) }
            #expect(throws: TokenFileError.self) {
                try TokenFile.list(parsing: noise + [0x41], path: "tokens", onUnixSocket: true)
            }
        }
    }

    // MARK: Files

    private static func read(_ path: String) -> String? {
        do throws(TokenFileError) {
            _ = try TokenFile.read(path, onUnixSocket: false)
            return nil
        } catch {
            return error.lines.joined(separator: "\n")
        }
    }

    @Test(arguments: [(0o600, true), (0o640, true), (0o660, true), (0o400, true), (0o644, false), (0o602, false)])
    func othersMayNotReadIt(_ mode: mode_t, _ isGood: Bool) throws {
        let folder = try TemporaryFolder()
        try folder.write("tokens", "ci write \(Self.token)\n")
        try #require(chmod(folder.path("tokens"), mode) == 0)
        let problem = Self.read(folder.path("tokens"))
        if isGood {
            #expect(problem == nil)
        } else {
            #expect(problem?.contains("0\(String(mode, radix: 8))") == true)
            #expect(problem?.contains("chmod o-rw \(folder.path("tokens"))") == true)
        }
    }

    @Test func whatIsNoFileOfTokens() throws {
        let folder = try TemporaryFolder()
        #expect(Self.read(folder.path("none"))?.contains("No such file") == true)
        #expect(Self.read(folder.root)?.contains("it is a folder") == true)
        try #require(mkfifo(folder.path("pipe"), 0o600) == 0)
        #expect(Self.read(folder.path("pipe"))?.contains("regular file") == true)
        try folder.write("large", String(repeating: "#\n", count: TokenFile.bytesMax / 2 + 1))
        try #require(chmod(folder.path("large"), 0o600) == 0)
        #expect(Self.read(folder.path("large"))?.contains("more than 65536 bytes") == true)
    }

    @Test func whatHasChanged() throws {
        let before = try Self.parse("a read \(Self.token)\nb write \(Self.other)")
        let after = try Self.parse("a operate \(Self.token)\nc write \(Self.other)")
        #expect(after.changes(since: before) == "added: c; changed: a; removed: b")
        #expect(after.changes(since: after) == "nothing has changed")
    }
}
