// Owns the answer to a change that is only tried: what would differ, and what that would do to traffic.
// Leaves to others: finding it out (ControlPlane+Preview).

import Hummingbird
import ShuttleEngine

enum PreviewEncoder {
    static func bytes(of preview: ChangePreview) -> [UInt8] {
        var writer = JSONWriter()
        writer.object { writer in
            writer.member("dry_run", true)
            writer.member("changed", !preview.diff.isEmpty)
            if let tag = preview.current.versions.tag(of: .whole) {
                // What the patch is against.
                writer.member("version", tag.text)
            }
            preview.diff.write(to: &writer)
            writer.object("effects") { write(preview.effects, to: &$0) }
            writer.list("not_checked") { writer in
                for listener in preview.effects.plan.listenersOpened {
                    writer.value(
                        "service \(listener.service): whether \(listener.address) can be listened on is known when it is "
                            + "tried; the change is refused with 409 or 400 where it cannot, and changes nothing then"
                    )
                }
            }
        }
        return writer.finish(trailingNewline: true)
    }

    private static func write(_ effects: ChangeEffects, to writer: inout JSONWriter) {
        let plan = effects.plan
        writer.object("listeners") { writer in
            write(plan.listenersOpened, as: "opened", to: &writer)
            write(plan.listenersClosed, as: "closed", to: &writer)
            writer.list("changed") { writer in
                for move in plan.listenersMoved {
                    writer.object { writer in
                        writer.member("address", move.address)
                        writer.member("from", move.from)
                        writer.member("to", move.to)
                    }
                }
            }
        }
        writer.object("services") { writer in
            writer.member("added", plan.servicesAdded)
            write(effects.servicesRemoved, as: "removed", to: &writer)
            writer.list("changed") { writer in
                for change in plan.servicesChanged {
                    writer.object { writer in
                        writer.member("service", change.subject)
                        writer.member("fields", change.fields)
                    }
                }
            }
            write(effects.servicesMoved, as: "moved", to: &writer)
        }
        writer.object("backends") { writer in
            writer.list("added") { writer in
                for backend in effects.backendsAdded {
                    writer.object { write(backend, to: &$0) }
                }
            }
            write(effects.backendsRemoved, as: "removed", to: &writer)
            write(effects.backendsDrained, as: "drained", to: &writer)
            writer.list("changed") { writer in
                for change in plan.backendsChanged {
                    writer.object { writer in
                        write(change.subject, to: &writer)
                        writer.member("fields", change.fields)
                    }
                }
            }
        }
        writer.member("sessions_affected", effects.sessionsAffected)
    }

    private static func write(_ listeners: [ChangePlan.Listener], as name: String, to writer: inout JSONWriter) {
        writer.list(name) { writer in
            for listener in listeners {
                writer.object { writer in
                    writer.member("service", listener.service)
                    writer.member("address", listener.address)
                }
            }
        }
    }

    private static func write(_ backend: ChangePlan.Backend, to writer: inout JSONWriter) {
        writer.member("service", backend.service)
        writer.member("backend", backend.name)
        writer.member("address", backend.address)
    }

    private static func write(_ affected: [ChangeEffects.Affected], as name: String, to writer: inout JSONWriter) {
        writer.list(name) { writer in
            for one in affected {
                writer.object { writer in
                    writer.member("service", one.service)
                    if let backend = one.backend {
                        writer.member("backend", backend)
                    }
                    writer.member("address", one.address)
                    writer.member("active", one.active)
                    writer.member("sessions", text(of: one.fate))
                }
            }
        }
    }

    private static func text(of fate: ChangeEffects.Fate) -> String {
        switch fate {
        case .runOn: "run on"
        case .drain(let milliseconds): "are ended over \(milliseconds) ms"
        case .end: "end"
        case .move: "move to other backends with their clients' next datagrams"
        }
    }
}

extension Response {
    /// What a change would come to. It has the version of the part as it is: the change itself can ask for that.
    static func preview(_ preview: ChangePreview, of change: ConfigurationChange) async -> Response {
        let isLong = preview.diff.lines.count >= HeavyWork.objectsMin
        return .json(
            await HeavyWork.run(isLong: isLong) { PreviewEncoder.bytes(of: preview) },
            headers: preview.current.versions.tag(of: change.part)?.headers ?? [:]
        )
    }
}
