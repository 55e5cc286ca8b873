// Owns address space that takes memory only where it is used. Leaves to others: what is kept in it.

import Glibc

/// Zeroed memory whose pages come into being when they are first touched.
struct ReservedMemory: ~Copyable {
    let base: UnsafeMutableRawPointer
    let byteCount: Int

    /// `nil` when there is no address space of `byteCount` bytes.
    init?(byteCount: Int) {
        precondition(byteCount > 0)
        let mapping = mmap(nil, byteCount, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
        guard let mapping, mapping != MAP_FAILED else { return nil }
        base = mapping
        self.byteCount = byteCount
    }

    deinit {
        munmap(base, byteCount)
    }

    /// The memory as values of a type for which all zeros is a value.
    func bound<Element: ~Copyable>(to type: Element.Type) -> UnsafeMutablePointer<Element> {
        base.bindMemory(to: type, capacity: byteCount / MemoryLayout<Element>.stride)
    }
}
