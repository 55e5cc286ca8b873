// Owns the form of the file of tokens, and saying what is wrong with one by path and line, without any part of a token.
// Leaves to others: when it is read (Startup, Process/TokenReload).

import Glibc
import ShuttleEngine
import SystemPackage

/// Lines of `NAME ROLE TOKEN`; `uid:NUMBER` or `gid:NUMBER` in place of the token is for peers on a unix socket. Empty lines
/// and those that begin with `#` mean nothing.
enum TokenFile {
    static let bytesMax = 64 * 1024
    /// Less than any token has: a token at the place of a name is refused, and never told as a name.
    static let nameLengthMax = 31
    /// Problems that are told; more are counted.
    private static let problemsMax = 20
    /// What users of other user namespaces appear as, user_namespaces(7): everybody, for what it is worth.
    private static let overflowIdentity: UInt32 = 65534

    /// Reads a file. Blocks. `onUnixSocket`: whether the admin endpoint is one, so that peers have users and groups.
    static func read(_ path: String, onUnixSocket: Bool) throws(TokenFileError) -> AccessList {
        let bytes: [UInt8]?
        do throws(FileFailure) {
            bytes = try FileReading.bytes(
                of: path, regularOnly: true, sizeMax: bytesMax, refusing: [.otherRead, .otherWrite]
            )
        } catch {
            throw TokenFileError(lines: [error.description])
        }
        guard let bytes else {
            throw TokenFileError(lines: [FileFailure("open", path, code: ENOENT).description])
        }
        return try list(parsing: bytes, path: path, onUnixSocket: onUnixSocket)
    }

    static func list(
        parsing bytes: [UInt8], path: String, onUnixSocket: Bool
    ) throws(TokenFileError) -> AccessList {
        var parser = Parser(path: path, onUnixSocket: onUnixSocket)
        let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        for (index, line) in lines.enumerated() {
            parser.take(line, number: index + 1)
        }
        if parser.entries.isEmpty, parser.problems.isEmpty {
            parser.problems.append("\(path): it lets nobody in; add a line \"NAME ROLE TOKEN\"")
        }
        guard parser.problems.isEmpty else {
            let further = parser.problems.count - problemsMax
            throw TokenFileError(
                lines: parser.problems.prefix(problemsMax) + (further > 0 ? ["\(path): \(further) more problems"] : [])
            )
        }
        return AccessList(parser.entries)
    }

    private struct Parser {
        let path: String
        let onUnixSocket: Bool
        var entries: [AccessList.Entry] = []
        var problems: [String] = []
        private var linesByName: [String: Int] = [:]
        private var linesByProof: [AccessList.Proof: Int] = [:]

        init(path: String, onUnixSocket: Bool) {
            self.path = path
            self.onUnixSocket = onUnixSocket
        }

        mutating func take(_ line: ArraySlice<UInt8>, number: Int) {
            // Files that were written elsewhere end lines in two bytes.
            let line = line.last == UInt8(ascii: "\r") ? line.dropLast() : line
            let fields = line.split { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
            guard let first = fields.first, first.first != UInt8(ascii: "#") else {
                return
            }
            guard fields.count == 3 else {
                problem(
                    number,
                    "it has \(fields.count) \(fields.count == 1 ? "word" : "words"), and needs three, NAME ROLE TOKEN; "
                        + "write a comment in a line of its own, which begins with #"
                )
                return
            }
            let name = name(first, number)
            let role = role(fields[1], number)
            let proof = proof(Array(fields[2]), number)
            guard let name, let role, let proof, isNew(name, proof, number) else {
                return
            }
            entries.append(AccessList.Entry(name: name, role: role, proof: proof))
        }

        private mutating func problem(_ number: Int, _ detail: String) {
            problems.append("\(path):\(number): \(detail)")
        }

        private mutating func name(_ field: ArraySlice<UInt8>, _ number: Int) -> String? {
            let isUsable = field.allSatisfy { byte in
                BearerToken.isWellFormed([byte]) && !"~+/".utf8.contains(byte) || byte == UInt8(ascii: ":")
            }
            guard isUsable, field.count <= TokenFile.nameLengthMax else {
                problem(
                    number,
                    "the name is \(shown(field)); it may have letters, digits and _.:-, up to \(TokenFile.nameLengthMax)"
                )
                return nil
            }
            return String(decoding: field, as: UTF8.self)
        }

        private mutating func role(_ field: ArraySlice<UInt8>, _ number: Int) -> AccessRole? {
            guard let role = AccessRole(rawValue: String(decoding: field, as: UTF8.self)) else {
                problem(number, "the role is \(shown(field)); it must be one of \(AccessRole.list)")
                return nil
            }
            return role
        }

        private mutating func proof(_ field: [UInt8], _ number: Int) -> AccessList.Proof? {
            let text = String(decoding: field, as: UTF8.self)
            for kind in ["uid", "gid"] where text.hasPrefix("\(kind):") {
                return identity(text, kind: kind, number)
            }
            guard BearerToken.isWellFormed(field) else {
                problem(
                    number,
                    "the token has a character that cannot be sent; it may have letters, digits and -._~+/, and = at its "
                        + "end. `openssl rand -hex 32` makes one"
                )
                return nil
            }
            guard BearerToken.lengths.contains(field.count) else {
                let range = "from \(BearerToken.lengths.lowerBound) to \(BearerToken.lengths.upperBound)"
                problem(
                    number,
                    "the token has \(field.count) characters; it must have \(range), drawn at random. "
                        + "`openssl rand -hex 32` makes one"
                )
                return nil
            }
            return .token(BearerToken(bytes: field))
        }

        private mutating func identity(_ text: String, kind: String, _ number: Int) -> AccessList.Proof? {
            let digits = String(text.dropFirst(kind.utf8.count + 1))
            guard let identity = UInt32(digits), String(identity) == digits, identity < .max else {
                problem(
                    number,
                    "\(kind) is \(shown(Array(digits.utf8)[...])); it must be a number: "
                        + "`id -\(kind == "uid" ? "u" : "g") NAME` tells it"
                )
                return nil
            }
            guard onUnixSocket else {
                problem(
                    number,
                    "\(text) is for peers on a unix socket, and -http is none; write a token, or name a unix socket by -http"
                )
                return nil
            }
            guard identity != TokenFile.overflowIdentity else {
                problem(
                    number,
                    "\(text) is what everybody of another user namespace appears as; write another one, or a token"
                )
                return nil
            }
            return kind == "uid" ? .user(identity) : .group(identity)
        }

        private mutating func isNew(_ name: String, _ proof: AccessList.Proof, _ number: Int) -> Bool {
            if let earlier = linesByName.updateValue(number, forKey: name) {
                problem(
                    number, "the name \(Quoted(name)) is that of line \(earlier); each line has a name of its own")
                return false
            }
            if let earlier = linesByProof.updateValue(number, forKey: proof) {
                let what =
                    switch proof {
                    case .token: "the token"
                    case .user(let user): "uid:\(user)"
                    case .group(let group): "gid:\(group)"
                    }
                problem(number, "\(what) is that of line \(earlier); remove one of the lines")
                return false
            }
            return true
        }

        /// A word for people. One that is long enough may be a token at the wrong place.
        private func shown(_ field: ArraySlice<UInt8>) -> String {
            guard field.count < BearerToken.lengths.lowerBound / 2 else {
                return "a word of \(field.count) characters, which may be a token and is not shown"
            }
            return "\(Quoted(String(decoding: field, as: UTF8.self)))"
        }
    }
}

/// Why a file of tokens cannot be used: one line for each problem.
struct TokenFileError: Error, Equatable, Sendable {
    var lines: [String]
}
