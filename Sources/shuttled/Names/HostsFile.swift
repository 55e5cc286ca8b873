// Owns reading `/etc/hosts`. Leaves to others: every other source of names (SystemNames).

import Glibc
import ShuttleEngine

/// The machine's own table of host names.
enum HostsFile {
    static let path = "/etc/hosts"

    /// The addresses of `host`, which is in lower case, in the order of the file; port 0. Blocks.
    static func addresses(of host: String, path: String = HostsFile.path) -> [ShuttleEngine.SocketAddress] {
        guard let file = fopen(path, "re") else {
            return []
        }
        defer { fclose(file) }
        var result: [ShuttleEngine.SocketAddress] = []
        var line: UnsafeMutablePointer<CChar>?
        var capacity = 0
        defer { free(line) }
        while getline(&line, &capacity, file) >= 0 {
            if let address = line.flatMap({ address(of: host, in: String(cString: $0)) }), !result.contains(address) {
                result.append(address)
            }
        }
        return result
    }

    /// The address at the beginning of a line, if one of the names after it is `host`.
    static func address(of host: String, in line: String) -> ShuttleEngine.SocketAddress? {
        let words = line.prefix { $0 != "#" }.split(whereSeparator: \.isWhitespace)
        guard let literal = words.first, words.dropFirst().contains(where: { $0.lowercased() == host }) else {
            return nil
        }
        return NumericHost.address(String(literal))
    }
}

/// Numeric hosts, with the system's parser.
enum NumericHost {
    /// The socket address of a numeric host, brackets left out, or nil when it is a name. Never blocks.
    static func address(_ host: String, port: Int = 0) -> ShuttleEngine.SocketAddress? {
        var hints = addrinfo()
        hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, String(port), &hints, &list) == 0 else {
            return nil
        }
        defer { list.map(freeaddrinfo) }
        guard let info = list?.pointee, let address = info.ai_addr else {
            return nil
        }
        return ShuttleEngine.SocketAddress(copying: address, length: Int(info.ai_addrlen))?.unmapped
    }
}
