import Glibc
import Synchronization
import Testing

@testable import shuttled

struct AccessLogSinkTests {
    private static func lines(_ texts: String...) -> [AccessLogSinkLine] {
        texts.map { AccessLogSinkLine(bytes: Array($0.utf8), service: "web", backend: "one", reason: "cut") }
    }

    // MARK: Files

    @Test func linesAreAppended() throws {
        let folder = try TemporaryFolder()
        try folder.write("log", "before\n")
        let sink = StreamSink(path: folder.path("log"))
        #expect(sink.write(Self.lines("a", "b")) == AccessLogSinkResult(written: 2))
        #expect(sink.write(Self.lines("c")) == AccessLogSinkResult(written: 1))
        #expect(try folder.read("log") == Array("before\na\nb\nc\n".utf8))
    }

    @Test func aFileThatWasMovedAwayIsOpenedAnewWhenTold() throws {
        let folder = try TemporaryFolder()
        let sink = StreamSink(path: folder.path("log"))
        _ = sink.write(Self.lines("a"))
        try #require(rename(folder.path("log"), folder.path("log.1")) == 0)
        _ = sink.write(Self.lines("b"))
        #expect(sink.reopen() == nil)
        #expect(try folder.read("log") == [])
        _ = sink.write(Self.lines("c"))
        #expect(try folder.read("log.1") == Array("a\nb\n".utf8))
        #expect(try folder.read("log") == Array("c\n".utf8))
    }

    @Test func whatCannotBeOpenedIsTriedAgain() throws {
        let folder = try TemporaryFolder()
        let sink = StreamSink(path: folder.path("missing/log"))
        #expect(sink.reopen() == "cannot open \(folder.path("missing/log")): No such file or directory")
        let result = sink.write(Self.lines("a", "b"))
        #expect(result.written == 0 && result.dropped == 2)
        #expect(result.problem == "cannot open \(folder.path("missing/log")): No such file or directory")
        try #require(mkdir(folder.path("missing"), 0o700) == 0)
        #expect(sink.write(Self.lines("c")).written == 1)
    }

    /// Nobody is waited for, as a start would have to.
    @Test func aPipeWithoutAReaderIsNotOpened() throws {
        let folder = try TemporaryFolder()
        try #require(mkfifo(folder.path("log"), 0o600) == 0)
        let sink = StreamSink(path: folder.path("log"))
        #expect(sink.reopen()?.hasSuffix("No such device or address") == true)
        let reader = open(folder.path("log"), O_RDONLY | O_NONBLOCK)
        defer { close(reader) }
        #expect(sink.write(Self.lines("a")).written == 1)
    }

    /// The disk is full after seven bytes: the line that was begun is ended, and what follows is whole.
    @Test func aFullDiskLosesLinesAndMixesNone() throws {
        let folder = try TemporaryFolder()
        let room = Mutex(7)
        let sink = StreamSink(path: folder.path("log")) { descriptor, bytes in
            let count = room.withLock { room in
                defer { room -= min(room, bytes.count) }
                return min(room, bytes.count)
            }
            guard count > 0 else {
                errno = ENOSPC
                return -1
            }
            return Glibc.write(descriptor, bytes.baseAddress, count)
        }
        let result = sink.write(Self.lines("one", "two", "three"))
        #expect(result.written == 1 && result.dropped == 2)
        #expect(result.problem == "cannot write \(folder.path("log")): No space left on device")
        #expect(sink.write(Self.lines("four")).dropped == 1)
        room.withLock { $0 = .max }
        #expect(sink.write(Self.lines("five")) == AccessLogSinkResult(written: 1))
        #expect(try folder.read("log") == Array("one\ntwo\nfive\n".utf8))
    }

    // MARK: Sockets

    /// The other end of a sink.
    private struct Receiver: ~Copyable {
        let descriptor: Int32

        init(_ path: String) throws {
            descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
            let result = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
                }
            }
            try #require(result == 0)
            var patience = timeval(tv_sec: 10, tv_usec: 0)
            setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        }

        deinit { close(descriptor) }

        func next() -> String {
            var bytes = [UInt8](repeating: 0, count: 4096)
            let count = recv(descriptor, &bytes, bytes.count, 0)
            return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
        }
    }

    @Test func syslogGetsADatagramForEachLine() throws {
        let folder = try TemporaryFolder()
        let receiver = try Receiver(folder.path("log"))
        let sink = DatagramSink(socket: folder.path("log"), protocol: .syslog)
        #expect(sink.write(Self.lines("a=1", "b")) == AccessLogSinkResult(written: 2))
        let first = receiver.next()
        let form = #/<30>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d shuttled\[\d+\]: a=1/#
        #expect(try form.wholeMatch(in: first) != nil, "\(first)")
        #expect(receiver.next().hasSuffix(": b"))
    }

    @Test func theJournalGetsFields() throws {
        let folder = try TemporaryFolder()
        let receiver = try Receiver(folder.path("journal"))
        let sink = DatagramSink(socket: folder.path("journal"), protocol: .journald)
        #expect(sink.write(Self.lines("a=1")).written == 1)
        #expect(
            receiver.next() == """
                PRIORITY=6
                SYSLOG_IDENTIFIER=shuttled
                SHUTTLE_SERVICE=web
                SHUTTLE_BACKEND=one
                SHUTTLE_REASON=cut
                MESSAGE=a=1

                """
        )
    }

    @Test func oneThatWasRestartedIsFoundAgain() throws {
        let folder = try TemporaryFolder()
        let sink = DatagramSink(socket: folder.path("log"), protocol: .syslog)
        let missing = sink.write(Self.lines("a", "b"))
        #expect(missing.dropped == 2)
        #expect(missing.problem == "cannot send to \(folder.path("log")): No such file or directory")
        do {
            let receiver = try Receiver(folder.path("log"))
            #expect(sink.write(Self.lines("c")).written == 1)
            #expect(receiver.next().hasSuffix(": c"))
        }
        try #require(unlink(folder.path("log")) == 0)
        let receiver = try Receiver(folder.path("log"))
        #expect(sink.write(Self.lines("d")).written == 1)
        #expect(receiver.next().hasSuffix(": d"))
    }

    /// It does not read: its queue is full after some lines, and each batch waits for it once.
    @Test func oneThatDoesNotReadLosesLines() throws {
        let folder = try TemporaryFolder()
        let receiver = try Receiver(folder.path("log"))
        let sink = DatagramSink(socket: folder.path("log"), protocol: .syslog)
        let many = (0..<5000).map { AccessLogSinkLine(bytes: Array("\($0)".utf8), service: "web", reason: "cut") }
        let result = sink.write(many)
        #expect(result.written > 0 && result.dropped > 0 && result.written + result.dropped == 5000)
        for number in 0..<result.written {
            #expect(receiver.next().hasSuffix(": \(number)"))
        }
        #expect(sink.write(Self.lines("later")).written == 1)
    }
}
