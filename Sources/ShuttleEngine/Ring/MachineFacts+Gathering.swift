// Owns reading the facts of this machine that a diagnosis needs.

import Glibc

extension MachineFacts {
    static func gather() -> MachineFacts {
        var limit = rlimit()
        let hasLimit = getrlimit(__rlimit_resource_t(__RLIMIT_MEMLOCK.rawValue), &limit) == 0
        let unlimited = rlim_t.max
        return MachineFacts(
            kernelRelease: kernelRelease(),
            ioUringDisabled: text(of: "/proc/sys/kernel/io_uring_disabled").flatMap { Int($0.trimmingLine) },
            seccompMode: seccompMode(),
            lockedMemoryLimit: hasLimit && limit.rlim_cur != unlimited ? UInt64(limit.rlim_cur) : nil
        )
    }

    static func kernelRelease() -> String {
        var name = utsname()
        guard uname(&name) == 0 else { return "unknown" }
        return withUnsafeBytes(of: &name.release) { bytes in
            String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
    }

    /// `Seccomp:` of /proc/self/status: 0 none, 2 filter; nil where the kernel does not tell.
    public static func seccompMode() -> Int? {
        let lines = text(of: "/proc/self/status")?.split(separator: "\n") ?? []
        return lines.first { $0.hasPrefix("Seccomp:") }
            .flatMap { Int($0.dropFirst("Seccomp:".count).trimmingLine) }
    }

    /// net.ipv4.ip_unprivileged_port_start, ip(7): the first port that everybody may listen on; 1024 where it cannot be read.
    public static func unprivilegedPortStart() -> Int {
        text(of: "/proc/sys/net/ipv4/ip_unprivileged_port_start").flatMap { Int($0.trimmingLine) } ?? 1024
    }

    /// The first 16 KiB of a small file of the kernel's.
    static func text(of path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { _ = close(descriptor) }
        return withUnsafeTemporaryAllocation(byteCount: 16384, alignment: 1) { buffer in
            let count = read(descriptor, buffer.baseAddress, buffer.count)
            return count < 0 ? nil : String(decoding: buffer[0..<count], as: UTF8.self)
        }
    }
}

extension StringProtocol {
    /// Without white space at both ends.
    fileprivate var trimmingLine: String {
        let isSpace: (Character) -> Bool = { $0.isWhitespace }
        return String(drop(while: isSpace).reversed().drop(while: isSpace).reversed())
    }
}
