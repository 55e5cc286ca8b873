// Owns carrying a change out: open listeners, make it durable, publish it, wait for the rings. In this order, so that
// everything that can be refused comes before everything that cannot.
// Leaves to others: what the change is (NextConfiguration), and the order of changes (ControlPlane).

import Glibc
import Logging
import NIOCore
import ShuttleEngine

/// Carries out one change at a time, on the control loop.
struct ChangeExecutor {
    /// How long a ring may take to take up a change. It does so between two batches of completions, which is a matter
    /// of microseconds: a ring that is not heard of for so long is broken, and no other answer would be true.
    static let adoptionLimit: TimeAmount = .seconds(5)

    let loop: any EventLoop
    let dataPlane: any DataPlane
    /// Nil where there is no state file: changes live in memory then.
    let store: StateStore?
    let adoptionLimit: TimeAmount
    /// Ends the process, with a diagnostic; comes back in tests only.
    let fault: (String) -> Void

    /// Up to the sync of the state file's folder a change can be refused, and nothing has changed then. `committed` is
    /// called when it is published: the moment from which it is the configuration. Returns when every ring has it.
    nonisolated(nonsending) func execute(
        _ services: [AppliedService], of next: NextConfiguration, persists: Bool, committed: () -> Void
    ) async throws(ChangeRefusal) -> Epoch {
        do throws(ListenFailure) {
            try dataPlane.prepare(services.map(\.resolved))
        } catch {
            throw ChangeExecutor.refusal(of: error, services, next)
        }
        if persists, let store {
            let configuration = next.services
            do throws(FileFailure) {
                try await store.save { ConfigurationEncoder.bytes(of: configuration) }
            } catch {
                dataPlane.abandon()
                throw .notDurable("the state file \(store.file.path) could not be written: \(error)")
            }
        }
        let epoch = dataPlane.commit()
        committed()
        await adopted(epoch)
        return epoch
    }

    /// Comes back when every ring has taken the epoch up.
    nonisolated(nonsending) func adopted(_ epoch: Epoch) async {
        let deadline = NIODeadline.now() + adoptionLimit
        var step: TimeAmount = .microseconds(50)
        while case .waiting(let rings) = dataPlane.progress(epoch) {
            if NIODeadline.now() > deadline {
                let list = rings.map(String.init).joined(separator: ", ")
                fault(
                    "ring \(list) has not taken up configuration \(epoch) within "
                        + "\(adoptionLimit.nanoseconds / 1_000_000) ms; the process cannot be trusted any more and ends"
                )
                return
            }
            await loop.pause(step)
            step = min(step * 2, .milliseconds(1))
        }
    }

    // MARK: Listeners that could not be opened

    static func refusal(
        of failure: ListenFailure, _ services: [AppliedService], _ next: NextConfiguration
    ) -> ChangeRefusal {
        let service = services[failure.serviceIndex].configuration
        let intro = "\"address\" is \(Quoted(service.address))"
        if failure.address.isUnix {
            return refusal(ofSocketFile: failure, service, pointer: next.pointer(toService: service.name) ?? "")
        }
        let numeric = failure.address.description
        let place = service.address == numeric ? intro : "\(intro) (\(numeric))"
        let issue = ConfigurationIssue(
            pointer: "\(next.pointer(toService: service.name) ?? "")/address",
            detail: "\(place); \(explanation(failure.code, port: failure.address.port, service.network))"
        )
        return failure.code == EADDRINUSE ? .addressInUse([issue]) : .cannotListen([issue])
    }

    private static func explanation(_ code: Int32, port: UInt16, _ network: Network) -> String {
        switch code {
        case EADDRINUSE:
            return
                "the address is in use: another program listens there; stop it (`ss -l\(network == .udp ? "u" : "t")np 'sport = :\(port)'` shows it) or choose "
                + "another address"
        case EADDRNOTAVAIL:
            return "no network interface of this machine has this address; choose one that it has (`ip address` lists "
                + "them), or :\(port) for all of them"
        case EACCES:
            return
                "permission denied: listening on port \(port) needs the capability CAP_NET_BIND_SERVICE; run shuttled with it "
                + "(as root with -user, or by AmbientCapabilities= of systemd), lower net.ipv4.ip_unprivileged_port_start, or choose a port from 1024 upwards"
        case EAFNOSUPPORT:
            return "this machine has no addresses of this family (IPv6 may be turned off); choose another address"
        case EMFILE:
            return "this process has no file descriptors left; raise its limit (`ulimit -n`, LimitNOFILE= of systemd)"
        case ENFILE:
            return "the machine has no file descriptors left; raise fs.file-max"
        case ENOBUFS, ENOMEM:
            return "the kernel has no memory left for a socket; free some"
        default:
            return "listening there failed: \(String(cString: strerror(code))) (errno \(code))"
        }
    }
}
