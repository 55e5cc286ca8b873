// Owns which bodies are read: their type and their length as the header declares them.
// Leaves to others: reading them (RequestBodyReader) and what is in them (shuttled/Configuration).

import Hummingbird
import ShuttleEngine

/// Judges a body before it is read.
enum ContentRules {
    /// Why a body of this type is not read; `nil` when it is.
    ///
    /// A page of another site can send some types without asking first, JSON is not among them. Scripts that send none
    /// or the default of `curl -d` are let through, as long as no browser speaks, which would name its origin.
    static func typeRefusal(_ fields: HTTPFields, method: HTTPRequest.Method = .put) -> ProblemDetails? {
        for encoding in fields[values: .contentEncoding] where encoding.lowercased() != "identity" {
            return refusal("Content-Encoding is \(Quoted(encoding)); send the body as it is, not compressed")
        }
        let types = fields[values: .contentType]
        let fromPage = fields[.origin] != nil
        switch types.count {
        case 0:
            return fromPage ? refusal("the request has no Content-Type; send \"application/json\"") : nil
        case 1:
            break
        default:
            return refusal("the request has more than one Content-Type; send \"application/json\" only")
        }
        let parts = types[0].split(separator: ";", omittingEmptySubsequences: false).map { trimmed($0).lowercased() }
        switch parts[0] {
        case "application/json":
            break
        case "application/merge-patch+json" where method == .patch:
            break
        case "application/json-patch+json" where method == .patch:
            return refusal(
                "Content-Type is \(Quoted(types[0])); patches are merge patches here (RFC 7396): send the fields that "
                    + "change as \"application/merge-patch+json\"",
                headers: acceptedPatches
            )
        case "application/x-www-form-urlencoded", "":
            if fromPage {
                return refusal("Content-Type is \(Quoted(types[0])); send \"application/json\"")
            }
        default:
            return refusal("Content-Type is \(Quoted(types[0])); the body must be JSON: send \"application/json\"")
        }
        for parameter in parts.dropFirst() where parameter.hasPrefix("charset=") {
            let charset = parameter.dropFirst("charset=".count).filter { $0 != "\"" }
            if charset != "utf-8", charset != "us-ascii" {
                return refusal("Content-Type has the charset \(Quoted(charset)); send JSON in UTF-8")
            }
        }
        return nil
    }

    /// Why a body is not read for its declared length; one that declares none is counted while it comes.
    static func lengthRefusal(_ fields: HTTPFields, max bytesMax: Int) -> ProblemDetails? {
        guard let text = fields[.contentLength] else {
            return nil
        }
        // The parser has seen to it that this is a number; one beyond Int is too large like others.
        if let length = Int(text), length <= bytesMax {
            return nil
        }
        return tooLarge("Content-Length is \(text)", max: bytesMax)
    }

    static func tooLarge(_ what: String, max bytesMax: Int) -> ProblemDetails {
        ProblemDetails(
            .contentTooLarge,
            "\(what); a body may have \(bytesMax) bytes here (\(bytesMax >> 20) MiB); send less at once"
        )
    }

    /// RFC 5789, 3.1.
    private static let acceptedPatches: HTTPFields = [
        HTTPFields.Element.Name("Accept-Patch")!: "application/merge-patch+json, application/json"
    ]

    private static func refusal(
        _ detail: String, headers: HTTPFields = [.accept: "application/json"]
    ) -> ProblemDetails {
        ProblemDetails(.unsupportedMediaType, detail, headers: headers)
    }

    private static func trimmed(_ text: Substring) -> Substring {
        var text = text
        while text.first == " " || text.first == "\t" { text.removeFirst() }
        while text.last == " " || text.last == "\t" { text.removeLast() }
        return text
    }
}
