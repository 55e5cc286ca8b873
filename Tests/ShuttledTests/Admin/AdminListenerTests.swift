// Opening the admin socket: addresses, what is in the way, and the file of a unix socket.

import Foundation
import Glibc
import ShuttleEngine
import Testing

@testable import shuttled

@Suite struct AdminListenerTests {
    /// A folder of the test's own, removed afterwards.
    private func withFolder(_ body: (String) throws -> Void) throws {
        var template = Array("/tmp/shuttle-admin-XXXXXX".utf8CString)
        let path = try template.withUnsafeMutableBufferPointer { buffer in
            String(cString: try #require(mkdtemp(buffer.baseAddress!)))
        }
        defer {
            for name in ["s", "s2", "file"] { unlink("\(path)/\(name)") }
            rmdir(path)
        }
        try body(path)
    }

    private func address(_ text: String) throws -> AdminAddress {
        try AdminAddress(parsing: text)
    }

    private func failure(_ text: String) throws -> AdminListenFailure {
        try #require(
            #expect(throws: AdminListenFailure.self) { try AdminListener(opening: try address(text)) }
        )
    }

    /// What is at the path itself, symbolic links not followed.
    private func file(at path: String) -> (type: FileAttributeType?, mode: Int?)? {
        guard let attributes = try? FileManager.default.attributesOfItem(atPath: path) else {
            return nil
        }
        return (attributes[.type] as? FileAttributeType, attributes[.posixPermissions] as? Int)
    }

    // MARK: Addresses

    @Test func addressesAreRead() throws {
        #expect(try address("127.0.0.1:9090") == .standard)
        #expect(try address(":0") == .tcp(.wildcard(port: 0)))
        #expect(try address("/run/x.sock") == .unix(path: "/run/x.sock"))
        #expect(try address("unix:/run/x.sock") == .unix(path: "/run/x.sock"))
        for text in ["127.0.0.1:9090", "[::1]:0", "unix:/run/x.sock", ":9090", "proxy.example:1"] {
            #expect(try address(text).description == text)
        }
        for text in ["127.0.0.1:1", "127.8.8.8:1", "[::1]:1", "localhost:1", "/x"] {
            #expect(try address(text).isLoopbackForSure, "\(text)")
        }
        for text in [":1", "0.0.0.0:1", "10.0.0.1:1", "[::]:1", "localhost.example:1", "[fe80::1]:1"] {
            #expect(try !address(text).isLoopbackForSure, "\(text)")
        }
    }

    @Test(arguments: [
        "", "9090", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "http://127.0.0.1:9090", "unix:", "unix:x",
        "unix:/x/",
        "/x\u{0}y", "/", "::1:9090",
    ])
    func otherTextsAreNoAddresses(_ text: String) {
        let error = #expect(throws: AdminAddress.ParsingError.self) { try address(text) }
        #expect(error?.description.contains(Quoted(text).description) == true || text.isEmpty)
    }

    @Test func aPathHasABoundedLength() throws {
        let longest = "/" + String(repeating: "x", count: AdminAddress.pathLengthMax - 1)
        #expect(try address(longest) == .unix(path: longest))
        #expect(throws: AdminAddress.ParsingError.self) { try address(longest + "x") }
    }

    // MARK: TCP

    @Test(arguments: ["127.0.0.1", "[::1]", "localhost"]) func aFreePortIsReported(_ host: String) throws {
        let listener = try AdminListener(opening: try address("\(host):0"))
        let bound = try address(listener.boundAddress)
        guard case .tcp(.host(let numeric, let port)) = bound else {
            Issue.record("\(bound)")
            return
        }
        #expect(port > 0)
        #expect(NumericAddress(numeric)?.isLoopback == true)
        // It listens from now on, and not again elsewhere.
        #expect(try failure(listener.boundAddress).cause == .occupied)
        listener.close()
        try AdminListener(opening: bound).close()
    }

    @Test func everyAddressOnlyWhereThatIsAllowed() throws {
        #expect(try failure(":0").cause == .notAllowed)
        #expect(try failure("0.0.0.0:0").cause == .notAllowed)
        let listener = try AdminListener(opening: try address(":0"), allowsOtherHosts: true)
        #expect(listener.boundAddress.hasPrefix("[::]:") || listener.boundAddress.hasPrefix("0.0.0.0:"))
        listener.close()
    }

    @Test func failuresNameAddressCauseAndRemedy() throws {
        let listener = try AdminListener(opening: try address("127.0.0.1:0"))
        defer { listener.close() }
        let inUse = try failure(listener.boundAddress)
        #expect(inUse.description.contains(listener.boundAddress))
        #expect(inUse.description.contains("-http"))
        let unresolvable = try failure("no-such-host.invalid:9090")
        #expect(unresolvable.description.contains("no-such-host.invalid"))
        #expect(try failure("192.0.2.1:9090").cause == .notAllowed)
    }

    @Test func theDescriptorIsHandedOutOnce() throws {
        let listener = try AdminListener(opening: try address("127.0.0.1:0"))
        let descriptor = try #require(listener.takeDescriptor())
        #expect(listener.takeDescriptor() == nil)
        listener.close()
        #expect(fcntl(descriptor, F_GETFD) & FD_CLOEXEC != 0, "still open, and not for programs that are started")
        close(descriptor)
    }

    // MARK: Unix sockets

    @Test func theFileIsForItsOwnerIfNotSaidOtherwise() throws {
        try withFolder { folder in
            let path = "\(folder)/s"
            let umaskBefore = umask(0)
            defer { umask(umaskBefore) }
            let listener = try AdminListener(opening: try address("unix:\(path)"))
            #expect(file(at: path)?.type == .typeSocket)
            #expect(file(at: path)?.mode == 0o600)
            #expect(umask(0) == 0, "the umask is what it was")
            #expect(listener.boundAddress == "unix:\(path)")
            listener.close()
            #expect(file(at: path) == nil)
            let open = try AdminListener(opening: try address("unix:\(path)"), access: SocketFileAccess(mode: 0o660))
            #expect(file(at: path)?.mode == 0o660)
            open.close()
        }
    }

    @Test func whatAKilledProcessLeftIsReplaced() throws {
        try withFolder { folder in
            let path = "\(folder)/s"
            let killed = try AdminListener(opening: try address(path))
            try withExtendedLifetime(killed) {
                // The socket is gone, its file is not.
                close(try #require(killed.takeDescriptor()))
                #expect(file(at: path)?.type == .typeSocket)
                let successor = try AdminListener(opening: try address(path))
                let refusal = try failure(path)
                #expect(refusal.cause == .occupied, "the successor listens")
                successor.close()
                #expect(file(at: path) == nil)
            }
        }
    }

    @Test func whatAnotherPutInItsPlaceIsLeftAlone() throws {
        try withFolder { folder in
            let path = "\(folder)/s"
            let listener = try AdminListener(opening: try address(path))
            unlink(path)
            #expect(FileManager.default.createFile(atPath: path, contents: nil))
            listener.close()
            #expect(file(at: path)?.type == .typeRegular)
        }
    }

    @Test func aLivingOneIsLeftAlone() throws {
        try withFolder { folder in
            let path = "\(folder)/s"
            let listener = try AdminListener(opening: try address(path))
            defer { listener.close() }
            let failure = try failure(path)
            #expect(failure.cause == .occupied)
            #expect(failure.description.contains(path))
            #expect(file(at: path) != nil)
        }
    }

    @Test func anotherFileIsLeftAlone() throws {
        try withFolder { folder in
            let path = "\(folder)/file"
            #expect(FileManager.default.createFile(atPath: path, contents: nil))
            let refusal = try failure(path)
            #expect(refusal.cause == .occupied)
            #expect(file(at: path)?.type == .typeRegular)
            symlink(path, "\(folder)/s2")
            let linkRefusal = try failure("\(folder)/s2")
            #expect(linkRefusal.cause == .occupied)
        }
    }

    @Test func aMissingFolderIsNamed() throws {
        try withFolder { folder in
            let failure = try failure("\(folder)/missing/s")
            #expect(failure.cause == .system(ENOENT))
            #expect(failure.description.contains("folder"))
        }
    }
}
