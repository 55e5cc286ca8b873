// The file of a listening unix socket: its access from the first moment on, what is replaced and what is not, changes that
// fail, and its end.

import Glibc
import Testing

@testable import ShuttleEngine

@Suite struct UnixSocketFileTests {
    /// A folder of the test's own, removed afterwards.
    private func withFolder(_ body: (String) throws -> Void) throws {
        var template = Array("/tmp/shuttle-socket-XXXXXX".utf8CString)
        let path = try template.withUnsafeMutableBufferPointer { buffer in
            String(cString: try #require(mkdtemp(buffer.baseAddress!)))
        }
        defer {
            for name in ["s", "t", "file"] { unlink("\(path)/\(name)") }
            rmdir(path)
        }
        try body(path)
    }

    private func mode(of path: String) -> UInt32? {
        var status = stat()
        return lstat(path, &status) == 0 ? status.st_mode & 0o7777 : nil
    }

    private func connectCode(_ path: String) throws -> Int32 {
        let address = SocketAddress.unix(name: path, isAbstract: false)
        switch withUnsafePointer(to: address, { Socket.connectUnix($0) }) {
        case .success(let socket):
            Socket.close(socket)
            return 0
        case .failure(let error): return error.code
        }
    }

    @Test func itIsAsItIsToBeAndGoesWithItsSocket() throws {
        try withFolder { folder in
            let path = "\(folder)/s"
            let umaskBefore = umask(0o022)
            defer { umask(umaskBefore) }
            do {
                let access = SocketFileAccess(mode: 0o666, owner: geteuid(), group: getegid())
                let socket = try ListeningSocket.open(.unix(name: path, isAbstract: false), access: access).get()
                #expect(mode(of: path) == 0o666)
                #expect(try connectCode(path) == 0)
                #expect(socket.address.unixPath == path)
            }
            #expect(mode(of: path) == nil)
        }
    }

    @Test func aSecondOneIsRefusedUntilTheFirstIsGone() throws {
        try withFolder { folder in
            let address = SocketAddress.unix(name: "\(folder)/s", isAbstract: false)
            let first = try ListeningSocket.open(address).get()
            #expect(throws: ListenError(.listen, EADDRINUSE)) { try ListeningSocket.open(address).get() }
            // A socket of another type is somebody's as well.
            first.refuseNewHandshakes()
            #expect(mode(of: "\(folder)/s") == nil, "its path is free before it is closed")
            let second = try ListeningSocket.open(address).get()
            #expect(try connectCode("\(folder)/s") == 0)
            withExtendedLifetime((first, second)) {}
        }
    }

    @Test func whatIsStaleIsReplacedAndWhatIsNotASocketStays() throws {
        try withFolder { folder in
            let path = "\(folder)/s"
            let address = SocketAddress.unix(name: path, isAbstract: false)
            let killed = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
            #expect(address.withSockAddr { bind(killed, $0.assumingMemoryBound(to: sockaddr.self), $1) } == 0)
            close(killed)
            #expect(try connectCode(path) == ECONNREFUSED)
            _ = try ListeningSocket.open(address).get()
            #expect(try connectCode(path) == ENOENT)
            let file = open(path, O_CREAT | O_WRONLY, 0o600)
            close(file)
            #expect(throws: ListenError(.occupied, EADDRINUSE)) { try ListeningSocket.open(address).get() }
            #expect(mode(of: path) == 0o600)
            // A link is a file, wherever it leads.
            symlink("\(folder)/nowhere", "\(folder)/t")
            #expect(throws: ListenError(.occupied, EADDRINUSE)) {
                try ListeningSocket.open(.unix(name: "\(folder)/t", isAbstract: false)).get()
            }
            #expect(throws: ListenError(.listen, ENOENT)) {
                try ListeningSocket.open(.unix(name: "\(folder)/missing/s", isAbstract: false)).get()
            }
        }
    }

    @Test func changesOfAccessAreWholeOrNone() throws {
        try withFolder { folder in
            let path = "\(folder)/s"
            let socket = try ListeningSocket.open(.unix(name: path, isAbstract: false)).get()
            let file = try #require(socket.file)
            try file.change(to: SocketFileAccess(mode: 0o600))
            #expect(mode(of: path) == 0o600 && file.access.mode == 0o600)
            if geteuid() != 0 {
                #expect(throws: ListenError(.owner, EPERM)) {
                    try file.change(to: SocketFileAccess(mode: 0o666, owner: 0))
                }
                #expect(mode(of: path) == 0o600 && file.access == SocketFileAccess(mode: 0o600))
            }
            unlink(path)
            let other = open(path, O_CREAT | O_WRONLY, 0o644)
            close(other)
            #expect(throws: ListenError(.missing, ENOENT)) { try file.change(to: SocketFileAccess(mode: 0o666)) }
            #expect(mode(of: path) == 0o644 && file.access.mode == 0o600)
        }
    }

    @Test func abstractNamesAreFreeWithTheirSocket() throws {
        let address = SocketAddress.unix(name: "shuttle-test-\(getpid())", isAbstract: true)
        do {
            let socket = try ListeningSocket.open(address).get()
            #expect(socket.file == nil)
            #expect(throws: ListenError(.listen, EADDRINUSE)) { try ListeningSocket.open(address).get() }
        }
        _ = try ListeningSocket.open(address).get()
    }

    /// A client is the process behind it.
    @Test func thePeerIsAProcess() throws {
        let address = SocketAddress.unix(name: "shuttle-peer-\(getpid())", isAbstract: true)
        let listener = try ListeningSocket.open(address).get()
        let client = try withUnsafePointer(to: address) { try Socket.connectUnix($0).get() }
        defer { Socket.close(client) }
        let accepted = try Socket.accept(listener.descriptor).get()
        defer { Socket.close(accepted) }
        let peer = try #require(SocketAddress.peer(of: accepted))
        #expect(peer.isUnix && peer.hostWords == (.max, UInt64(getpid())))
        #expect(peer.description == "unix:\(getpid())")
        #expect(fcntl(client, F_GETFL) & O_NONBLOCK == 0, "its calls wait like those of all others")
    }

    @Test func aFullListenQueueIsToldAtOnce() throws {
        let address = SocketAddress.unix(name: "shuttle-full-\(getpid())", isAbstract: true)
        let listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(listener) }
        #expect(address.withSockAddr { bind(listener, $0.assumingMemoryBound(to: sockaddr.self), $1) } == 0)
        #expect(listen(listener, 0) == 0)
        let first = try withUnsafePointer(to: address) { try Socket.connectUnix($0).get() }
        defer { Socket.close(first) }
        #expect(throws: SystemCallError(code: EAGAIN)) {
            try withUnsafePointer(to: address) { try Socket.connectUnix($0).get() }
        }
    }
}
