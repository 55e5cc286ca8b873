// Owns the words for unix sockets that cannot be listened on, and for files that cannot be made theirs.
// Leaves to others: carrying changes out (ChangeExecutor), and the files themselves (ShuttleEngine).

import Glibc
import ShuttleEngine

extension ChangeExecutor {
    static func refusal(
        ofSocketFile failure: ListenFailure, _ service: ServiceConfiguration, pointer: String
    ) -> ChangeRefusal {
        let cause = "\(String(cString: strerror(failure.code))) (errno \(failure.code))"
        func issue(_ field: String, _ value: String, _ rest: String) -> ConfigurationIssue {
            ConfigurationIssue(pointer: "\(pointer)/\(field)", detail: "\"\(field)\" is \(Quoted(value)); \(rest)")
        }
        switch failure.step {
        case .mode:
            return .cannotListen([
                issue(
                    "socket_mode", service.socketMode,
                    "the permissions of the socket file could not be set: \(cause); only its owner may do that, and root"
                )
            ])
        case .owner:
            let isOwner = !service.socketOwner.isEmpty
            return .cannotListen([
                issue(
                    isOwner ? "socket_owner" : "socket_group", isOwner ? service.socketOwner : service.socketGroup,
                    "the socket file could not be given away: \(cause); that takes the capability CAP_CHOWN, and for a group "
                        + "alone it is enough to be a member of it"
                )
            ])
        case .occupied:
            return .addressInUse([
                issue(
                    "address", service.address,
                    "there is a file which is not a socket; move it away or choose another path"
                )
            ])
        case .missing:
            return .cannotListen([
                issue(
                    "address", service.address,
                    "somebody has removed or replaced the socket file; remove the service, then create it again"
                )
            ])
        case .listen where failure.code == EADDRINUSE:
            return .addressInUse([
                issue(
                    "address", service.address,
                    "another program listens there; stop it (`ss -lxp` shows it) or choose another address"
                )
            ])
        case .listen, .replace:
            return .cannotListen([issue("address", service.address, "\(cause)\(remedy(failure.code))")])
        }
    }

    private static func remedy(_ code: Int32) -> String {
        switch code {
        case ENOENT, ENOTDIR: return "; create its folder first"
        case EACCES, EPERM:
            return
                "; this user may not write to its folder, or not ask whether anybody listens at the socket that is there"
        case EROFS: return "; choose a path on a file system that can be written to"
        case EMFILE: return "; raise this process's limit of file descriptors (`ulimit -n`, LimitNOFILE= of systemd)"
        default: return ""
        }
    }
}
