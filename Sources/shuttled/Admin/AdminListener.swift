// Owns the admin endpoint's listening socket from its opening on: binding it before anything else runs, so that a start
// that cannot succeed ends at once.
// Leaves to others: accepting (AdminServer), and the exit codes (Shuttled).

import Glibc
import NIOCore
import ShuttleEngine
import Synchronization

/// Why the admin endpoint cannot listen. The description names the address, the cause and the remedy.
struct AdminListenFailure: Error, CustomStringConvertible {
    enum Cause: Equatable, Sendable {
        /// The address is one that must not be used.
        case notAllowed
        /// The system refused it; errno.
        case system(Int32)
        /// Another program answers there, or what stands there is not ours to replace.
        case occupied
    }
    var cause: Cause
    var description: String
}

extension AdminListenFailure {
    /// Of a unix socket.
    fileprivate init(_ error: ListenError, at path: String) {
        let intro = "cannot listen on unix:\(path) for the admin API"
        if error.step == .occupied {
            self.init(
                cause: .occupied,
                description:
                    "\(intro): there is a file which is not a socket; move it away or choose another path with -http"
            )
        } else if error == ListenError(.listen, EADDRINUSE) {
            self.init(
                cause: .occupied,
                description: "\(intro): another program listens there; stop it or choose another path with -http"
            )
        } else {
            let remedy =
                switch error.code {
                case ENOENT, ENOTDIR: "; create its folder first"
                case EACCES, EPERM: "; this user may not write to its folder"
                case EROFS: "; choose a path on a file system that can be written to"
                default: ""
                }
            self.init(
                cause: .system(error.code), description: "\(intro): \(String(cString: strerror(error.code)))\(remedy)")
        }
    }
}

/// A socket that is bound and listening: clients that come before the server runs wait.
final class AdminListener: Sendable {
    /// Where it listens: `127.0.0.1:9090` with the port that port 0 became, or `unix:/path`.
    let boundAddress: String
    /// As it was asked for.
    let address: AdminAddress
    /// Whether other machines can reach it.
    var isOpenToOthers: Bool { (try? AdminAddress(parsing: boundAddress))?.isLoopbackForSure == false }

    /// Whether it was handed to this process, and by which address.
    let handedAddress: ShuttleEngine.SocketAddress?
    var isHanded: Bool { handedAddress != nil }

    private let descriptor: Int32
    private let socketFile: UnixSocketFile?
    /// The descriptor is handed out once, to what will close it.
    private let isTaken = Atomic(false)

    /// Binds and listens. Clients beyond `backlog` that were not accepted yet are turned away by the kernel.
    ///
    /// Addresses that others can reach are refused unless `allowsOtherHosts`, also when a name turns out to be one. The file
    /// of a unix socket is as `access` says.
    init(
        opening address: AdminAddress, allowsOtherHosts: Bool = false,
        access: SocketFileAccess = SocketFileAccess(mode: 0o600), handed: HandedSockets = .none, backlog: Int32 = 256
    ) throws(AdminListenFailure) {
        self.address = address
        if let socket = try AdminListener.handed(handed, at: address, allowsOtherHosts: allowsOtherHosts) {
            let copy = socket.copy(isNonBlocking: true)
            guard copy >= 0 else {
                throw AdminListenFailure(
                    cause: .system(-copy),
                    description:
                        "cannot take descriptor \(socket.descriptor) for the admin API: \(String(cString: strerror(-copy)))"
                )
            }
            (descriptor, boundAddress, socketFile, handedAddress) = (
                copy, socket.address.description, nil, socket.address
            )
            return
        }
        handedAddress = nil
        switch address {
        case .tcp(let endpoint):
            (descriptor, boundAddress) = try AdminListener.openTCP(
                endpoint, allowsOtherHosts: allowsOtherHosts, backlog: backlog
            )
            socketFile = nil
        case .unix(let path):
            do throws(ListenError) {
                (socketFile, descriptor) = try UnixSocketFile.listen(
                    at: path, access, backlog: backlog, isNonBlocking: true
                )
            } catch {
                throw AdminListenFailure(error, at: path)
            }
            boundAddress = "unix:\(path)"
        }
    }

    deinit {
        close()
    }

    /// Hands the descriptor over to who will close it; `nil` when that was done before.
    func takeDescriptor() -> Int32? {
        isTaken.exchange(true, ordering: .relaxed) ? nil : descriptor
    }

    /// Removes the socket file. Before the socket closes: while it listens, no other process takes the path.
    func removeSocketFile() {
        socketFile?.remove()
    }

    /// Closes the socket if it was never handed over, and removes the socket file.
    func close() {
        removeSocketFile()
        if let descriptor = takeDescriptor() {
            Glibc.close(descriptor)
        }
    }

    /// The socket that was handed over for this address. Whether others can reach it is judged as if it were bound here.
    private static func handed(
        _ sockets: HandedSockets, at address: AdminAddress, allowsOtherHosts: Bool
    ) throws(AdminListenFailure) -> HandedSocket? {
        guard !sockets.sockets.isEmpty else {
            return nil
        }
        let wanted: [ShuttleEngine.SocketAddress]
        switch address {
        case .unix(let path):
            wanted = (try? UnixAddress(parsing: "unix:\(path)")).map { [SocketAddress($0)] } ?? []
        case .tcp(let endpoint):
            wanted = try candidates(for: endpoint).filter {
                allowsOtherHosts || NumericAddress($0)?.isLoopback == true
            }.compactMap { candidate in
                candidate.withSockAddr { ShuttleEngine.SocketAddress(copying: UnsafeRawPointer($0), length: $1) }
            }
        }
        return sockets.sockets.first { wanted.contains($0.address) }
    }

    // MARK: TCP

    private static func openTCP(
        _ endpoint: Endpoint, allowsOtherHosts: Bool, backlog: Int32
    ) throws(AdminListenFailure) -> (descriptor: Int32, bound: String) {
        var failure = AdminListenFailure(cause: .system(EADDRNOTAVAIL), description: "")
        for candidate in try candidates(for: endpoint) {
            guard allowsOtherHosts || NumericAddress(candidate)?.isLoopback == true else {
                failure = AdminListenFailure(
                    cause: .notAllowed,
                    description: "cannot listen on \(endpoint) for the admin API: "
                        + "\(describe(candidate, port: endpoint.port)) can be reached from other machines, and there are "
                        + "no tokens to keep them out; name a file of tokens by -token-file, or use 127.0.0.1, [::1] or a "
                        + "unix socket"
                )
                continue
            }
            do throws(AdminListenFailure) {
                return try bind(candidate, for: endpoint, backlog: backlog)
            } catch {
                failure = error
            }
        }
        throw failure
    }

    /// What `endpoint` may mean, most wanted first.
    private static func candidates(
        for endpoint: Endpoint
    ) throws(AdminListenFailure) -> [NIOCore.SocketAddress] {
        let host: String?
        switch endpoint {
        case .host(let name, _): host = name
        case .wildcard: host = nil
        }
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_NUMERICSERV | AI_PASSIVE
        var list: UnsafeMutablePointer<addrinfo>?
        let status = getaddrinfo(host, String(endpoint.port), &hints, &list)
        guard status == 0 else {
            throw AdminListenFailure(
                cause: .system(status == EAI_SYSTEM ? errno : EADDRNOTAVAIL),
                description: "cannot listen on \(endpoint) for the admin API: the name \(Quoted(host ?? "")) cannot be "
                    + "resolved (\(String(cString: gai_strerror(status)))); use an address, such as 127.0.0.1"
            )
        }
        defer { freeaddrinfo(list) }
        var addresses: [NIOCore.SocketAddress] = []
        var next = list
        while let entry = next?.pointee {
            if let text = numericHost(entry),
                let address = try? NIOCore.SocketAddress(ipAddress: text, port: endpoint.port)
            {
                addresses.append(address)
            }
            next = entry.ai_next
        }
        // `localhost` has an address of each family and only one is bound: the one that every client knows. Of the
        // addresses that mean every one, that of IPv6 takes IPv4 as well.
        let ipv4 = addresses.filter { $0.protocol == .inet }
        let ipv6 = addresses.filter { $0.protocol == .inet6 }
        return host == nil ? ipv6 + ipv4 : ipv4 + ipv6
    }

    private static func numericHost(_ entry: addrinfo) -> String? {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(NI_MAXHOST)) { text in
            let status = getnameinfo(
                entry.ai_addr, entry.ai_addrlen, text.baseAddress, socklen_t(text.count), nil, 0, NI_NUMERICHOST
            )
            return status == 0 ? String(cString: text.baseAddress!) : nil
        }
    }

    private static func bind(
        _ candidate: NIOCore.SocketAddress, for endpoint: Endpoint, backlog: Int32
    ) throws(AdminListenFailure) -> (descriptor: Int32, bound: String) {
        func failure(_ code: Int32) -> AdminListenFailure {
            AdminListenFailure(
                cause: code == EADDRINUSE ? .occupied : .system(code),
                description: "cannot listen on \(endpoint) for the admin API: \(explanation(of: code))"
            )
        }
        let isIPv6 = candidate.protocol == .inet6
        let descriptor = socket(
            isIPv6 ? AF_INET6 : AF_INET,
            Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0
        )
        guard descriptor >= 0 else {
            throw failure(errno)
        }
        // Connections of the process before may still be in TIME_WAIT on the port.
        set(SO_REUSEADDR, of: descriptor, level: SOL_SOCKET, to: 1)
        if isIPv6 {
            // `:port` means every address of both families, whatever the machine's default is.
            set(IPV6_V6ONLY, of: descriptor, level: Int32(IPPROTO_IPV6), to: 0)
        }
        let isBound = candidate.withSockAddr { Glibc.bind(descriptor, $0, socklen_t($1)) == 0 }
        guard isBound, listen(descriptor, backlog) == 0 else {
            let code = errno
            Glibc.close(descriptor)
            throw failure(code)
        }
        return (descriptor, describe(candidate, port: boundPort(of: descriptor) ?? candidate.port ?? 0))
    }

    private static func set(_ option: Int32, of descriptor: Int32, level: Int32, to value: Int32) {
        var value = value
        setsockopt(descriptor, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
    }

    /// The port that port 0 became; it stands at the same place in both families.
    private static func boundPort(of descriptor: Int32) -> Int? {
        withUnsafeTemporaryAllocation(byteCount: 128, alignment: 8) { storage in
            var length = socklen_t(storage.count)
            let address = storage.baseAddress!.assumingMemoryBound(to: sockaddr.self)
            guard getsockname(descriptor, address, &length) == 0 else {
                return nil
            }
            return Int(UInt16(bigEndian: storage.load(fromByteOffset: 2, as: UInt16.self)))
        }
    }

    private static func describe(_ address: NIOCore.SocketAddress, port: Int) -> String {
        let host = address.ipAddress ?? ""
        return host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }

    private static func explanation(of code: Int32) -> String {
        let cause = String(cString: strerror(code))
        switch code {
        case EADDRINUSE:
            return "\(cause): another program listens there; stop it or choose another address with -http"
        case EADDRNOTAVAIL:
            return "\(cause): this machine does not have the address; use one of its own, such as 127.0.0.1"
        case EACCES:
            return "\(cause): ports below 1024 need CAP_NET_BIND_SERVICE; choose a higher port with -http"
        default:
            return cause
        }
    }
}
