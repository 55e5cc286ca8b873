// Owns how a failed file operation is told: what was being done to which file, why it failed, what would help.

import Glibc

/// A file operation that did not work.
struct FileFailure: Error, Equatable, Sendable, CustomStringConvertible {
    /// What was being done, such as "write".
    var action: String
    var path: String
    /// errno of the call that failed.
    var code: Int32
    /// What to do about it, where that is known.
    var remedy: String?

    init(_ action: String, _ path: String, code: Int32, remedy: String? = nil) {
        self.action = action
        self.path = path
        self.code = code
        self.remedy = remedy ?? FileFailure.remedy(for: code)
    }

    var description: String {
        let reason = "cannot \(action) \(path): \(String(cString: strerror(code)))"
        return remedy.map { "\(reason); \($0)" } ?? reason
    }

    private static func remedy(for code: Int32) -> String? {
        switch code {
        case ENOSPC: return "free space on its file system"
        case EDQUOT: return "free space within the quota of this user"
        case EROFS: return "choose a place on a file system that can be written to"
        case EACCES, EPERM: return "give user \(geteuid()) access to the file and its folder"
        case ENOENT: return "check the path, and that its folder exists"
        case ENOTDIR: return "a part of the path is not a folder; check the path"
        case ELOOP: return "its symbolic links lead in a circle; check the path"
        case ENAMETOOLONG: return "choose a shorter name"
        case EISDIR: return "it is a folder; name a file"
        default: return nil
        }
    }
}
