"""Runs moto's server, and judges EC2 requests and replies by botocore's own model.

Prints {"port": N}, then answers JSON lines: {"id", "kind": "request" | "reply", ...} with
{"id", "errors": [...]}. Ends with its standard input.
"""

import base64
import binascii
import json
import logging
import re
import sys
import threading
import urllib.parse
import xml.etree.ElementTree as ET

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import botocore.loaders
import botocore.model
import botocore.parsers
import botocore.serialize
import botocore.utils
import botocore.validate
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

MODEL = botocore.model.ServiceModel(
    botocore.loaders.Loader().load_service_model("ec2", "service-2"), "ec2"
)
QUOTAS = botocore.model.ServiceModel(
    botocore.loaders.Loader().load_service_model("service-quotas", "service-2"), "service-quotas"
)
SERIALIZER = botocore.serialize.create_serializer("ec2", include_validation=True)
PARSER = botocore.parsers.create_parser("ec2")


def wire_name(member, shape):
    """The name of a structure's member in a request."""
    serialization = shape.serialization
    if "queryName" in serialization:
        return serialization["queryName"]
    name = serialization.get("name", member)
    return name[0].upper() + name[1:]


def decode(shape, prefix, form, errors):
    """Reads a value from the form and takes its keys out; None where there is none."""
    if shape.type_name == "structure":
        found = {}
        for member, inner in shape.members.items():
            name = wire_name(member, inner)
            value = decode(inner, f"{prefix}.{name}" if prefix else name, form, errors)
            if value is not None:
                found[member] = value
        return found or None
    if shape.type_name == "list":
        found = []
        while True:
            value = decode(shape.member, f"{prefix}.{len(found) + 1}", form, errors)
            if value is None:
                return found or None
            found.append(value)
    text = form.pop(prefix, None)
    if text is None:
        return None
    limits(shape, text, prefix, errors)
    kind = shape.type_name
    try:
        if kind in ("integer", "long"):
            return int(text)
        if kind in ("float", "double"):
            return float(text)
        if kind == "boolean":
            return {"true": True, "false": False}[text]
        if kind == "timestamp":
            return botocore.utils.parse_timestamp(text)
        if kind == "blob":
            return base64.b64decode(text, validate=True)
        return text
    except (ValueError, KeyError, binascii.Error):
        errors.append(f"{prefix}: {text!r} is no {kind}")
        return None


def limits(shape, text, where, errors):
    meta = shape.metadata
    if "enum" in meta and text not in meta["enum"]:
        errors.append(f"{where}: {text!r} is none of {meta['enum'][:6]}")
    if shape.type_name == "string":
        if len(text) > meta.get("max", len(text)):
            errors.append(f"{where}: longer than {meta['max']}")
        if "pattern" in meta and not re.fullmatch(meta["pattern"], text):
            errors.append(f"{where}: {text!r} does not match {meta['pattern']}")
    elif shape.type_name in ("integer", "long") and text.lstrip("-").isdigit():
        if not meta.get("min", int(text)) <= int(text) <= meta.get("max", int(text)):
            errors.append(f"{where}: {text} is out of bounds")


def judge_request(ask):
    errors = []
    pairs = urllib.parse.parse_qsl(ask["body"], keep_blank_values=True, strict_parsing=True)
    form = dict(pairs)
    if len(form) != len(pairs):
        errors.append("a parameter is there twice")
    sent = dict(form)
    action = form.pop("Action", "")
    if form.pop("Version", "") != MODEL.api_version:
        errors.append("wrong Version")
    try:
        operation = MODEL.operation_model(action)
    except botocore.model.OperationNotFoundError:
        return [f"no operation {action}"]
    params = decode(operation.input_shape, "", form, errors) or {}
    errors += [f"unknown parameter {name}" for name in form]
    report = botocore.validate.ParamValidator().validate(params, operation.input_shape)
    if report.has_errors():
        errors.append(report.generate_report())
    if not errors:
        made = SERIALIZER.serialize_to_request(params, operation)
        body = {key: str(value) for key, value in made["body"].items()}
        if body != sent:
            odd = sorted(set(body.items()) ^ set(sent.items()))
            errors.append(f"botocore would send other bytes: {odd}")
        if made["method"] != "POST" or made["url_path"] != urllib.parse.urlsplit(ask["url"]).path:
            errors.append("wrong method or path")
    return errors + judge_signature(ask)


def judge_quota(ask):
    """A request of Service Quotas, which speaks JSON."""
    operation = QUOTAS.operation_model(ask["headers"]["x-amz-target"].split(".")[-1])
    params = json.loads(ask["body"])
    serializer = botocore.serialize.create_serializer("json", include_validation=True)
    made = serializer.serialize_to_request(params, operation)
    names = ("X-Amz-Target", "Content-Type")
    errors = [
        f"{name}: botocore sends {made['headers'][name]}"
        for name in names
        if made["headers"][name] != ask["headers"].get(name.lower())
    ]
    if json.loads(made["body"]) != params:
        errors.append("botocore would send another body")
    return errors + judge_signature(ask, "servicequotas")


def judge_quota_reply(ask):
    operation = QUOTAS.operation_model("GetServiceQuota")
    parser = botocore.parsers.create_parser("json")
    headers = {"content-type": "application/x-amz-json-1.1"}
    response = {"body": ask["body"].encode(), "status_code": ask["status"], "headers": headers}
    parsed = parser.parse(response, operation.output_shape)
    if ask["status"] >= 300:
        code = parsed["Error"]["Code"]
        known = [shape.name for shape in operation.error_shapes]
        return [] if code in known else [f"{code} is none of {known}"]
    sent = json.loads(ask["body"])
    seen = {key: value for key, value in parsed.items() if key != "ResponseMetadata"}
    return [] if seen == sent else [f"botocore reads {seen}"]


def judge_signature(ask, service="ec2"):
    headers = ask["headers"]
    shape = r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/" + service + "/aws4_request, "
    shape += r"SignedHeaders=([\w;-]+), Signature=([0-9a-f]{64})"
    found = re.fullmatch(shape, headers.get("authorization", ""))
    if found is None:
        return ["no signature"]
    key, _, region, names, signature = found.groups()
    secret = ask["secrets"].get(key)
    if secret is None:
        return []
    needed = {"host", "x-amz-date"} | {name for name in headers if name.startswith("x-amz-")}
    if not needed <= set(names.split(";")):
        return [f"unsigned: {needed - set(names.split(';'))}"]
    credentials = botocore.credentials.Credentials(
        key, secret, headers.get("x-amz-security-token")
    )
    signer = botocore.auth.SigV4Auth(credentials, service, region)
    signed = {name: headers[name] for name in names.split(";")}
    request = botocore.awsrequest.AWSRequest("POST", ask["url"], signed, ask["body"])
    request.context["timestamp"] = headers["x-amz-date"]
    text = signer.string_to_sign(request, signer.canonical_request(request))
    return [] if signer.signature(text, request) == signature else ["wrong signature"]


def bare(tag):
    return re.sub(r"\{.*?\}", "", tag)


def judge_reply(ask):
    try:
        root = ET.fromstring(ask["body"])
    except ET.ParseError as error:
        return [f"not XML: {error}"]
    operation = MODEL.operation_model(ask["action"])
    response = {"body": ask["body"].encode(), "status_code": ask["status"], "headers": {}}
    try:
        parsed = PARSER.parse(response, operation.output_shape)
    except botocore.parsers.ResponseParserError as error:
        return [f"botocore cannot parse it: {error}"]
    if ask["status"] >= 300:
        known = bare(root.tag) == "Response" and parsed.get("Error", {}).get("Code")
        return [] if known else ["an error without a code"]
    errors = []
    if bare(root.tag) != f"{ask['action']}Response":
        errors.append(f"root {bare(root.tag)}")
    children = [child for child in root if bare(child.tag) not in ("requestId", "return")]
    if operation.output_shape is not None:
        walk(operation.output_shape, children, ask["action"], errors)
    elif children:
        errors.append("an output that the operation does not have")
    return errors


def walk(shape, children, where, errors):
    if shape.type_name == "structure":
        members = {
            inner.serialization.get("name", member): inner
            for member, inner in shape.members.items()
        }
        for child in children:
            name = bare(child.tag)
            if name not in members:
                errors.append(f"{where}.{name}: not in the model")
            else:
                walk_one(members[name], child, f"{where}.{name}", errors)
    elif shape.type_name == "list":
        for child in children:
            if bare(child.tag) != shape.member.serialization.get("name", "item"):
                errors.append(f"{where}: {bare(child.tag)} in a list")
            walk_one(shape.member, child, f"{where}[]", errors)


def walk_one(shape, element, where, errors):
    if shape.type_name in ("structure", "list"):
        walk(shape, list(element), where, errors)
    elif len(element):
        errors.append(f"{where}: elements in a {shape.type_name}")
    elif element.text:
        limits(shape, element.text, where, errors)


class Quiet(WSGIRequestHandler):
    def log(self, *_):
        pass


def main():
    logging.disable(logging.CRITICAL)
    app = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(json.dumps({"port": server.server_port}), flush=True)
    judges = {
        "request": judge_request,
        "reply": judge_reply,
        "quota": judge_quota,
        "quota_reply": judge_quota_reply,
    }
    for line in sys.stdin:
        ask = json.loads(line)
        try:
            errors = judges[ask["kind"]](ask)
        except Exception as error:  # The test must see what the oracle did not understand.
            errors = [f"the oracle failed: {error!r}"]
        print(json.dumps({"id": ask["id"], "errors": errors}), flush=True)


main()
