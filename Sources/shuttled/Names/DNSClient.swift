// Owns asking DNS through libc's resolver: which servers, and what their silence or their no means.
// Leaves to others: reading the bytes (DNSMessage), sources of names beside DNS (SystemNames).

import CResolver
import ShuttleEngine

/// Why DNS has no records of a name.
enum DNSFailure: Error, Equatable, Sendable {
    /// There are none, says a server: of this type, or of the name at all.
    case nonexistent
    /// No server has said anything of use: silence, SERVFAIL, REFUSED, bytes that cannot be read.
    case unanswered

    /// The end of a sentence that starts with the name.
    var reason: String {
        switch self {
        case .nonexistent:
            return "does not resolve to an address; check its spelling, or write a numeric address"
        case .unanswered:
            return "could not be resolved now (the DNS servers do not answer, or with an error); try again later, "
                + "or write a numeric address"
        }
    }
}

/// Records of a name, and how long they hold.
typealias DNSRecords = (question: String, contents: [DNSMessage.Content], timeToLiveSeconds: Int)

struct DNSClient: Sendable {
    /// In the place of the servers of `/etc/resolv.conf`.
    var server: ShuttleEngine.SocketAddress?

    /// Answers longer than any datagram come whole over TCP.
    private static let answerBytesMax = 65_536

    /// The records of a type. With `searches` a name without enough dots is looked for in the domains of
    /// `/etc/resolv.conf`. Blocks.
    func records(
        _ type: DNSRecordType, of name: String, searches: Bool = true
    ) throws(DNSFailure) -> DNSRecords {
        var length: Int32 = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: DNSClient.answerBytesMax) { buffer, count in
            length = ask(name, type, searches: searches, answer: UnsafeMutableBufferPointer(rebasing: buffer[...]))
            count = Int(max(0, length))
        }
        switch length {
        case SHUTTLE_DNS_NO_SUCH_NAME.rawValue, SHUTTLE_DNS_NO_SUCH_DATA.rawValue:
            throw .nonexistent
        case ..<0:
            throw .unanswered
        default:
            guard let message = DNSMessage(parsing: bytes) else {
                throw .unanswered
            }
            let (records, timeToLive) = message.relevant
            let contents = records.map(\.content).filter { type.isContent($0) }
            guard !contents.isEmpty else {
                throw .nonexistent
            }
            return (message.question, contents, timeToLive ?? 0)
        }
    }

    /// The length of the answer, or what there is instead.
    private func ask(
        _ name: String, _ type: DNSRecordType, searches: Bool, answer: UnsafeMutableBufferPointer<UInt8>
    ) -> Int32 {
        func ask(_ server: UnsafeRawPointer?) -> Int32 {
            shuttle_dns_ask(
                name, Int32(type.rawValue), searches ? 1 : 0, server, answer.baseAddress, Int32(answer.count)
            )
        }
        guard let server else {
            return ask(nil)
        }
        return server.withSockAddr { address, _ in ask(address) }
    }
}

extension DNSRecordType {
    fileprivate func isContent(_ content: DNSMessage.Content) -> Bool {
        switch (self, content) {
        case (.ipv4, .address), (.ipv6, .address), (.server, .server), (.alias, .alias): return true
        default: return false
        }
    }
}
