// Owns reading a DNS message: the name it answers and the records that count, from bytes that anyone may have made.
// Leaves to others: asking (DNSClient), and what the records mean for a backend (SystemNames).

import Glibc
import ShuttleEngine

/// The parts of an answer that are of use here.
struct DNSMessage: Equatable, Sendable {
    enum Content: Equatable, Sendable {
        /// Port 0.
        case address(ShuttleEngine.SocketAddress)
        /// The name that the owner is another word for.
        case alias(String)
        case server(priority: Int, weight: Int, port: UInt16, target: String)
        case other
    }

    struct Record: Equatable, Sendable {
        var owner: String
        var timeToLiveSeconds: Int
        var content: Content
    }

    /// The name that was asked about in the end, with the domain that a search has added.
    var question: String
    var answers: [Record]

    /// Nil when the bytes are not a message with one question, or end too early.
    init?(parsing bytes: some Sequence<UInt8>) {
        var reader = DNSReader(bytes: Array(bytes))
        // Identity and flags are the resolver's to judge; it has done so.
        guard reader.skip(4), reader.number16() == 1, let answerCount = reader.number16(), reader.skip(4),
            let question = reader.name(), reader.skip(4)
        else {
            return nil
        }
        self.question = question
        answers = []
        for _ in 0..<answerCount {
            guard let record = reader.record() else {
                return nil
            }
            answers.append(record)
        }
    }

    /// The records of the question's name and of what it is an alias for, and the time that all of it holds.
    var relevant: (records: [Record], timeToLiveSeconds: Int?) {
        var names: Set<String> = [question]
        var records: [Record] = []
        var timeToLive: Int?
        // Servers send aliases before what they stand for.
        for record in answers where names.contains(record.owner) {
            timeToLive = min(timeToLive ?? .max, record.timeToLiveSeconds)
            if case .alias(let name) = record.content {
                names.insert(name)
            } else {
                records.append(record)
            }
        }
        return (records, timeToLive)
    }
}

/// Reads a message from its start to its end; everything is nil where the bytes do not have it.
private struct DNSReader {
    let bytes: [UInt8]
    private var position = 0

    init(bytes: [UInt8]) {
        self.bytes = bytes
    }

    mutating func skip(_ count: Int) -> Bool {
        guard bytes.count - position >= count else {
            return false
        }
        position += count
        return true
    }

    mutating func number16() -> Int? {
        let start = position
        return skip(2) ? Int(bytes[start]) << 8 | Int(bytes[start + 1]) : nil
    }

    private mutating func number32() -> Int? {
        guard let high = number16(), let low = number16() else {
            return nil
        }
        return high << 16 | low
    }

    /// A domain name in lower case without the dot at its end, compressed or not.
    mutating func name() -> String? {
        var text = ""
        var cursor = position
        var end: Int?
        while true {
            guard cursor < bytes.count else {
                return nil
            }
            let length = Int(bytes[cursor])
            switch length {
            case 0:
                position = end ?? cursor + 1
                return text
            case 1...63:
                guard bytes.count - cursor > length, text.utf8.count + length < 253 else {
                    return nil
                }
                text += text.isEmpty ? "" : "."
                text += String(decoding: bytes[cursor + 1...cursor + length], as: UTF8.self).lowercased()
                cursor += length + 1
            case 0xC0...0xFF:
                guard cursor + 1 < bytes.count else {
                    return nil
                }
                let target = (length & 0x3F) << 8 | Int(bytes[cursor + 1])
                // Only ever backwards, so that it ends.
                guard target < cursor else {
                    return nil
                }
                end = end ?? cursor + 2
                cursor = target
            default:
                return nil
            }
        }
    }

    mutating func record() -> DNSMessage.Record? {
        guard let owner = name(), let type = number16(), let recordClass = number16(), let timeToLive = number32(),
            let length = number16()
        else {
            return nil
        }
        let start = position
        guard skip(length) else {
            return nil
        }
        let end = position
        position = start
        let content = recordClass == 1 ? content(type: type, length: length) : .other
        guard let content, position <= end else {
            return nil
        }
        position = end
        // RFC 2181: a number with its highest bit set means 0.
        return DNSMessage.Record(
            owner: owner, timeToLiveSeconds: timeToLive < 1 << 31 ? timeToLive : 0, content: content
        )
    }

    private mutating func content(type: Int, length: Int) -> DNSMessage.Content? {
        switch (type, length) {
        case (DNSRecordType.ipv4.rawValue, 4):
            return number32().map { .address(.ipv4(UInt32($0), port: 0)) }
        case (DNSRecordType.ipv6.rawValue, 16):
            return .address(ipv6())
        case (DNSRecordType.alias.rawValue, _):
            return name().map { .alias($0) }
        case (DNSRecordType.server.rawValue, 7...):
            guard let priority = number16(), let weight = number16(), let port = number16(), let target = name() else {
                return nil
            }
            return .server(priority: priority, weight: weight, port: UInt16(port), target: target)
        default:
            return .other
        }
    }

    /// The next 16 bytes are there.
    private func ipv6() -> ShuttleEngine.SocketAddress {
        var inet = sockaddr_in6()
        inet.sin6_family = sa_family_t(AF_INET6)
        withUnsafeMutableBytes(of: &inet.sin6_addr) { $0.copyBytes(from: bytes[position..<position + 16]) }
        return withUnsafeBytes(of: inet) {
            // A family that it takes, whole.
            ShuttleEngine.SocketAddress(copying: $0.baseAddress!, length: $0.count)!.unmapped
        }
    }
}

/// Types of records by their numbers on the wire.
enum DNSRecordType: Int, Sendable {
    case ipv4 = 1
    case alias = 5
    case ipv6 = 28
    case server = 33
}
